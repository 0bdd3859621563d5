"""Unpacking archives from outside: names, kinds of entries, their number and size are bounded.

Files are hashed while they are written, and large ones of a zip archive come out beside each other:
inflating, hashing and writing all let other threads run.
"""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

import msgspec

from ..cancel import Cancel
from ..checksum import CHUNK, Checksum
from ..errors import PostprocessingError, Reason, UnsafePathError
from .disk import free_space, readable, write_all
from .hashing import FileHasher
from .paths import folded, safe_path

MAX_ENTRIES = 100_000
MAX_RATIO = 200
"""How many times larger than the archive its contents may be, once they exceed FREE_SIZE bytes."""
FREE_SIZE = 1 << 30
MAX_HEADER = 4 * CHUNK
"""Bytes that a tar archive's reader may want at once: its extended headers are read in one piece."""
LARGE = 1 << 20
"""Bytes from which on a file is worth a thread."""
WORKERS = min(4, os.cpu_count() or 1)
"""Files that come out of one archive at a time; more would wait for the disk."""

_BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, struct.error, EOFError,
    LookupError, MemoryError, NotImplementedError, OverflowError, RuntimeError, ValueError,
)  # fmt: skip
"""What the readers of the standard library raise for archives that are broken, odd or encrypted."""


class _Entry(msgspec.Struct, frozen=True):
    name: str
    size: int
    kind: str
    open: Callable[[], contextlib.AbstractContextManager[IO[bytes]]]


def unpack(
    archive: Path, folder: Path, form: str, cancel: Cancel, algorithm: str = "sha256"
) -> dict[str, Checksum]:
    """Unpack into a folder; returns the checksums of the files by their paths there.

    `form` is as in `shutil.unpack_archive`. Raises PostprocessingError.
    """
    entries = _zip_entries if form == "zip" else _tar_entries
    limit, names = _Limit(archive, folder), _Names()
    found: dict[str, Checksum] = {}
    try:
        with entries(archive) as every, _Crew() as crew:
            for entry in every:
                cancel.check()
                if name := names.admit(entry):
                    write = partial(_write, entry, folder, name, limit, cancel, algorithm, found)
                    # The entries of a tar archive are only there one after the other.
                    crew.do(write, beside=form == "zip" and entry.size >= LARGE)
            crew.end()
    except _BROKEN as error:
        raise PostprocessingError(f"is not a usable {form} archive: {error}") from None
    except OSError as error:
        # bz2 and gzip speak of broken data so, without a number; EINVAL: a header invents a place.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise PostprocessingError(f"is not a usable {form} archive: {error}") from None
    return found


class _Crew:
    """Threads that write large files; the first failure ends the work, and no thread outlives it."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._busy: set[Future[None]] = set()

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def do(self, act: Callable[[], None], beside: bool) -> None:
        """Have it done, now or soon; raises what has gone wrong before."""
        if not beside:
            act()
            return
        self._pool = self._pool or ThreadPoolExecutor(WORKERS, "modelzoo-unpack")
        if len(self._busy) >= WORKERS:
            self._settle()
        self._busy.add(self._pool.submit(act))

    def end(self) -> None:
        """Wait for everything that has been begun."""
        while self._busy:
            self._settle()

    def _settle(self) -> None:
        done, self._busy = wait(self._busy, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()


@contextlib.contextmanager
def _zip_entries(archive: Path) -> Iterator[Iterator[_Entry]]:
    """The entries, which can be opened until the end."""
    with zipfile.ZipFile(archive) as file:
        lock = threading.Lock()
        yield (_zip_entry(file, info, lock) for info in file.infolist())


def _zip_entry(file: zipfile.ZipFile, info: zipfile.ZipInfo, lock: threading.Lock) -> _Entry:
    mode = stat.S_IFMT(info.external_attr >> 16)
    kind = "folder" if info.is_dir() else "file"
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):  # 0: made where there are no modes
        kind = "link" if mode == stat.S_IFLNK else "device"
    return _Entry(info.filename, info.file_size, kind, partial(_inflated, file, info, lock))


@contextlib.contextmanager
def _inflated(
    file: zipfile.ZipFile, info: zipfile.ZipInfo, lock: threading.Lock
) -> Iterator[IO[bytes]]:
    """The file itself. Threads may share a ZipFile, but it counts what is open without a lock."""
    with lock:
        source = file.open(info)
    try:
        yield source
    finally:
        with lock:
            source.close()


@contextlib.contextmanager
def _tar_entries(archive: Path) -> Iterator[Iterator[_Entry]]:
    """The entries, each of which can be opened until the next one is asked for."""
    with _decompressed(archive) as content, tarfile.TarFile(fileobj=_Pieces(content)) as file:
        yield (_tar_entry(file, info) for info in file)


def _tar_entry(file: tarfile.TarFile, info: tarfile.TarInfo) -> _Entry:
    kind = "folder" if info.isdir() else "file" if info.isreg() else "link"
    if not (info.isdir() or info.isreg() or info.islnk() or info.issym()):
        kind = "device"
    return _Entry(info.name, info.size, kind, partial(_extracted, file, info))


def _extracted(file: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = file.extractfile(info)
    assert content is not None, "only regular files are opened"
    return content


_COMPRESSED: Mapping[bytes, Callable[[Path], io.BufferedIOBase]] = {
    b"\x1f\x8b": gzip.GzipFile, b"BZh": bz2.BZ2File, b"\xfd7zXZ\0": lzma.LZMAFile,
}  # fmt: skip
"""What compressed files begin with. `shutil` goes by the content too, not by the format's name."""


