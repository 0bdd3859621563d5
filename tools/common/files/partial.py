"""The bytes of one file in flight: `<final name>.download`, beside its destination.

The file is its own lock: whoever works on it holds an exclusive lock on its descriptor, so others
wait, and a killed process leaves nothing locked. `<name>.json` beside it remembers which version of
which URL the bytes belong to, and which of them are there. What remains of a killed run is resumed or
thrown away; only `finish` after a proof makes it a file under its final name.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import msgspec

from ..checksum import Checksum
from ..errors import Reason
from .disk import clone, copy_range, read_at, storage_error, storage_errors, write_at
from .hashing import FileHasher
from .ranges import Range, Ranges

WORTH_RESUMING = 1 << 20
"""Bytes from which on the origin of a partial file is remembered; less is sooner fetched again."""

NOTES_EVERY = 1 << 20
"""Bytes between notes on a file with gaps: what of it a killed run loses."""

_MAX_NOTES = 1 << 16  # bytes

PLAIN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""Flags for `os.open`: a link in its place would let somebody else choose the file that is used."""


class Provenance(msgspec.Struct, frozen=True):
    """Which bytes these are: those of a URL (masked), of the version that the server named."""

    url: str
    validator: str | None = None


class _Notes(msgspec.Struct, frozen=True):
    """What is written beside a file in flight. Without `ranges` the file has no gaps."""

    provenance: Provenance
    ranges: tuple[Range, ...] = ()


