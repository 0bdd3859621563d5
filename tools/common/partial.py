"""The bytes of one file in flight: `<final name>.download`, beside its destination.

The file is its own lock: whoever works on it holds an exclusive lock on its descriptor, so another
process waits or goes on to the next file, and a killed one leaves nothing locked. `<name>.json`
beside it remembers which version of which URL the bytes belong to. What remains of a killed run is
resumed or thrown away; only `finish` after a proof makes it a file under its final name.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from types import TracebackType

import filelock
import msgspec

from .checksum import CHUNK, Checksum, Hasher, new_hasher
from .disk import file_size, storage_error, storage_errors
from .paths import PARTIAL_SUFFIX

WORTH_RESUMING = 1 << 20
"""Bytes from which on the origin of a partial file is remembered; less is sooner fetched again."""

_MAX_NOTES = 1 << 16  # bytes

# A symbolic link in its place would let somebody else choose the file that is read or written.
_PLAIN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class Provenance(msgspec.Struct, frozen=True):
    """Which bytes these are: the URL (masked), the version the server named, the whole size."""

    url: str
    validator: str | None = None
    size: int | None = None


class Partial:
    """An open, locked file in flight; use `claim` to get one."""

    def __init__(self, destination: Path, path: Path, handle: int, shared: bool) -> None:
        self.destination, self.path = destination, path
        self._handle, self._shared = handle, shared
        self._hasher: Hasher | None = None
        self._algorithm = ""
        self._provenance: Provenance | None = None
        self._remembered = self._named = False
        self.size = os.fstat(handle).st_size if shared else 0
        self.inherited = self.size > 0
        """Whether some of the bytes are from an earlier run, which may have been killed anywhere."""

    @property
    def provenance(self) -> Provenance | None:
        """Where the bytes that are here came from, as far as that was remembered."""
        if self._provenance is None and self.size and self._shared:
            # Notes from a killed run may be cut off, others may hold anything: then there are none.
            with contextlib.suppress(OSError, ValueError, RecursionError):
                handle = os.open(self._notes, os.O_RDONLY | _PLAIN | getattr(os, "O_NONBLOCK", 0))
                with open(handle, "rb") as file:
                    self._provenance = msgspec.json.decode(file.read(_MAX_NOTES), type=Provenance)
                self._remembered = True
        return self._provenance

    @property
    def _notes(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def begin(self, offset: int, provenance: Provenance, algorithm: str) -> None:
        """Go on at `offset` (at most `size`) with bytes of this provenance, hashing all of them."""
        with storage_errors(self.path):
            if offset != self.size or self._hasher is None or algorithm != self._algorithm:
                self._hasher, self._algorithm = new_hasher(algorithm), algorithm
                self._hash_prefix(self._hasher, offset)
            # A kill in between must leave bytes without notes, never notes on other bytes.
            if provenance != self.provenance:
                self._forget()
            self._truncate(offset)
            self._provenance = provenance

    def _truncate(self, size: int) -> None:
        os.ftruncate(self._handle, size)
        os.lseek(self._handle, size, os.SEEK_SET)
        self.size, self.inherited = size, self.inherited and size > 0

    def _hash_prefix(self, hasher: Hasher, size: int) -> None:
        os.lseek(self._handle, 0, os.SEEK_SET)
        while size > 0 and (chunk := os.read(self._handle, min(CHUNK, size))):
            hasher.update(chunk)
            size -= len(chunk)

    def write(self, data: bytes) -> None:
        """Append bytes; raises StorageError, and then keeps what fitted."""
        if self._hasher is not None:
            self._hasher.update(data)
        view = memoryview(data)
        try:
            while view:
                written = os.write(self._handle, view)
                view, self.size = view[written:], self.size + written
        except OSError as error:
            self._hasher = None  # it has seen bytes that are not in the file
            raise storage_error(error, self.path) from error
        worth = self.size >= WORTH_RESUMING and self._shared and self._provenance is not None
        if worth and not self._remembered:
            self._remember()

    def _remember(self) -> None:
        self._remembered = True
        with storage_errors(self._notes):
            handle = os.open(self._notes, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _PLAIN, 0o666)
            with open(handle, "wb") as file:
                file.write(msgspec.json.encode(self._provenance))

    def checksum(self) -> Checksum:
        """The checksum of the bytes that are here; call `begin` first."""
        assert self._hasher is not None, "begin() starts the hashing"
        return Checksum(self._algorithm, self._hasher.hexdigest())

    def head(self) -> bytes:
        """The first bytes, enough to see what kind of document this is."""
        os.lseek(self._handle, 0, os.SEEK_SET)
        head = os.read(self._handle, 512)
        os.lseek(self._handle, self.size, os.SEEK_SET)
        return head

    def reset(self) -> None:
        """Forget the bytes that are here: they are not the file."""
        with storage_errors(self.path):
            self._forget()
            self._truncate(0)
        self._hasher = None

    def finish(self, target: Path | None = None) -> os.stat_result:
        """Give the file its final name (its destination's, unless told another); its final state."""
        target = target or self.destination
        with storage_errors(target):
            stat = os.fstat(self._handle)
            self._forget()
            self._let_go()
            os.replace(self.path, target)
            self._named = True  # from here on the names in flight may be somebody else's
        return stat

    def discard(self) -> None:
        """Throw the bytes away, unless they have got their final name."""
        if self._named:
            return
        with contextlib.suppress(OSError):
            self._forget()
            self._let_go()
            self.path.unlink(missing_ok=True)
            self._named = True

    def _forget(self) -> None:
        if self._shared:
            self._notes.unlink(missing_ok=True)
        self._provenance, self._remembered = None, False

    def _let_go(self) -> None:
        if os.name == "nt":  # an open file can neither be renamed nor removed there
            self._close()

    def _close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> Partial:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            if not self._named and (self.size == 0 or not self._shared):
                self.discard()
            self._close()


def claim(destination: Path) -> Partial | None:
    """The file in flight for this destination, or None while another process works on it.

    Where locks do not work the file has a name of its own: it is not resumed, and the rename decides.
    """
    path = destination.with_name(destination.name + PARTIAL_SUFFIX)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, created = _open(path)
        try:
            locked = filelock.lock_descriptor(handle, blocking=False)
        except OSError:
            os.close(handle)
            if created:
                path.unlink(missing_ok=True)
            return _claim_alone(destination)
        # The holder before us may have renamed or removed the file that we have just locked.
        if locked and _still_named(handle, path):
            return Partial(destination, path, handle, shared=True)
        os.close(handle)
        return None


def _open(path: Path) -> tuple[int, bool]:
    """The file in flight, and whether it was not there before."""
    flags = os.O_RDWR | os.O_CREAT | _PLAIN
    try:
        return os.open(path, flags | os.O_EXCL, 0o666), True
    except FileExistsError:
        return os.open(path, flags, 0o666), False


def _claim_alone(destination: Path) -> Partial:
    alone = destination.with_name(f"{destination.name}.{secrets.token_hex(4)}{PARTIAL_SUFFIX}")
    return Partial(destination, alone, _open(alone)[0], shared=False)


def _still_named(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except FileNotFoundError:
        return False


def partial_size(destination: Path) -> int:
    """Bytes of this destination that an earlier run left in flight."""
    return file_size(destination.with_name(destination.name + PARTIAL_SUFFIX)) or 0
