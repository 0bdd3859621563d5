"""Postprocessing: what it makes, and that a failure changes nothing."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from modelzoo.cancel import Cancel
from modelzoo.errors import Interrupted, ModelZooError, PostprocessingError, Reason, StorageError
from modelzoo.files import archives
from modelzoo.model import RegexReplace, Step, UnpackArchive
from modelzoo.run.postprocess import Changes, postprocess, remove

from tests.archives import make_archive
from tests.zoo import tree

XML = "<net>\r\n<layer id='1'/>\n<layer id='2'/>\n<layer id='3' größe='ü'/></net>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder with a text and an archive."""
    folder = tmp_path / "out" / "public" / "m"
    (folder / "sub").mkdir(parents=True)
    (folder / "net.xml").write_bytes(XML.encode())
    (folder / "latin1.txt").write_bytes("größe".encode("latin-1"))
    make_archive(folder / "data.zip", "zip", [("a.txt", b"alpha"), ("deep/b.bin", b"beta")])
    make_archive(folder / "sub" / "more.tgz", "gztar", [("a.txt", b"inner")])
    return folder


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    return tmp_path / "out" / ".modelzoo" / "staging" / "builtin-m"


def run(folder: Path, staging: Path, *steps: Step) -> Changes:
    """Postprocess; the staging folder must be gone afterwards, however it ends."""
    try:
        changes = postprocess(folder, steps, staging, Cancel())
    finally:
        assert not staging.parent.exists()
    remove(folder, changes)
    return changes


@pytest.mark.parametrize(
    ("pattern", "replacement", "count", "expected"),
    [
        ("layer", "node", 0, XML.replace("layer", "node")),
        ("layer", "node", 2, XML.replace("layer", "node", 2)),
        ("layer", "node", 3, XML.replace("layer", "node")),
        (r"id='(\d)'", r"n=\1", 1, XML.replace("id='1'", "n=1")),
        (r"id='(?P<id>\d)'", r"n=\g<id>", 1, XML.replace("id='1'", "n=1")),
        (r"(?m)^<net>\r$", r"<\\net>\r", 1, XML.replace("<net>", "<\\net>")),
        ("größe='ü'", "é", 0, XML.replace("größe='ü'", "é")),
        ("(?s)<net>.*", "", 0, ""),
    ],
)
def test_regex_replace(
    folder: Path, staging: Path, pattern: str, replacement: str, count: int, expected: str
) -> None:
    before = tree(folder)
    changes = run(folder, staging, RegexReplace("net.xml", pattern, replacement, count))
    assert changes == Changes(written=("net.xml",), kept=("net.xml",), removed=())
    assert tree(folder) == before | {"net.xml": expected.encode(), "net.xml.orig": XML.encode()}


REFUSED = {
    "no occurrence": ([RegexReplace("net.xml", "nowhere", "x")], "expected one or more occurrences"),
    "too few": (
        [RegexReplace("net.xml", "layer", "x", 4)],
        "expected 4 occurrences of 'layer', found 3",
    ),
    "too few the second time": (
        [RegexReplace("net.xml", "layer", "x", 3), RegexReplace("net.xml", "layer", "y", 1)],
        "found 0",
    ),
    "bad group": ([RegexReplace("net.xml", "layer", r"\1")], "bad pattern or replacement"),
    "unknown group": ([RegexReplace("net.xml", "layer", r"\g<x>")], "bad pattern or replacement"),
    "bad pattern": ([RegexReplace("net.xml", "(", "x")], "bad pattern or replacement"),
    "not UTF-8": ([RegexReplace("latin1.txt", "e", "x")], "not UTF-8"),
    "missing": ([RegexReplace("none.txt", "e", "x")], "none.txt: no such file"),
    "a folder": ([RegexReplace("sub", "e", "x")], "sub: no such file"),
    "unsafe": ([RegexReplace("../other", "e", "x")], "unsafe name"),
    "missing archive": ([UnpackArchive("none.zip", "zip")], "none.zip: no such file"),
    "gone archive": (
        [UnpackArchive("data.zip", "zip"), RegexReplace("b.bin", "e", "x")],
        "b.bin: no such file",
    ),
    "not an archive": (
        [RegexReplace("net.xml", "net", "x"), UnpackArchive("net.xml", "tar")],
        "not a usable tar archive",
    ),
    "twice": (
        [UnpackArchive("data.zip", "zip"), UnpackArchive("data.zip", "zip")],
        '"a.txt", which is there already',
    ),
}


@pytest.mark.parametrize(("steps", "problem"), REFUSED.values(), ids=REFUSED)
def test_a_failure_changes_nothing(
    folder: Path, staging: Path, steps: list[Step], problem: str
) -> None:
    before = tree(folder)
    with pytest.raises(PostprocessingError) as caught:
        run(folder, staging, *steps)
    assert problem in str(caught.value)
    assert str(folder / steps[-1].file) in str(caught.value)
    assert tree(folder) == before


@pytest.mark.parametrize(
    ("entries", "steps"),
    [
        ([("sub", b"a file")], []),
        ([("net.xml/part", b"below a file")], []),
        ([("sub/more.tgz/x", b"below a file")], []),
        ([("x", b"1")], [RegexReplace("net.xml", "net", "x")]),  # net.xml.orig is a folder
    ],
)
def test_results_that_have_no_place_change_nothing(
    folder: Path, staging: Path, entries: list[tuple[str, bytes | str]], steps: list[Step]
) -> None:
    (folder / "net.xml.orig").mkdir()
    make_archive(folder / "data.zip", "zip", [("ok", b"1"), *entries])
    before = tree(folder)
    with pytest.raises(PostprocessingError, match="would need the same name"):
        run(folder, staging, UnpackArchive("data.zip", "zip"), *steps)
    assert tree(folder) == before


