"""Hashing a file while it is being written, on a thread of its own where that pays.

`hashlib` releases the interpreter's lock, so receiving and hashing overlap. Where a processor is free
for it, a thread follows the file: it hashes the pieces that it is handed from memory, and whatever it
missed (because an earlier run wrote it, or it came out of order) it reads back. Where as many files
come as there are processors, each is hashed by whoever receives it, which costs no hand-over.
"""

from __future__ import annotations

import threading
from collections import deque

from ..checksum import CHUNK, Checksum, new_hasher
from ..concurrency import processors
from .disk import read_at

INLINE = 2 << 20
"""Bytes up to which a thread costs more than it saves."""

PENDING = 8
"""Pieces (of at most 256 KiB) that wait in memory."""


class _Followed:
    """How many large files are being hashed in this process."""

    def __init__(self) -> None:
        self._lock, self._count = threading.Lock(), 0

    def change(self, by: int) -> None:
        """So many more."""
        with self._lock:
            self._count += by

    @property
    def crowded(self) -> bool:
        """Whether their receivers alone keep all processors busy."""
        return self._count >= processors()


_FOLLOWED = _Followed()


class FileHasher:
    """The checksum of the contiguous beginning of a file that others write to."""

    def __init__(self, handle: int, algorithm: str) -> None:
        self._handle, self._algorithm = handle, algorithm
        self._hasher = new_hasher(algorithm)
        self._position = self._goal = 0
        self._pieces: deque[tuple[int, bytes]] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None
        self._large = self._reads_back = self._closed = False

    def follow(self, size: int, offset: int = 0, data: bytes = b"") -> None:
        """The first `size` bytes are in the file now; `data`, just written at `offset`, may help.

        Waits while many pieces wait already: to read them back later would take longer.
        """
        if not self._large and size > INLINE:
            self._large = True
            _FOLLOWED.change(+1)
        if self._thread is None:
            next_piece = offset == self._position and size == offset + len(data)
            if next_piece and (not self._large or _FOLLOWED.crowded):
                self._hasher.update(data)
                self._position = self._goal = size
                return
            if size <= self._position:
                return
            self.detach()
        with self._changed:
            while len(self._pieces) >= PENDING and not (self._reads_back or self._ended):
                self._changed.wait()
            self._goal = max(self._goal, size)
            if data and len(self._pieces) < PENDING:
                self._pieces.append((offset, data))
            self._changed.notify_all()

    @property
    def _ended(self) -> bool:
        return self._closed or self._error is not None

    def detach(self) -> None:
        """Hash on a thread from now on; whoever writes has other things to do."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="modelzoo-hash", daemon=True)
            self._thread.start()

    def checksum(self) -> Checksum:
        """The checksum of everything that is there; waits for it. Raises OSError."""
        if self._thread is not None:
            with self._changed:
                self._changed.wait_for(lambda: self._position >= self._goal or self._error)
        if self._error is not None:
            raise self._error
        return Checksum(self._algorithm, self._hasher.hexdigest())

    def close(self) -> None:
        """End the thread; wait for it, since it uses the file."""
        if self._large and not self._closed:
            _FOLLOWED.change(-1)
        self._closed = True
        if self._thread is not None:
            with self._changed:
                self._changed.notify_all()
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        try:
            while (piece := self._next()) is not None:
                self._hasher.update(piece)
                with self._changed:
                    self._position += len(piece)
                    self._changed.notify_all()
        except OSError as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _next(self) -> bytes | None:
        """The bytes that come next, from memory or from the file; None when closed."""
        with self._changed:
            while not self._closed and self._position >= self._goal:
                self._changed.wait()
            if self._closed:
                return None
            while self._pieces and self._pieces[0][0] < self._position:
                self._pieces.popleft()
            self._reads_back = not self._pieces or self._pieces[0][0] != self._position
            if not self._reads_back:
                self._changed.notify_all()
                return self._pieces.popleft()[1]
            until = self._pieces[0][0] if self._pieces else self._goal
            count = min(CHUNK, until - self._position)
        piece = read_at(self._handle, count, self._position)
        if not piece:
            raise OSError(f"the file ended at {self._position}, expected {until} bytes")
        return piece
