"""A model's folder below a download or output directory, wherever that is."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from ..checksum import Checksum, file_checksum
from ..files.disk import storage_errors, sync, write_whole
from ..files.paths import PARTIAL_SUFFIX, STATE_DIR

ALGORITHM = "sha256"
MAX_RECORD = 64 << 20  # bytes


class Stamp(msgspec.Struct, frozen=True):
    """What a file looks like without being read: its size, and what changes when it does."""

    size: int
    version: str


class ModelFolder(Protocol):
    """The files of one model. Names are relative POSIX paths. Errors: ModelZooError, OSError."""

    path: Path
    """Where programs find the folder."""

    def address(self, name: str) -> str:
        """What a file is called by everybody who can reach it."""
        ...

    def names(self, leave_out: Callable[[str], bool]) -> list[str]:
        """The files, sorted, without those in folders that are left out."""
        ...

    def stamp(self, name: str) -> Stamp | None:
        """How a file looks; None where it is not there."""
        ...

    def checksum(self, name: str) -> Checksum:
        """The digest of a file, which is read for it."""
        ...

    def bring(self, names: Iterable[str]) -> None:
        """Have these files in `path`, as far as they are there at all."""
        ...

    def store(self, names: Sequence[str]) -> None:
        """Have what was put into `path` where it is to stay, one after the other."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write a small file."""
        ...

    def read_record(self, name: str) -> bytes | None:
        """What the tools have noted under this name; None when they have not, or nobody can read it."""
        ...

    def write_record(self, name: str, data: bytes) -> None:
        """Note something under this name."""
        ...


class LocalFolder:
    """A folder of this machine, or one that it shares with others."""

    def __init__(self, root: Path, subdirectory: str) -> None:
        self._records, self.path = root / STATE_DIR, root / subdirectory

    def address(self, name: str) -> str:
        """See ModelFolder.address."""
        return os.path.abspath(self.path / name)

    def names(self, leave_out: Callable[[str], bool]) -> list[str]:
        """See ModelFolder.names."""
        return [*files_below(self.path, leave_out)]

    def stamp(self, name: str) -> Stamp | None:
        """See ModelFolder.stamp."""
        try:
            found = os.stat(self.path / name)
        except (OSError, ValueError):
            return None
        return Stamp(found.st_size, str(found.st_mtime_ns))

    def checksum(self, name: str) -> Checksum:
        """See ModelFolder.checksum."""
        return file_checksum(self.path / name, ALGORITHM)

    def bring(self, names: Iterable[str]) -> None:
        """See ModelFolder.bring: they are here."""

    def store(self, names: Sequence[str]) -> None:
        """See ModelFolder.store."""
        with storage_errors(self.path):
            sync(self.path / name for name in names)

    def write(self, name: str, data: bytes) -> None:
        """See ModelFolder.write."""
        with storage_errors(self.path / name):
            write_whole(self.path / name, data)

    def read_record(self, name: str) -> bytes | None:
        """See ModelFolder.read_record."""
        path = self._records / name
        try:
            found = os.stat(path)
            fits = stat.S_ISREG(found.st_mode) and found.st_size <= MAX_RECORD
            return path.read_bytes() if fits else None
        except OSError:
            return None

    def write_record(self, name: str, data: bytes) -> None:
        """See ModelFolder.write_record."""
        with storage_errors(self._records / name):
            write_whole(self._records / name, data)


def files_below(root: Path, leave_out: Callable[[str], bool] = lambda name: False) -> Iterator[str]:
    """The files below a folder, sorted; a file's own path means itself; raises OSError."""
    if root.is_file():
        yield ""
        return
    for folder, folders, names in os.walk(root):
        below = os.path.relpath(folder, root).replace(os.sep, "/")
        prefix = "" if below == "." else f"{below}/"
        folders[:] = sorted(f for f in folders if f not in _NOT_FOLLOWED and not leave_out(prefix + f))
        for name in sorted(names):
            if not name.endswith(PARTIAL_SUFFIX) and not leave_out(prefix + name):
                yield prefix + name


_NOT_FOLLOWED = ("__pycache__", STATE_DIR)


def belongs(name: str, leave_out: Callable[[str], bool]) -> bool:
    """Whether `files_below` would name this file, which is there."""
    parts = name.split("/")
    if not {*parts[:-1]}.isdisjoint(_NOT_FOLLOWED) or name.endswith(PARTIAL_SUFFIX):
        return False
    return not any(leave_out("/".join(parts[: n + 1])) for n in range(len(parts)))
