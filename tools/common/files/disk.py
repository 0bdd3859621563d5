"""The disk: whole small files, durable large ones, room, and which errors mean what."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Reason, StorageError
from .paths import PARTIAL_SUFFIX

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def write_whole(path: Path, data: bytes) -> None:
    """Put a small file there so that a reader sees the old one or all of the new one."""
    import tempfile

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".tmp", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _umask() -> int:
    # The umask can only be read by setting it, which other threads would notice; Linux shows it.
    with contextlib.suppress(OSError, ValueError), open("/proc/self/status") as status:
        for line in status:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o022


if hasattr(os, "pread"):
    read_at, write_at = os.pread, os.pwrite
else:
    # Windows has no call that reads or writes elsewhere without moving where the file stands.
    _seeking = threading.Lock()

    def read_at(handle: int, count: int, offset: int, /) -> bytes:
        """Read at most `count` bytes from `offset` on."""
        with _seeking:
            os.lseek(handle, offset, os.SEEK_SET)
            return os.read(handle, count)

    def write_at(handle: int, data: ReadableBuffer, offset: int, /) -> int:
        """Write from `offset` on; returns how many bytes were written."""
        with _seeking:
            os.lseek(handle, offset, os.SEEK_SET)
            return os.write(handle, data)


COPIED_AT_A_TIME = 4 << 20  # bytes: rare enough to cost nothing, soon enough for whoever hashes them


def copy_range(source: int, target: int, offset: int) -> int:
    """Copy the next bytes from `offset` on to the same place of another open file; 0 at the end.

    The kernel copies, and shares the blocks where the file system can.
    """
    if hasattr(os, "copy_file_range"):
        # Some file systems, and some pairs of them, do not know the call.
        with contextlib.suppress(OSError):
            return os.copy_file_range(source, target, COPIED_AT_A_TIME, offset, offset)
    data = read_at(source, COPIED_AT_A_TIME, offset)
    written = 0
    while written < len(data):
        written += write_at(target, memoryview(data)[written:], offset + written)
    return written


_FICLONE = 0x40049409
"""Linux's request for a clone, as `fcntl.FICLONE` of Python 3.12 has it."""


def clone(source: int, target: int) -> bool:
    """Make an open file share all blocks of another one; False where the file system cannot."""
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def hard_link(source: Path, target: Path, expected: os.stat_result) -> os.stat_result:
    """Give the file that is expected at `source` a second name, and make it read-only.

    What had that name is replaced. Raises OSError where there cannot be such a link.
    """
    if os.name == "nt":  # where a file that is read-only can neither be replaced nor removed
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    beside = target.with_name(f"{target.name}.{os.urandom(4).hex()}{PARTIAL_SUFFIX}")
    try:
        os.link(source, beside)
        if not os.path.samestat(os.lstat(beside), expected):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        if expected.st_mode & _WRITABLE:
            os.chmod(beside, stat.S_IMODE(expected.st_mode) & ~_WRITABLE)
        os.replace(beside, target)
    finally:
        # A failure leaves it, and so does the renaming of one name of a file to another one.
        with contextlib.suppress(OSError):
            os.unlink(beside)
    return os.stat(target)


_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def sync(paths: Iterable[Path]) -> None:
    """Return when the data of these files has reached the disk; a file that is gone does not matter."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def identity(path: Path) -> tuple[int, int, int] | None:
    """What tells a file from another one in its place, or of another time; None when there is none."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def existing_parent(path: Path) -> Path:
    """The path itself, or the nearest folder above it that exists already."""
    return next((p for p in (path, *path.absolute().parents) if os.path.exists(p)), path)


def file_size(path: str | Path) -> int | None:
    """The size of a regular file, None when none can be seen there."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def free_space(path: Path) -> int:
    """Bytes that this user can still write where `path` is or will be; raises StorageError."""
    import shutil

    with storage_errors(path):
        return shutil.disk_usage(existing_parent(path)).free


def walk(root: str | Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """What os.walk gives, but OSError for a folder that cannot be looked into: it may hold anything."""
    for place, folders, files in os.walk(root, onerror=_raise):
        os.stat(os.path.join(place, "."))  # names may be listed where nothing can be opened
        yield place, folders, files


def _raise(error: OSError) -> None:
    raise error


def device(path: Path) -> int:
    """A number that is the same for two paths on one file system; raises StorageError."""
    with storage_errors(path):
        return existing_parent(path).stat().st_dev


class storage_errors:
    """Turn what the operating system says inside into a StorageError about `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise storage_error(error, self._path) from error


def storage_error(error: OSError, path: Path) -> StorageError:
    """What an OSError on `path` means for a person."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageError(
            f"{path}: the disk is full ({error.strerror}); make room and run again to go on",
            Reason.NO_SPACE,
        )
    return StorageError(f"{path}: {error.strerror or error}")


def readable(size: int) -> str:
    """A number of bytes for people: `512 B`, `1.5 MiB`."""
    if abs(size) < 1024:
        return f"{size} B"
    units = ("KiB", "MiB", "GiB", "TiB")
    power = min((abs(size).bit_length() - 1) // 10, len(units))
    return f"{size / 1024**power:.1f} {units[power - 1]}"
