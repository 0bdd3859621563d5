"""How fast a connection is, and whether it is what keeps a transfer slow."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from ..clock import Clock
from ..stores import Opened
from .engine import Engine

PROBE = 0.15
"""Seconds after which the speed of a connection is known well enough."""

WORTH = 1.0
"""Seconds still to come from which on more connections pay."""

PIECE_LIMITS = (1 << 18, 1 << 24)
"""How small and large the pieces of a file may be (bytes); with less to come it has none."""

ASSUMED = 4.0 * (1 << 20)
"""Bytes per second that one connection gives where nobody has measured."""


class Waits:
    """How long chunks are waited for, and how long it takes to do something with them; in seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._waited = self._worked = 0.0

    def timed(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks, noting both; several threads may do so."""
        asked = self._clock.now()
        for chunk in chunks:
            came = self._clock.now()
            yield chunk
            del chunk
            done = self._clock.now()
            with self._lock:
                self._waited += came - asked
                self._worked += done - came
            asked = done

    @property
    def prevail(self) -> bool:
        """Whether the connections are what everything waits for, not the hash or the disk."""
        return self._waited > self._worked


class Pace:
    """How fast one connection is, and whether more of them would pay.

    They do not where the time goes into hashing and writing: the connection has to wait then.
    """

    def __init__(self, engine: Engine, url: str, opened: Opened) -> None:
        self._clock, self._connections, self._url = engine.clock, engine.connections, url
        # Under a cap of our own every connection looks slow.
        self._possible = opened.remote and opened.parts and engine.limit.rate is None
        self._began, self._bytes, self._waits = engine.clock.now(), 0, Waits(engine.clock)
        self.rate = ASSUMED
        """Bytes per second, measured once `is_slow` has been asked for long enough."""

    def timed(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks; how long they are waited for is noted."""
        return self._waits.timed(chunks)

    def is_slow(self, count: int, missing: int) -> bool:
        """After `count` more bytes: would the `missing` ones keep this connection busy for long?"""
        if not self._possible or missing < PIECE_LIMITS[0]:
            return False
        self._bytes += count
        seconds = self._clock.now() - self._began
        if seconds < PROBE:
            return False
        self.rate = self._bytes / seconds
        return (
            self._waits.prevail
            and missing > WORTH * self.rate
            and self._connections.share(self._url) > 1
        )
