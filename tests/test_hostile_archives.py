"""Archives that want to write elsewhere, or far too much: refused, and nothing is written outside."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelzoo.cancel import Cancel
from modelzoo.errors import PostprocessingError, Reason
from modelzoo.files import archives
from modelzoo.files.archives import unpack

from tests.archives import FORMATS, Entry, make_archive, outside, refused, sparse_tar
from tests.zoo import tree


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where to unpack; the folders around it hold things that must not change."""
    (tmp_path / "victim").write_bytes(b"untouched")
    out = tmp_path / "one" / "two" / "out"
    out.mkdir(parents=True)
    return out


UNSAFE = [
    "../victim", "a/../../victim", "..", "/etc/evil", "//evil", "C:/evil", "C:evil", "..\\victim",
    "a\\b", "a//b", "./../x", "./.", "nul", "a/CON.txt", "x\ny", "x.", ".modelzoo/receipts/m.json",
    "m.bin.download", "a" * 231, "/".join(["a" * 99] * 11),
]  # fmt: skip


@pytest.mark.parametrize("form", ["zip", "tar", "gztar"])
@pytest.mark.parametrize("name", UNSAFE, ids=lambda name: name[:20])
def test_unsafe_names(out: Path, tmp_path: Path, form: str, name: str) -> None:
    archive = make_archive(tmp_path / "a", form, [("good", b"1"), (name, b"evil")])
    error = refused(archive, out, form)
    assert error.reason == Reason.UNSAFE_PATH
    assert "unsafe name" in str(error)


@pytest.mark.parametrize(
    "headers",
    [
        {"path": "../victim"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "../victim"},
    ],
)
def test_unsafe_names_in_extended_headers(out: Path, tmp_path: Path, headers: dict[str, str]) -> None:
    info = tarfile.TarInfo("innocent")
    info.pax_headers = headers
    info.size = 512
    with (
        tarfile.open(tmp_path / "a", "w", format=tarfile.PAX_FORMAT) as archive,
        open("/dev/zero", "rb") as z,
    ):
        archive.addfile(info, z)
    refused(tmp_path / "a", out, "tar")


@pytest.mark.parametrize(
    ("form", "kind", "shown"),
    [
        ("tar", "symlink", "link"),
        ("tar", "hard link", "link"),
        ("tar", "character device", "device"),
        ("tar", "block device", "device"),
        ("tar", "fifo", "device"),
        ("zip", "symlink", "link"),
        ("zip", "character device", "device"),
        ("zip", "block device", "device"),
        ("zip", "fifo", "device"),
        ("zip", "socket", "device"),
    ],
)
def test_odd_kinds(out: Path, tmp_path: Path, form: str, kind: str, shown: str) -> None:
    error = refused(make_archive(tmp_path / "a", form, [("odd", kind), ("odd/x", b"1")]), out, form)
    assert str(error) == f'the archive holds a {shown}, "odd"'
    assert tree(out) == {}


@pytest.mark.parametrize("form", ["zip", "tar"])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("a", b"1"), ("a", b"2")),
        (("a", b"1"), ("./a", b"2")),
        (("a/b", b"1"), ("A/B", b"2")),
        (("\u00e4", b"1"), ("a\u0308", b"2")),
        (("a", b"1"), ("a/b", b"2")),
        (("A", b"1"), ("a/b", b"2")),
        (("a/b", b"1"), ("a", b"2")),
        (("a/b/c", b"1"), ("A", b"2")),
        (("a", "folder"), ("a", b"2")),
        (("a", b"1"), ("A", "folder")),
    ],
)
def test_two_entries_for_one_place(
    out: Path, tmp_path: Path, form: str, first: Entry, second: Entry
) -> None:
    refused(make_archive(tmp_path / "a", form, [first, second]), out, form)


def test_what_is_there_already_is_not_overwritten(out: Path, tmp_path: Path) -> None:
    (out / "x").write_bytes(b"first")
    error = refused(make_archive(tmp_path / "a", "zip", [("x", b"second")]), out, "zip")
    assert "there already" in str(error)
    assert (out / "x").read_bytes() == b"first"


@pytest.mark.parametrize("form", FORMATS)
def test_too_many_entries(
    out: Path, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_ENTRIES", 3)
    entries: list[Entry] = [(f"f{n}", b"") for n in range(4)]
    unpack(make_archive(tmp_path / "fits", form, entries[:3]), out / "fits", form, Cancel())
    error = refused(make_archive(tmp_path / "a", form, entries), out / "refused", form)
    assert "more than 3 entries" in str(error)
    assert len(tree(out / "refused")) == 3


@pytest.mark.parametrize("form", ["zip", "gztar", "bztar", "xztar"])
@pytest.mark.parametrize("parts", [1, 5])
def test_bombs(
    out: Path, tmp_path: Path, form: str, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "FREE_SIZE", 50_000)
    monkeypatch.setattr(archives, "MAX_RATIO", 10)
    entries: list[Entry] = [(f"f{n}", bytes(200_000 // parts)) for n in range(parts)]
    archive = make_archive(tmp_path / "a", form, entries)
    assert "a bomb?" in str(refused(archive, out, form))
    assert sum(len(what) for what in tree(out).values()) <= 50_000
    monkeypatch.setattr(archives, "MAX_RATIO", 2_000)
    unpack(archive, out / "allowed", form, Cancel())


def test_sparse_file_claims_far_more_than_there_is(out: Path, tmp_path: Path) -> None:
    error = refused(sparse_tar(tmp_path / "a", "huge", 7 << 30), out, "tar")
    assert "a bomb?" in str(error)
    assert tree(out) == {}
    unpack(sparse_tar(tmp_path / "b", "hole", 5000), out, "tar", Cancel())
    assert tree(out) == {"hole": bytes(5000)}


def test_huge_extended_header(out: Path, tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.pax_headers = {"comment": "x" * (archives.MAX_HEADER + 1)}
    with tarfile.open(tmp_path / "a", "w:xz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    assert "claims a header of" in str(refused(tmp_path / "a", out, "xztar"))


NAMES = st.lists(
    st.text(st.sampled_from("ab.Aä/\\:\0 \n~"), max_size=9) | st.text(max_size=20), max_size=6
)


@settings(deadline=None, max_examples=150)
@given(names=NAMES, form=st.sampled_from(["zip", "tar"]))
def test_any_names(names: list[str], form: str) -> None:
    """Whatever the names are: all is unpacked under them, or it is refused; nothing goes elsewhere."""
    names = [name.encode("utf-8", "ignore").decode().replace("\0", "_") for name in names]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        archive = make_archive(root / "a", form, [(name, name.encode()) for name in names])
        with_archive = tree(root)
        out = root / "x" / "y" / "out"
        try:
            unpack(archive, out, form, Cancel())
        except PostprocessingError:
            pass
        else:
            for name in (name for name in names if not name.endswith("/")):
                assert (out / name).read_bytes() == name.encode()
        assert outside(root, root / "x") == with_archive
        assert set(tree(root / "x")) <= {"y", "y/out", *(f"y/out/{n}" for n in tree(out))}
