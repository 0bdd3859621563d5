"""A server that fails at random, as often as it is told, and counts what it sent and how it failed."""

from __future__ import annotations

import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.servers.faulty import Exchange, FaultyServer, serve, status

from ..scenarios import MIB

Fault = Callable[[Exchange], None]
"""What goes wrong with an answer, in the middle of it or instead of it."""


@dataclass(frozen=True)
class Odds:
    """How a server treats its clients."""

    failing: float = 0.12
    """The part of the requests that fail."""
    in_a_row: int = 2
    """How often at most requests for one file fail one after the other."""
    speed: tuple[float, float] = (1.0 * MIB, 8.0 * MIB)
    """Bytes a second that a connection gives, at least and at most."""


def _refuse(code: int) -> Fault:
    # The wait that the client would choose itself is long, and has tests of its own.
    return status(code, headers={"Retry-After": "0"})


FAULTS: Mapping[str, Fault] = {
    "reset": lambda exchange: exchange.connection.reset(),
    "truncated": lambda exchange: exchange.connection.hang_up(),
    "stalled": lambda exchange: exchange.connection.stall(),
    "429": _refuse(429),
    "500": _refuse(500),
    "503": _refuse(503),
}
_COUNTED = 1 << 16  # bytes: less than the parts of a file that clients ask for
CHANGED = "file changed"
_REFUSALS = ("429", "500", "503")


class FailingServer(FaultyServer):
    """Serves bodies by path. Those of `older` come first, until a part of one has been sent."""

    def __init__(
        self, bodies: Mapping[str, bytes], older: Mapping[str, bytes], odds: Odds, seed: str
    ) -> None:
        """The same seed gives the n-th request for a path the same fault."""
        super().__init__()
        self.default = self._answer
        self.faults: Counter[str] = Counter()
        self._bodies, self._older, self._odds, self._seed = dict(bodies), dict(older), odds, seed
        self._asked: Counter[str] = Counter()
        self._in_a_row: Counter[str] = Counter()
        self._sent_of_older: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def sent(self) -> int:
        """All bytes of bodies that went out."""
        return sum(request.sent for request in self.requests)

    def _answer(self, exchange: Exchange) -> None:
        path = exchange.request.path
        with self._lock:
            self._asked[path] += 1
            draw = random.Random(f"{self._seed} {path} {self._asked[path]}")
            body, version = self._current(path)
            fault = self._fault(path, draw)
        exchange.limit(draw.uniform(*self._odds.speed))
        if version == 1:
            self._replace_midway(exchange, path, len(body))
        if fault in _REFUSALS:
            self._fail(exchange, fault)
            return
        if fault:
            after = draw.randrange(max(1, _length(exchange, len(body))))
            exchange.at(after, lambda: self._fail(exchange, fault))
        serve(body, etag=f'"{version}"')(exchange)

    def _current(self, path: str) -> tuple[bytes, int]:
        """The body now, and the number of its version."""
        older = self._older.get(path)
        return (self._bodies[path], 2) if older is None else (older, 1)

    def _fault(self, path: str, draw: random.Random) -> str | None:
        kind = draw.choice(list(FAULTS))
        if draw.random() >= self._odds.failing or self._in_a_row[path] >= self._odds.in_a_row:
            self._in_a_row[path] = 0
            return None
        self._in_a_row[path] += 1
        return kind

    def _fail(self, exchange: Exchange, kind: str) -> None:
        with self._lock:
            self.faults[kind] += 1
        FAULTS[kind](exchange)

    def _replace_midway(self, exchange: Exchange, path: str, size: int) -> None:
        """The file changes once a quarter of it has gone out, in however many answers."""
        step = max(1, min(size // 16, _COUNTED))

        def count() -> None:
            with self._lock:
                self._sent_of_older[path] += step
                if path not in self._older or self._sent_of_older[path] < size // 4:
                    return
                del self._older[path]
                self.faults[CHANGED] += 1
            exchange.connection.reset()

        for mark in range(step, size, step):
            exchange.at(mark, count)


def _length(exchange: Exchange, size: int) -> int:
    """Bytes that are asked for of a body of this size."""
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", exchange.headers.get("range", ""))
    if not asked:
        return size
    return (int(asked[2]) + 1 if asked[2] else size) - int(asked[1])
