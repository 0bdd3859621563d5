"""`--list FILE`: what such a file may hold, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from modelzoo.commands.options import MAX_LIST

from tests.conftest import tool
from tests.zoo import add_local_model


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """A source with two models."""
    for name in ("alpha", "beta"):
        add_local_model(tmp_path / "zoo", name, {"a.bin": name.encode()})
    return tmp_path / "zoo"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file"),
        ("folder", "Is a directory"),
        (b"\x7fELF\x00\xff\xfe", "not UTF-8"),
        ("näme".encode("latin-1"), "not UTF-8"),
        (b"alpha\n'beta\n", "line 2: No closing quotation"),
        (b'alpha\nbeta "x\n', "line 2: No closing quotation"),
        (b"beta\\", "line 1: No escaped character"),
        ("huge", "larger than"),
    ],
)
def test_bad_list_files(zoo: Path, content: bytes | str | None, problem: str) -> None:
    path = zoo.parent / "models.lst"
    if content == "folder":
        path.mkdir()
    elif content == "huge":
        path.touch()
        os.truncate(path, MAX_LIST + 1)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    done = tool("downloader", "--source", zoo, "--list", path, check=2)
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert done.stderr.startswith(f"downloader.py: error: --list: {path}: ")
    assert problem in done.stderr


@pytest.mark.parametrize(
    ("content", "selected"),
    [
        (b"\xef\xbb\xbfbeta\r\nalpha # why\r\n", ["beta", "alpha"]),
        (b"# nothing\n\n", []),
        (b"", []),
        (b"'a'lpha ignored\n", ["alpha"]),
    ],
)
def test_list_files(zoo: Path, content: bytes, selected: list[str]) -> None:
    path = zoo.parent / "models.lst"
    path.write_bytes(content)
    done = tool("downloader", "--source", zoo, "--list", path, "--dry_run")
    assert done.stderr == ""
    assert [line for line in done.stdout.splitlines()[:-1] if not line.startswith(" ")] == selected
