"""A folder as a repository: on this machine, or a network mount that other machines have too."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from ...checksum import Checksum, new_hasher
from ...errors import CatalogError, Reason, TransferError, UsageError
from ...files.disk import copy_range, storage_error, storage_errors, write_all
from ...files.hashing import FileHasher
from ...files.locks import lock, machine, still_named
from ...files.partial import PLAIN
from ...stores import Settings
from ...stores.file import local_path
from . import MAX_DOCUMENT, Entry, Sent, missing, require_key

SCHEMES = ("file",)

IN_FLIGHT = ".tmp"
"""What the names of files that are being written end with; they begin with a dot."""

STALE = 86400
"""Seconds after which a file in flight of another machine is taken for what a killed process left."""


def create(place: str, settings: Settings) -> FolderStorage:
    """The folder at a path or file URL; it need not exist before something is written to it."""
    if not place.lower().startswith("file://"):
        return FolderStorage(Path(os.path.expanduser(place)))
    parts = urlsplit(place)
    if parts.netloc not in ("", "localhost"):
        raise UsageError(f"{place} names a host: a file URL is file:///path")
    return FolderStorage(local_path(parts.path))


class FolderStorage:
    """Files in a folder, each written beside its place, synced and renamed."""

    exclusive = True

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))
        self.url = str(self.root)

    def read(self, key: str, limit: int = MAX_DOCUMENT) -> bytes:
        """See Storage.read."""
        path = self._path(key)
        try:
            if not path.is_file():  # opening a pipe or a device could block for ever
                raise missing(str(path))
            with path.open("rb", buffering=0) as file:
                data = file.read(limit + 1)
        except OSError as error:
            raise _reading_failed(error, path) from None
        if len(data) > limit:
            raise CatalogError(f"is larger than {limit} bytes", file=str(path))
        return data

    def exists(self, key: str) -> bool:
        """See Storage.exists."""
        path = self._path(key)
        try:
            return stat.S_ISREG(os.stat(path).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise storage_error(error, path) from None

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """See Storage.list. Links to folders are not followed: they could lead in circles."""
        start = self._path(prefix) if prefix else self.root
        for folder, folders, names in os.walk(start, onerror=_raise_unless_gone):
            folders.sort()
            where = os.path.relpath(folder, self.root).replace(os.sep, "/")
            for name in sorted(names):
                with contextlib.suppress(FileNotFoundError):  # it has just been renamed or removed
                    found = os.stat(os.path.join(folder, name))
                    key = name if where == "." else f"{where}/{name}"
                    yield Entry(key, found.st_size, f"{found.st_size}-{found.st_mtime_ns}")

    def checksum(self, key: str) -> Checksum | None:
        """The MD5 of a small file, read for it; None for one that takes longer."""
        path = self._path(key)
        try:
            if path.stat().st_size > MAX_DOCUMENT:
                return None
        except OSError as error:
            raise _reading_failed(error, path) from None
        hasher = new_hasher("md5")
        hasher.update(self.read(key))
        return Checksum("md5", hasher.hexdigest())

    def origin(self, key: str) -> str:
        """See Storage.origin."""
        return self._path(key).as_uri()

    def create(self, key: str, data: bytes) -> bool:
        """See Storage.create: a link of a finished file is made only where there is no file yet."""
        path = self._path(key)
        with storage_errors(path), _beside(path) as (handle, temporary):
            write_all(handle, data)
            os.fsync(handle)
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                return _create_alone(path, data)
            _sync_folder(path.parent)
        return True

    def write(self, key: str, data: bytes) -> None:
        """See Storage.write."""
        path = self._path(key)
        with storage_errors(path), _beside(path) as (handle, temporary):
            write_all(handle, data)
            os.fsync(handle)
            os.replace(temporary, path)
            _sync_folder(path.parent)

    def upload(self, key: str, path: Path, checksum: Checksum, sent: Sent) -> None:
        """See Storage.upload: what is in the new file is hashed while the rest is being copied."""
        target = self._path(key)
        with storage_errors(target), _beside(target) as (handle, temporary), path.open("rb") as source:
            hasher = FileHasher(handle, checksum.type)
            try:
                size = 0
                while count := copy_range(source.fileno(), handle, size):
                    size += count
                    hasher.follow(size)
                    sent(size)
                arrived = hasher.checksum()
            finally:
                hasher.close()
            if arrived != checksum:
                problem = f"expected {checksum}, {arrived} arrived"
                raise TransferError(Reason.CHECKSUM_MISMATCH, problem, url=str(target), transient=True)
            os.fsync(handle)
            os.replace(temporary, target)
            _sync_folder(target.parent)

    def delete(self, key: str) -> None:
        """See Storage.delete. A folder that is empty after that goes too, as far as the repository."""
        path = self._path(key)
        with storage_errors(path):
            path.unlink(missing_ok=True)
        _clear_away(path)
        with contextlib.suppress(OSError):  # not empty, or another process is about to fill it
            while (path := path.parent) != self.root:
                path.rmdir()

    def _path(self, key: str) -> Path:
        require_key(key)
        return self.root / key


_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL
_RACES = 8
"""How often a folder may vanish before it has to be for another reason."""

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL)
"""What file systems without hard links say."""


def _create_alone(path: Path, data: bytes) -> bool:
    """Write in place, where there is no better way; who reads meanwhile sees less."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    with open(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(handle)
    return True


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[tuple[int, Path]]:
    """A new file in the folder of `path`, removed at the end unless it has been renamed."""
    handle, temporary = _new_file(path)
    _clear_away(path)
    try:
        yield handle, temporary
    finally:
        os.close(handle)
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def _new_file(path: Path) -> tuple[int, Path]:
    """A file with a name of its own, locked: while it is, nobody takes it for what was left."""
    while True:
        temporary = path.with_name(f"{_prefix(path)}{_tag()}{os.urandom(4).hex()}{IN_FLIGHT}")
        handle = _open_in_folder(temporary)
        try:
            mine = lock(handle) and still_named(handle, temporary)
        except OSError:  # where there are no locks, its age has to tell
            mine = True
        if mine:
            return handle, temporary
        os.close(handle)  # somebody was quicker, and has removed it


def _prefix(path: Path) -> str:
    return f".{path.name[:100]}."


def _tag() -> str:
    """What tells the files of this machine, whose locks can be seen."""
    return machine().replace("-", "")[:12]


def _open_in_folder(path: Path) -> int:
    """A new file; its folder, which another process may tidy away just before, is made for it."""
    for _ in range(_RACES):
        with contextlib.suppress(FileNotFoundError):
            path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(path, _NEW, 0o666)
    return os.open(path, _NEW, 0o666)


def _clear_away(path: Path) -> None:
    """Remove what processes that were killed left of this file."""
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if not entry.name.startswith(_prefix(path)) or not entry.name.endswith(IN_FLIGHT):
                continue
            with contextlib.suppress(OSError):
                if entry.stat().st_mtime < time.time() - STALE:
                    os.unlink(entry.path)
                elif _tag() and entry.name.startswith(_prefix(path) + _tag()):
                    _remove_unlocked(entry.path)


def _remove_unlocked(path: str) -> None:
    handle = os.open(path, os.O_RDWR | PLAIN)
    try:
        if lock(handle):
            os.unlink(path)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    """Make a new name last; where folders cannot be synced the file system does it by itself."""
    if os.name != "nt":
        with contextlib.suppress(OSError):
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise storage_error(error, Path(error.filename))


def _reading_failed(error: OSError, path: Path) -> Exception:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return missing(str(path))
    return storage_error(error, path)