def _decompressed(archive: Path) -> io.BufferedIOBase:
    with archive.open("rb") as file:
        head = file.read(8)
    for magic, to_open in _COMPRESSED.items():
        if head.startswith(magic):
            return to_open(archive)
    return archive.open("rb")


class _Pieces(io.BufferedIOBase):
    """A file that is read in bounded pieces, so that no header can ask for all memory."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        self._file = file

    def read(self, size: int | None = -1, /) -> bytes:
        """At most `size` bytes; raises PostprocessingError when that is more than any sane header."""
        if size is None or not 0 <= size <= MAX_HEADER:
            raise PostprocessingError(f"the archive claims a header of {size} bytes")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """As every file does."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As every file does."""
        return self._file.tell()


class _Names:
    """Where the entries of one archive go."""

    def __init__(self) -> None:
        self._left = MAX_ENTRIES
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def admit(self, entry: _Entry) -> PurePosixPath | None:
        """The entry's place, None for the folder itself; raises PostprocessingError to refuse it."""
        self._left -= 1
        if self._left < 0:
            raise PostprocessingError(f"the archive holds more than {MAX_ENTRIES} entries")
        if entry.kind not in ("file", "folder"):
            raise PostprocessingError(f'the archive holds a {entry.kind}, "{entry.name}"')
        name = entry.name.removeprefix("./")
        name = name.removesuffix("/") if entry.kind == "folder" else name
        if name in ("", ".") and entry.kind == "folder":
            return None
        try:
            path = safe_path(name)
        except UnsafePathError as error:
            raise PostprocessingError(f"the archive holds an {error}", Reason.UNSAFE_PATH) from None
        self._take(path, entry.kind == "folder")
        return path

    def _take(self, path: PurePosixPath, is_folder: bool) -> None:
        """Two entries with one place would leave it to the system, or to luck, what is there."""
        key, parents = folded(path), {folded(parent) for parent in path.parents}
        if key in (self._folders if not is_folder else self._files) or self._files & parents:
            raise PostprocessingError(f'the archive needs a file and a folder of one name at "{path}"')
        if key in self._files:
            raise PostprocessingError(f'the archive holds "{path}" twice (case does not count)')
        self._folders |= parents
        (self._folders if is_folder else self._files).add(key)


class _Limit:
    """How many bytes may come out of one archive."""

    def __init__(self, archive: Path, folder: Path) -> None:
        self._bytes = max(FREE_SIZE, MAX_RATIO * archive.stat().st_size)
        self._free = free_space(folder)
        self._lock = threading.Lock()

    def check(self, size: int) -> None:
        """So many more are to come; raises PostprocessingError when that is too much, or cannot fit."""
        if size > self._bytes:
            raise PostprocessingError("the archive unpacks to far more than its size: a bomb?")
        if size > self._free:
            problem = f"no space to unpack: {readable(size)} needed, {readable(self._free)} free"
            raise PostprocessingError(problem, Reason.NO_SPACE)

    def count(self, size: int) -> None:
        """So many bytes have come."""
        with self._lock:
            self.check(size)
            self._bytes, self._free = self._bytes - size, self._free - size


def _write(
    entry: _Entry,
    folder: Path,
    name: PurePosixPath,
    limit: _Limit,
    cancel: Cancel,
    algorithm: str,
    found: dict[str, Checksum],
) -> None:
    target = folder / name
    try:
        if entry.kind == "folder":
            target.mkdir(parents=True, exist_ok=True)
            return
        limit.check(entry.size)
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = target.open("xb+", buffering=0)
    except (FileExistsError, NotADirectoryError):
        raise PostprocessingError(f'the archive holds "{name}", which is there already') from None
    hasher, size = FileHasher(copy.fileno(), algorithm), 0
    with copy, contextlib.closing(hasher), entry.open() as source:
        # The size in the header may lie: what counts is what comes out.
        while chunk := source.read(CHUNK):
            cancel.check()
            limit.count(len(chunk))
            write_all(copy.fileno(), chunk)
            hasher.follow(size + len(chunk), size, chunk)
            size += len(chunk)
        found[str(name)] = hasher.checksum()
