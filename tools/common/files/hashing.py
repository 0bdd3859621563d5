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

LONG = 16 << 20
"""Bytes that are worth doing something else while they are hashed."""

BATCH = 1 << 20
"""Bytes that are handed to a thread at once."""

BUFFERS, BUFFERS_IN_ALL = 8, 8
"""Batches that wait in memory, of each file and of all together."""


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
        self._told = self._position = self._goal = 0
        self._batch: _Batch | None = None
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None
        self._large = self._reads_back = self._closed = False

    def follow(self, size: int, offset: int = 0, data: bytes = b"") -> None:
        """The first `size` bytes are in the file now; `data`, just written at `offset`, may help.

        Waits while much waits already: to read it back later would take longer.
        """
        if not self._large and size > INLINE:
            self._large = True
            _FOLLOWED.change(+1)
        if size <= self._told:
            return
        is_next = offset == self._told and size == offset + len(data)
        if self._thread is None:
            if is_next and self._told == self._position and (not self._large or _FOLLOWED.crowded):
                self._hasher.update(data)
                self._told = self._position = self._goal = size
                return
            if not self._large:
                self._told = size  # soon read back, when somebody asks
                return
            self.detach()
        if is_next:
            self._keep(data)
        if size > self._told:
            self._told = size
            self._hand_over()

    def _keep(self, data: bytes) -> None:
        """Have the next bytes hashed from memory, as far as there is room."""
        rest = memoryview(data)
        while rest and (batch := self._batch or self._new_batch()):
            self._batch, count = batch, batch.add(rest)
            self._told += count
            rest = rest[count:]
            if batch.is_full:
                self._hand_over()

    def _new_batch(self) -> _Batch | None:
        with self._changed:
            if self._buffers >= BUFFERS:
                # Not for each single one: who waits for room has much to bring.
                self._changed.wait_for(
                    lambda: self._buffers <= BUFFERS // 2 or self._reads_back or self._ended
                )
            if self._buffers >= BUFFERS or (buffer := _MEMORY.take()) is None:
                return None
            self._buffers += 1
            return _Batch(self._told, buffer)

    def _hand_over(self) -> None:
        """What is told is for the thread: from memory, and what is not there from the file."""
        with self._changed:
            if self._batch:
                self._waiting.append(self._batch)
            self._batch, self._goal = None, self._told
            self._changed.notify_all()

    @property
    def _ended(self) -> bool:
        return self._closed or self._error is not None

    def detach(self) -> None:
        """Hash on a thread from now on; whoever writes has other things to do."""
        if self._thread is None:
            self._waiting: deque[_Batch] = deque()
            self._buffers = 0
            self._changed = threading.Condition()
            self._thread = threading.Thread(target=self._run, name="modelzoo-hash", daemon=True)
            self._thread.start()

    def _read_back(self, until: int) -> bytes:
        piece = read_at(self._handle, min(CHUNK, until - self._position), self._position)
        if not piece:
            raise OSError(f"the file ended at {self._position}, expected {until} bytes")
        return piece

    @property
    def leaves_time(self) -> bool:
        """Whether a thread has much to hash still, and a processor is free for something else."""
        behind = self._thread is not None and self._told - self._position > LONG
        return behind and not self._ended and not _FOLLOWED.crowded

    def checksum(self) -> Checksum:
        """The checksum of everything that is there; waits for it. Raises OSError."""
        while self._thread is None and self._position < self._told:
            piece = self._read_back(self._told)
            self._hasher.update(piece)
            self._position += len(piece)
        if self._thread is not None:
            self._hand_over()
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
            # Ctrl-C may have come before it had begun; it sees that nothing is wanted any more, then.
            if self._thread.is_alive():
                self._thread.join()
            self._thread = None
            for batch in (*self._waiting, *filter(None, [self._batch])):
                self._give_back(batch)

    def _give_back(self, batch: _Batch) -> None:
        self._buffers -= 1
        _MEMORY.give(batch.buffer)

    def _run(self) -> None:
        try:
            while (batch := self._next()) is not None:
                self._hasher.update(batch if isinstance(batch, bytes) else batch.content)
                with self._changed:
                    if isinstance(batch, bytes):
                        self._position += len(batch)
                    else:
                        self._position = batch.stop
                        self._give_back(batch)
                    self._changed.notify_all()
        except OSError as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _next(self) -> _Batch | bytes | None:
        """The bytes that come next, from memory or from the file; None when closed."""
        with self._changed:
            while not self._closed and self._position >= self._goal:
                self._changed.wait()
            if self._closed:
                return None
            self._reads_back = not self._waiting or self._waiting[0].start != self._position
            if not self._reads_back:
                return self._waiting.popleft()
            self._changed.notify_all()
            until = self._waiting[0].start if self._waiting else self._goal
        return self._read_back(until)


class _Memory:
    """What waits, of all files: used again and again, for new memory costs more than a copy."""

    def __init__(self) -> None:
        self._lock, self._unused, self._left = threading.Lock(), list[bytearray](), BUFFERS_IN_ALL

    def take(self) -> bytearray | None:
        """A buffer, if one is left."""
        with self._lock:
            if not self._left:
                return None
            self._left -= 1
            return self._unused.pop() if self._unused else bytearray(BATCH)

    def give(self, buffer: bytearray) -> None:
        """It can be used again."""
        with self._lock:
            self._left += 1
            self._unused.append(buffer)
            if self._left == BUFFERS_IN_ALL:  # nobody hashes any more
                self._unused.clear()


_MEMORY = _Memory()


class _Batch:
    """Bytes that follow each other; to hand over each piece as it came would cost too much."""

    def __init__(self, start: int, buffer: bytearray) -> None:
        self.start = self.stop = start
        self.buffer = buffer

    @property
    def content(self) -> memoryview:
        """The bytes."""
        return memoryview(self.buffer)[: self.stop - self.start]

    @property
    def is_full(self) -> bool:
        """Whether no more fit."""
        return self.stop - self.start == BATCH

    def add(self, data: memoryview) -> int:
        """Take what fits of the bytes that come next; returns how many these were."""
        used = self.stop - self.start
        count = min(len(data), BATCH - used)
        self.buffer[used : used + count] = data[:count]
        self.stop += count
        return count
