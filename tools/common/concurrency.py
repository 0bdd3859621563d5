"""How many transfers at a time: as many as a user says, or as many as make a run faster.

The number grows while throughput does, the way congestion control finds a network's capacity
(additive or faster increase, multiplicative decrease; Chiu and Jain, 1989).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple

Jobs = int | Literal["auto"]

START = 4
MOST = 64
"""What `auto` begins with, and what it never exceeds: more only wait for each other."""

WINDOW = 0.4
"""Seconds over which throughput is measured."""

GAIN = 1.1
"""How much faster twice the transfers must be, to be kept."""

REST = 8
"""Windows for which a number is kept after more were of no use, or after trouble."""


@cache
def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


class Sample(NamedTuple):
    """What a run has got so far: bytes received, files ended, and answers that ask for fewer."""

    received: int
    ended: int
    troubles: int


class Fixed:
    """As many transfers at a time as somebody said."""

    def __init__(self, allowed: int) -> None:
        self.allowed = allowed

    def look(self, now: float) -> None:
        """Nothing to think about."""


class Governor:
    """Finds the number of transfers at a time, between 1 and `most`."""

    def __init__(self, most: int, progress: Callable[[], Sample]) -> None:
        self._most, self._progress = most, progress
        self.allowed = min(START, most)
        """How many there may be now."""
        self._since = 0.0
        self._sample: Sample | None = None
        self._rates: tuple[float, float] | None = None
        self._rest = 0

    def look(self, now: float) -> None:
        """Think again; `now` is in seconds on any clock."""
        sample = self._progress()
        if self._sample is None:
            self._since, self._sample = now, sample
        elif sample.troubles > self._sample.troubles:
            self._settle(now, sample, self.allowed // 2)
        elif now - self._since >= WINDOW:
            self._measure(now, sample, self._sample)

    def _settle(self, now: float, sample: Sample, allowed: int) -> None:
        self.allowed, self._rest, self._rates = max(1, allowed), REST, None
        self._since, self._sample = now, sample

    def _measure(self, now: float, sample: Sample, before: Sample) -> None:
        seconds = now - self._since
        rates = (
            (sample.received - before.received) / seconds,
            (sample.ended - before.ended) / seconds,
        )
        self._since, self._sample = now, sample
        if self._rest:
            self._rest -= 1
        elif self._rates is None or any(
            new > GAIN * old for new, old in zip(rates, self._rates, strict=True)
        ):
            self._rates, self.allowed = rates, min(self._most, 2 * self.allowed)
        elif self.allowed > 1 and self.allowed < self._most:
            self._settle(now, sample, self.allowed // 2)
