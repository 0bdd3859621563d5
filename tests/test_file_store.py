"""Local files: any name a file can have, and nothing that is no file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from modelzoo.errors import Reason, TransferError
from modelzoo.stores import Settings, Stores
from modelzoo.stores.file import OpenedFile, create

DATA = b"twelve bytes"


def fetch(url: str) -> bytes:
    with Stores(Settings()).store(url).open(url) as opened:
        return b"".join(opened)


def refused(url: str) -> TransferError:
    with pytest.raises(TransferError) as caught:
        fetch(url)
    assert not caught.value.transient
    return caught.value


NAMES = [
    b"plain",
    b"a b",
    b"%41%",
    b"a?b#c",
    b"\xc3\xbc",
    b"a;b&c=d",
    b"[x]@y",
    b"new\nline",
    b"\xff\xfe",
]


@pytest.mark.parametrize("name", NAMES)
def test_names(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(DATA)
    assert fetch(path.as_uri()) == DATA


@pytest.mark.parametrize("start", ["file://", "file://localhost", "FILE://"])
def test_spellings(tmp_path: Path, start: str) -> None:
    (tmp_path / "f").write_bytes(DATA)
    assert fetch(f"{start}{tmp_path}/./f") == DATA


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("no-such", "no such file"),
        ("folder", "is not a regular file"),
        ("pipe", "is not a regular file"),
        ("file/below", "no such file"),
        ("dangling", "no such file"),
        ("a%00b", "no such file"),
        ("x" * 300, "too long"),
        ("x/" * 5000, "too long"),
        ("", "is not a regular file"),
    ],
)
def test_what_is_no_file(tmp_path: Path, path: str, text: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("nowhere")
    error = refused(f"{tmp_path.as_uri()}/{path}")
    assert error.reason == Reason.NOT_FOUND
    assert text in str(error)


def test_a_loop_of_links(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert refused(f"{tmp_path.as_uri()}/loop").reason in (Reason.NOT_FOUND, Reason.DISK_ERROR)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/mem is Linux's")
def test_a_file_that_cannot_be_read_through() -> None:
    error = refused("file:///proc/self/mem")  # is a regular file, and its first page is unmapped
    assert error.reason == Reason.DISK_ERROR


@pytest.mark.parametrize(
    "url", ["file://host/f", "file://me:S3CRET@host/f?token=S3CRET", "file://127.0.0.1/f"]
)
def test_other_hosts(url: str) -> None:
    error = refused(url)
    assert error.reason == Reason.INVALID_CATALOG
    assert "names a host" in str(error)
    assert "S3CRET" not in str(error)


def test_the_version_is_told_by_size_and_time(tmp_path: Path) -> None:
    path = tmp_path / "f"
    seen = set()
    for data, time in [(b"one", 1), (b"one", 2), (b"longer", 2)]:
        path.write_bytes(data)
        os.utime(path, ns=(time, time))
        with create(Settings()).open(path.as_uri()) as opened:
            assert isinstance(opened, OpenedFile)
            seen.add(opened.validator)
    assert len(seen) == 3
