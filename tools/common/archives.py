"""Unpacking archives from outside: names, kinds of entries, their number and size are bounded."""

from __future__ import annotations

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO

import msgspec

from .cancel import Cancel
from .checksum import CHUNK
from .disk import free_space, readable
from .errors import PostprocessingError, Reason, UnsafePathError
from .paths import folded, safe_path

MAX_ENTRIES = 100_000
MAX_RATIO = 200
"""How many times larger than the archive its contents may be, once they exceed FREE_SIZE bytes."""
FREE_SIZE = 1 << 30


class _Entry(msgspec.Struct, frozen=True):
    name: str
    size: int
    kind: str
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, folder: Path, form: str, cancel: Cancel) -> None:
    """Unpack into a folder; `form` as in `shutil.unpack_archive`. Raises PostprocessingError."""
    entries = _zip_entries if form == "zip" else _tar_entries
    limit = _Limit(archive, folder)
    try:
        for entry in entries(archive):
            cancel.check()
            limit.count_entry(entry.name)
            _write(entry, folder, limit, cancel)
    except (
        tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError,
        NotImplementedError, RuntimeError, ValueError,
    ) as error:  # fmt: skip
        raise PostprocessingError(f"is not a usable {form} archive: {error}") from None


def _zip_entries(archive: Path) -> Iterator[_Entry]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            mode = stat.S_IFMT(info.external_attr >> 16)
            kind = "link" if mode == stat.S_IFLNK else "folder" if info.is_dir() else "file"
            yield _Entry(info.filename, info.file_size, kind, partial(file.open, info))


def _tar_entries(archive: Path) -> Iterator[_Entry]:
    with tarfile.open(archive, "r:*") as file:
        for info in file:
            kind = "folder" if info.isdir() else "file" if info.isreg() else "link"
            if not (info.isdir() or info.isreg() or info.islnk() or info.issym()):
                kind = "device"
            yield _Entry(info.name, info.size, kind, partial(_extracted, file, info))


def _extracted(file: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = file.extractfile(info)
    assert content is not None, "only regular files are opened"
    return content


class _Limit:
    """How much may come out of one archive."""

    def __init__(self, archive: Path, folder: Path) -> None:
        self._bytes = max(FREE_SIZE, MAX_RATIO * archive.stat().st_size)
        self._free = free_space(folder)
        self._entries = MAX_ENTRIES
        self._seen: set[str] = set()

    def count_entry(self, name: str) -> None:
        """One more entry; raises PostprocessingError when it is one too many, or comes twice."""
        self._entries -= 1
        if self._entries < 0:
            raise PostprocessingError(f"the archive holds more than {MAX_ENTRIES} entries")
        if name.endswith("/"):
            return
        if (key := folded(name)) in self._seen:
            raise PostprocessingError(f'the archive holds "{name}" twice (case does not count)')
        self._seen.add(key)

    def count_bytes(self, size: int) -> None:
        """So many more bytes; raises PostprocessingError when they are too many, or cannot fit."""
        self._bytes, self._free = self._bytes - size, self._free - size
        if self._bytes < 0:
            raise PostprocessingError("the archive unpacks to far more than its size: a bomb?")
        if self._free < 0:
            problem = f"no space to unpack: {readable(-self._free)} are missing"
            raise PostprocessingError(problem, Reason.NO_SPACE)


def _write(entry: _Entry, folder: Path, limit: _Limit, cancel: Cancel) -> None:
    name = entry.name.removeprefix("./").rstrip("/")
    if name in ("", "."):
        return
    if entry.kind not in ("file", "folder"):
        raise PostprocessingError(f'the archive holds a {entry.kind}, "{entry.name}"')
    try:
        target = folder / safe_path(name)
    except UnsafePathError as error:
        raise PostprocessingError(f"the archive holds an {error}", Reason.UNSAFE_PATH) from None
    if entry.kind == "folder":
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with entry.open() as source, target.open("xb") as copy:
        # The size in the header may lie: what counts is what comes out.
        while chunk := source.read(CHUNK):
            cancel.check()
            limit.count_bytes(len(chunk))
            copy.write(chunk)
