"""Unpacking: what good archives give, and that broken ones end in a clear error."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelzoo.cancel import Cancel
from modelzoo.errors import Interrupted, ModelZooError, Reason
from modelzoo.files import archives
from modelzoo.files.archives import unpack

from tests.archives import FORMATS, TAR_MODES, Entry, make_archive, patch_zip, refused
from tests.zoo import content, tree

LARGE = content("large", (1 << 20) + 7)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where to unpack; the folders around it hold things that must not change."""
    (tmp_path / "victim").write_bytes(b"untouched")
    out = tmp_path / "one" / "two" / "out"
    out.mkdir(parents=True)
    return out


@pytest.mark.parametrize("prefix", ["", "./"])
@pytest.mark.parametrize("form", FORMATS)
def test_good_archives(out: Path, tmp_path: Path, form: str, prefix: str) -> None:
    entries: list[Entry] = [
        (prefix or "top", "folder"),
        (f"{prefix}model.xml", b"<net/>"),
        (f"{prefix}nested/deeper/weights.bin", LARGE),
        (f"{prefix}nested", "folder"),
        (f"{prefix}nested", "folder"),
        (f"{prefix}empty", b""),
        (f"{prefix}größe 1.txt", b"umlauts and a space"),
    ]
    unpack(make_archive(tmp_path / "a", form, entries), out, form, Cancel())
    found = tree(out)
    found.pop("top", None)
    assert found == {
        "model.xml": b"<net/>",
        "nested": "folder",
        "nested/deeper": "folder",
        "nested/deeper/weights.bin": LARGE,
        "empty": b"",
        "größe 1.txt": b"umlauts and a space",
    }
    # Whoever made the archive does not decide who may run what here.
    assert {p.stat().st_mode & 0o7111 for p in out.rglob("*") if p.is_file()} == {0}


@pytest.mark.parametrize("form", FORMATS)
def test_archives_of_shutil(out: Path, tmp_path: Path, form: str) -> None:
    (tmp_path / "in" / "FP32").mkdir(parents=True)
    (tmp_path / "in" / "FP32" / "m.bin").write_bytes(b"weights")
    made = shutil.make_archive(str(tmp_path / "a"), form, tmp_path / "in")
    unpack(Path(made), out, form, Cancel())
    assert tree(out) == {"FP32": "folder", "FP32/m.bin": b"weights"}


@pytest.mark.parametrize("actual", TAR_MODES)
@pytest.mark.parametrize("told", ["tar", "gztar"])
def test_tar_is_recognised_by_its_content(out: Path, tmp_path: Path, told: str, actual: str) -> None:
    unpack(make_archive(tmp_path / "a", actual, [("x", b"1")]), out, told, Cancel())
    assert tree(out) == {"x": b"1"}


@pytest.mark.parametrize(
    ("offset", "value", "local", "problem"),
    [
        (24, (10).to_bytes(4, "little"), None, "CRC"),  # the size is a lie: less than comes out
        (24, b"\xf0\xff\xff\xff", None, "a bomb?"),  # more
        (8, b"\x01\x00", 6, "encrypted"),
        (10, b"\x63\x00", 8, "not usable|not supported"),  # a compression that nobody knows
    ],
)
def test_zip_headers(
    out: Path, tmp_path: Path, offset: int, value: bytes, local: int | None, problem: str
) -> None:
    archive = make_archive(tmp_path / "a", "zip", [("x", bytes(10_000))])
    patch_zip(archive, offset, value, local)
    error = refused(archive, out, "zip")
    assert any(word in str(error) for word in problem.split("|"))
    assert sum(len(what) for what in tree(out).values()) <= 10_000


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.8])
def test_truncated(out: Path, tmp_path: Path, form: str, keep: float) -> None:
    archive = make_archive(tmp_path / "a", form, [("x", content("x", 50_000))])
    os.truncate(archive, int(archive.stat().st_size * keep))
    assert f"is not a usable {form} archive" in str(refused(archive, out, form))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("data", [b"", b"hello\n", b"<html></html>" * 99, bytes(5), content("r", 9999)])
def test_not_an_archive(out: Path, tmp_path: Path, form: str, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    assert f"is not a usable {form} archive" in str(refused(tmp_path / "a", out, form))


@pytest.mark.parametrize(("actual", "told"), [("zip", "tar"), ("tar", "zip"), ("gztar", "zip")])
def test_wrong_format(out: Path, tmp_path: Path, actual: str, told: str) -> None:
    archive = make_archive(tmp_path / "a", actual, [("x", b"1")])
    assert f"is not a usable {told} archive" in str(refused(archive, out, told))


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_no_space(out: Path, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make_archive(tmp_path / "a", form, [("small", bytes(600)), ("large", bytes(2048))])
    monkeypatch.setattr(archives, "free_space", lambda path: 1624)
    error = refused(archive, out, form)
    assert error.reason == Reason.NO_SPACE
    assert str(error) == "no space to unpack: 2.0 KiB needed, 1.0 KiB free"
    assert tree(out) == {"small": bytes(600)}


@pytest.mark.parametrize("form", FORMATS)
def test_cancel(out: Path, tmp_path: Path, form: str) -> None:
    cancel = Cancel()
    cancel.set()
    with pytest.raises(Interrupted):
        unpack(make_archive(tmp_path / "a", form, [("x", b"1")]), out, form, cancel)
    assert tree(out) == {}


def _good_archives() -> dict[str, bytes]:
    entries: list[Entry] = [("a/b", b"12345" * 50), ("c", b"x"), ("d", "folder"), ("ä" * 60, b"y")]
    with tempfile.TemporaryDirectory() as folder:
        return {form: make_archive(Path(folder) / "a", form, entries).read_bytes() for form in FORMATS}


GOOD = _good_archives()


@settings(deadline=None, max_examples=200)
@given(
    form=st.sampled_from(FORMATS),
    changes=st.lists(
        st.tuples(st.floats(0, 0.999), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4
    ),
    cut=st.floats(0.3, 1),
)
def test_broken_bytes(form: str, changes: list[tuple[float, bytes]], cut: float) -> None:
    """Damage never ends in anything but an error of ours, or in entries of a sound name."""
    data = bytearray(GOOD[form])
    for place, new in changes:
        start = int(place * len(data))
        data[start : start + len(new)] = new
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "a").write_bytes(data[: int(len(data) * cut)])
        try:
            unpack(root / "a", root / "out", form, Cancel())
        except ModelZooError:
            pass
        assert {n.split("/")[0] for n in tree(root)} <= {"a", "out"}
