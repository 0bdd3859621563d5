"""Deflate on all processors, as pigz does it: blocks are compressed beside each other, and joined.

Each block ends with a sync flush, at a whole byte, and has what came before it as its dictionary; so
all of them together are one stream that every program reads (RFC 1951), hardly larger than otherwise.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

BLOCK = 1 << 20
"""Bytes that are compressed as one piece."""

_WINDOW = 32 << 10  # bytes that deflate looks back
_RAW = -15  # a window of that size, and no header


class Deflater:
    """Has the two verbs of `zlib.compressobj`; `close` ends its threads, whatever has happened."""

    def __init__(self, level: int) -> None:
        self._level = level
        workers = min(8, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(workers, "modelzoo-deflate")
        self._most = 2 * workers
        self._blocks: deque[Future[bytes]] = deque()
        self._rest, self._before = bytearray(), b""

    def compress(self, data: bytes) -> bytes:
        """Take the next bytes; returns what is ready of the stream."""
        self._rest += data
        while len(self._rest) >= BLOCK:
            self._start(bytes(self._rest[:BLOCK]))
            del self._rest[:BLOCK]
        return b"".join(self._ready(self._most))

    def flush(self) -> bytes:
        """Everything that is left, and the end of the stream."""
        if self._rest:
            self._start(bytes(self._rest))
            self._rest.clear()
        return b"".join(self._ready(0)) + zlib.compressobj(self._level, wbits=_RAW).flush()

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _start(self, block: bytes) -> None:
        self._blocks.append(self._pool.submit(_deflated, block, self._before, self._level))
        self._before = block[-_WINDOW:]

    def _ready(self, most: int) -> Iterator[bytes]:
        """What is finished, in order; waits while more than `most` blocks are on their way."""
        while self._blocks and (len(self._blocks) > most or self._blocks[0].done()):
            yield self._blocks.popleft().result()


def _deflated(block: bytes, before: bytes, level: int) -> bytes:
    compressor = zlib.compressobj(level, wbits=_RAW, zdict=before)
    return compressor.compress(block) + compressor.flush(zlib.Z_SYNC_FLUSH)