class Partial:
    """An open, locked file in flight; `claiming.claim` gives one.

    `write` may be called from several threads, everything else from one.
    """

    def __init__(self, destination: Path, path: Path, handle: int, shared: bool) -> None:
        self.destination, self.path = destination, path
        self._handle, self._shared = handle, shared
        self._hasher: FileHasher | None = None
        self._algorithm = ""
        self._lock = threading.Lock()
        self._provenance: Provenance | None = None
        self._later = Ranges()
        self._noted, self._since_notes = False, 0
        self._may_have_notes = shared
        self._named = False
        self.size = os.fstat(handle).st_size if shared else 0
        """Bytes that are there from the beginning, without a gap."""
        if self.size:
            self._read_notes()
        self.inherited = self.size > 0 or bool(self._later)
        """Whether some of the bytes were here before the last `begin`: of an earlier run or attempt."""

    @property
    def provenance(self) -> Provenance | None:
        """Where the bytes that are here came from, as far as that was remembered."""
        return self._provenance

    @property
    def received(self) -> int:
        """Bytes that are there, those after gaps included."""
        if not self._later:
            return self.size
        with self._lock:
            return self.size + sum(stop - start for start, stop in self._later)

    @property
    def gapped(self) -> bool:
        """Whether there are bytes after a gap."""
        return bool(self._later)

    def gaps(self, size: int) -> list[Range]:
        """What is missing of a file of this size."""
        with self._lock:
            return Ranges([(0, self.size), *self._later]).gaps(size)

    @property
    def _notes(self) -> str:
        return f"{self.path}.json"

    def _read_notes(self) -> None:
        # Notes from a killed run may be cut off, others may hold anything: then there are none.
        with contextlib.suppress(OSError, ValueError, RecursionError):
            handle = os.open(self._notes, os.O_RDONLY | PLAIN | getattr(os, "O_NONBLOCK", 0))
            with open(handle, "rb") as file:
                notes = msgspec.json.decode(file.read(_MAX_NOTES), type=_Notes)
            if notes.ranges:
                there = Ranges((start, min(stop, self.size)) for start, stop in notes.ranges)
                self.size = there.prefix
                self._later = Ranges(r for r in there if r[0] > self.size)
            self._provenance, self._noted = notes.provenance, True

    def begin(self, offset: int, provenance: Provenance, algorithm: str) -> None:
        """Go on at `offset` (at most `size`) with bytes of this provenance, hashing all of them."""
        with storage_errors(self.path):
            if offset != self.size or self._hasher is None or algorithm != self._algorithm:
                self._stop_hashing()
                self._hasher, self._algorithm = FileHasher(self._handle, algorithm), algorithm
            # A kill in between must leave bytes without notes, never notes on other bytes.
            if offset == 0 or provenance != self._provenance:
                self._forget()
                self._truncate(offset)
            elif offset != self.size or not self._later:
                self._truncate(offset)
            self._provenance = provenance
            self.inherited = offset > 0
            self._hasher.follow(offset)

    def _truncate(self, size: int) -> None:
        os.ftruncate(self._handle, size)
        self.size, self._later = size, Ranges()

    def close_gaps(self) -> None:
        """Throw away the bytes after the first gap; where the others came from is still known."""
        known = self._provenance
        with storage_errors(self.path):
            self._forget()
            self._truncate(self.size)
        self._provenance = known

    def write(self, data: bytes, offset: int | None = None) -> None:
        """Put bytes at `offset`, or at the end; raises StorageError, and then keeps what fitted."""
        start = self.size if offset is None else offset
        written = 0
        try:
            self._note_in_time(start, start + len(data))
            while written < len(data):
                written += write_at(self._handle, memoryview(data)[written:], start + written)
        except OSError as error:
            raise storage_error(error, self.path) from error
        finally:
            self._account(start, data[:written] if written < len(data) else data)

    def clone(self, source: int) -> bool:
        """Share all blocks of another open file, which nobody hashes; False where that cannot be."""
        self.reset()
        if shared := clone(source, self._handle):
            self.size = os.fstat(self._handle).st_size
        return shared

    def copy(self, source: int) -> Iterator[int]:
        """Append what another open file holds from `size` on; yields each size reached.

        Raises StorageError when the disk is full, and OSError when the other file cannot be read.
        """
        while count := self._copy_some(source):
            with self._lock:
                self.size += count
                if self._hasher is not None:
                    self._hasher.follow(self.size)
            yield self.size

    def _copy_some(self, source: int) -> int:
        try:
            return copy_range(source, self._handle, self.size)
        except OSError as error:
            meaning = storage_error(error, self.path)
            raise meaning if meaning.reason == Reason.NO_SPACE else error from None

    def _account(self, start: int, data: bytes) -> None:
        with self._lock:
            if start > self.size:
                self._later.add(start, start + len(data))
                if self._hasher is not None:
                    self._hasher.detach()  # several threads write
                return
            self.size = max(self.size, start + len(data))
            if self._later:
                self._later.add(0, self.size)
                self.size = self._later.prefix
                self._later = Ranges(r for r in self._later if r[0] > self.size)
            if self._hasher is not None:
                self._hasher.follow(self.size, start, data)

    def _note_in_time(self, start: int, stop: int) -> None:
        """Before bytes come after a gap it must be on record which ones are there."""
        if start == self.size and not self._later and (self._noted or stop < WORTH_RESUMING):
            return
        with self._lock:
            gaps = bool(self._later) or start > self.size
            if gaps:
                self._since_notes += stop - start
                due = not self._noted or self._since_notes > NOTES_EVERY or not self._later
            else:
                due = not self._noted and stop >= WORTH_RESUMING
            if due and self._shared and self._provenance is not None:
                self._noted, self._since_notes = True, stop - start  # these are not in them
                self._write_notes(self._provenance, gaps)

    def _write_notes(self, provenance: Provenance, gaps: bool) -> None:
        ranges = ((0, self.size), *self._later) if gaps else ()
        self._may_have_notes = True
        handle = os.open(self._notes, os.O_WRONLY | os.O_CREAT | PLAIN, 0o666)
        with open(handle, "wb") as file:
            file.write(msgspec.json.encode(_Notes(provenance, ranges)))
            file.truncate()

    @property
    def is_being_hashed(self) -> bool:
        """Whether much is to be hashed still, and a processor is free for something else meanwhile."""
        return self._hasher is not None and self._hasher.leaves_time

    def checksum(self) -> Checksum:
        """The checksum of the bytes up to `size`; call `begin` first. Raises StorageError."""
        assert self._hasher is not None, "begin() starts the hashing"
        with storage_errors(self.path):
            return self._hasher.checksum()

    def _stop_hashing(self) -> None:
        if self._hasher is not None:
            self._hasher.close()
            self._hasher = None

    def head(self) -> bytes:
        """The first bytes, enough to see what kind of document this is."""
        with storage_errors(self.path):
            return read_at(self._handle, 512, 0)

    def reset(self) -> None:
        """Forget the bytes that are here: they are not the file."""
        self._stop_hashing()
        with storage_errors(self.path):
            self._forget()
            self._truncate(0)
        self.inherited = False

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
        if self._may_have_notes:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._notes)
            self._may_have_notes = False
        self._provenance, self._noted = None, False

    def _let_go(self) -> None:
        self._stop_hashing()
        if os.name == "nt":  # an open file can neither be renamed nor removed there
            self._close()

    def _close(self) -> None:
        self._stop_hashing()
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
            if not self._named and (not self.received or not self._shared):
                self.discard()
            self._close()
