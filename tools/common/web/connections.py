"""How many connections there may be: in all, and to each host.

Every file in transfer has one; what is left may be taken for parts of files, each file its share. Where
somebody has said how many there may be, files wait for theirs, and parts give way to them.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator

from .gates import gate_of

TOTAL, PER_HOST = 64, 32
"""How many there may be with parts of files where nobody says it."""


def share_of(total: int, members: int, position: int) -> int:
    """What one of some members has of a number, which may not be divisible by theirs."""
    return total // members + (position < total % members)


class Connections:
    """The connections of a run; `total` and `per_host` also bound files, unless they are None."""

    def __init__(self, total: int | None = None, per_host: int | None = None) -> None:
        self.total, self.per_host = total, per_host
        self._lock = threading.Lock()
        self._files: Counter[str] = Counter()
        self._parts: Counter[str] = Counter()
        self._entered: Counter[str] = Counter()
        self._waiting = 0
        self._single: set[str] = set()

    @property
    def most(self) -> int | None:
        """So many files can surely be in transfer, whatever their hosts; None: any number."""
        return min((n for n in (self.total, self.per_host) if n is not None), default=None)

    def part(self, members: int, position: int) -> Connections:
        """What one of so many processes may have; at most `most` of them can have any."""
        parts = (
            n if n is None else share_of(n, members, position) for n in (self.total, self.per_host)
        )
        return Connections(*parts)

    def enter(self, url: str) -> bool:
        """One more file is in transfer, if there may be one."""
        gate = gate_of(url)
        with self._lock:
            limits = (
                (self.total, self._files.total() + self._parts.total()),
                (self.per_host, self._files[gate] + self._parts[gate]),
            )
            # What is on this machine takes no connection.
            if gate != "file" and any(n is not None and used >= n for n, used in limits):
                return False
            self._files[gate] += gate != "file"
            self._entered[gate] += 1
            return True

    @contextlib.contextmanager
    def leaving(self, url: str) -> Iterator[None]:
        """What `enter` allowed is over at the end."""
        try:
            yield
        finally:
            with self._lock:
                self._files[gate_of(url)] -= gate_of(url) != "file"

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """A file waits to enter: parts of others give way."""
        with self._lock:
            self._waiting += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1

    @property
    def crowded(self) -> bool:
        """Whether a file waits."""
        return self._waiting > 0

    def others(self, url: str) -> Callable[[], bool]:
        """Tells later whether, beside one that is in transfer, there were more files of this host."""
        gate = gate_of(url)
        with self._lock:
            alone, before = self._files[gate] <= 1, self._entered[gate]
        return lambda: not alone or self._entered[gate] > before

    def share(self, url: str) -> int:
        """Connections that one file of this host may have now, its first one included."""
        gate = gate_of(url)
        with self._lock:
            if gate in self._single:
                return 1
            files, everywhere = max(1, self._files[gate]), max(1, self._files.total())
            return max(
                1, min((self.per_host or PER_HOST) // files, (self.total or TOTAL) // everywhere)
            )

    def take(self, url: str) -> bool:
        """One more connection for a part of a file, if there may be one."""
        gate = gate_of(url)
        with self._lock:
            here = self._files[gate] + self._parts[gate]
            everywhere = self._files.total() + self._parts.total()
            free = here < (self.per_host or PER_HOST) and everywhere < (self.total or TOTAL)
            if free and gate not in self._single and not self._waiting:
                self._parts[gate] += 1
                return True
            return False

    def give(self, url: str) -> None:
        """A connection that was taken is free again."""
        with self._lock:
            self._parts[gate_of(url)] -= 1

    def refuse(self, url: str) -> None:
        """The URL's host serves no parts, or not faster: one connection a file from now on."""
        with self._lock:
            self._single.add(gate_of(url))