@pytest.mark.parametrize("name", ["data.zip", "DATA.zip", "sub/more.tgz", "data.zip/x"])
def test_an_archive_that_holds_the_name_of_an_archive(folder: Path, staging: Path, name: str) -> None:
    """What is in it would be removed with the archive."""
    make_archive(folder / "data.zip", "zip", [("ok", b"1"), (name, b"not to be lost")])
    before = tree(folder)
    steps = UnpackArchive("sub/more.tgz", "gztar"), UnpackArchive("data.zip", "zip")
    with pytest.raises(PostprocessingError, match=f'an archive holds "{name}", which cannot be there'):
        run(folder, staging, *steps)
    assert tree(folder) == before


def test_chained_patches_keep_the_first_original(folder: Path, staging: Path) -> None:
    steps = [RegexReplace("net.xml", "layer", word, 1) for word in ("a", "b", "c")]
    changes = run(folder, staging, *steps)
    assert (folder / "net.xml.orig").read_bytes() == XML.encode()
    for word in ("a", "b", "c"):
        assert f"<{word} " in (folder / "net.xml").read_text(encoding="utf-8")
    assert changes == Changes(written=("net.xml",), kept=("net.xml",), removed=())


def test_unpacked_files_are_patched(folder: Path, staging: Path) -> None:
    before = tree(folder)
    changes = run(
        folder,
        staging,
        UnpackArchive("data.zip", "zip"),
        UnpackArchive("sub/more.tgz", "gztar"),
        RegexReplace("a.txt", "alpha", "omega"),
        RegexReplace("a.txt", "omega", "omega!"),
    )
    del before["data.zip"], before["sub/more.tgz"]
    made = {"a.txt": b"omega!", "a.txt.orig": b"alpha", "deep/b.bin": b"beta", "sub/a.txt": b"inner"}
    assert tree(folder) == before | made | {"deep": "folder"}
    assert set(changes.written) == set(made)
    assert changes.removed == ("data.zip", "sub/more.tgz")


def test_archive_in_an_archive(folder: Path, staging: Path) -> None:
    inner = (folder / "sub" / "more.tgz").read_bytes()
    make_archive(folder / "data.zip", "zip", [("in/x.tgz", inner), ("net.xml", b"newer")])
    before = tree(folder)
    run(folder, staging, UnpackArchive("data.zip", "zip"), UnpackArchive("in/x.tgz", "gztar"))
    del before["data.zip"]
    assert tree(folder) == before | {"net.xml": b"newer", "in": "folder", "in/a.txt": b"inner"}


def test_what_a_killed_run_left_in_staging_is_not_used(folder: Path, staging: Path) -> None:
    (staging / "deep").mkdir(parents=True)
    (staging / "deep" / "b.bin").write_bytes(b"half")
    (staging / "stray").write_bytes(b"x")
    run(folder, staging, UnpackArchive("data.zip", "zip"))
    assert (folder / "deep" / "b.bin").read_bytes() == b"beta"
    assert not (folder / "stray").exists()


def test_staging_that_is_a_link_is_not_emptied(folder: Path, staging: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "x").write_bytes(b"x")
    staging.parent.mkdir(parents=True)
    staging.symlink_to(tmp_path / "precious")
    before = tree(tmp_path)
    with pytest.raises(StorageError):
        postprocess(folder, (UnpackArchive("data.zip", "zip"),), staging, Cancel())
    assert tree(tmp_path) == before


@pytest.mark.parametrize("when", ["before", "between", "within"])
def test_cancel(folder: Path, staging: Path, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cancel, before = Cancel(), tree(folder)
    if when == "before":
        cancel.set()
    original: Callable[..., object] = archives._write  # type: ignore[attr-defined]

    def write(*arguments: object) -> None:
        original(*arguments)
        cancel.set()

    monkeypatch.setattr(archives, "_write", write)
    archive = "sub/more.tgz" if when == "between" else "data.zip"  # of one entry, and of two
    steps = (
        UnpackArchive(archive, "zip" if archive == "data.zip" else "tar"),
        UnpackArchive(archive, "tar"),
    )
    with pytest.raises(ModelZooError) as caught:
        postprocess(folder, steps, staging, cancel)
    assert caught.value.reason == Reason.INTERRUPTED
    assert tree(folder) == before
    assert isinstance(caught.value, Interrupted) == (when != "within")


@pytest.fixture
def small_files() -> Iterator[int]:
    """The system refuses to write files beyond 64 KiB."""
    limit = 1 << 16
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk_changes_nothing(folder: Path, staging: Path, small_files: int) -> None:
    make_archive(folder / "data.zip", "zip", [("a", b"1"), ("large", bytes(small_files + 1))])
    before = tree(folder)
    with pytest.raises(StorageError) as caught:
        run(folder, staging, UnpackArchive("data.zip", "zip"))
    assert caught.value.reason == Reason.NO_SPACE
    assert tree(folder) == before


def test_full_disk_while_patching(folder: Path, staging: Path, small_files: int) -> None:
    before = tree(folder)
    with pytest.raises(StorageError, match="the disk is full") as caught:
        run(folder, staging, RegexReplace("net.xml", "layer", "x" * (small_files // 2)))
    assert caught.value.reason == Reason.NO_SPACE
    assert tree(folder) == before
