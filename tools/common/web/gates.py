"""What one transfer learns about a host or a credential, and all others have to respect."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import msgspec

from ..cancel import Cancel
from ..clock import Clock
from ..errors import Reason, TransferError
from .credentials import credential_for, host_of, mask

MAX_WAIT = 60.0  # seconds


def backoff(attempt: int) -> float:
    """Seconds to wait after attempt number `attempt`: min(60, 2^n), give or take 20 %."""
    power = 2.0 ** min(attempt, 10)  # beyond 1023 it would overflow
    return min(MAX_WAIT, power) * random.uniform(0.8, 1.2)


def cube(attempt: int) -> float:
    """Seconds to wait after attempt number `attempt`: its cube, up to a day."""
    return float(min(attempt, 44) ** 3)


class Hold(msgspec.Struct, frozen=True, tag=True):
    """A host asked to be left alone for so many seconds."""

    gate: str
    seconds: float


class Refusal(msgspec.Struct, frozen=True, tag=True):
    """A credential (a `Credential.key`) was refused."""

    credential: str


Lesson = Hold | Refusal


def keep_to_oneself(lesson: Lesson) -> None:
    """There is nobody else to tell."""


class Gates:
    """Hosts that asked to be left alone for a while, and credentials that were refused.

    What is learned is passed on to `share`, for whoever else works on the same run.
    """

    def __init__(self, clock: Clock, share: Callable[[Lesson], None] = keep_to_oneself) -> None:
        self._clock, self._share = clock, share
        self._lock = threading.Lock()
        self._closed_until: dict[str, float] = {}
        self._refused: set[str] = set()

    def wait(self, url: str) -> float:
        """Seconds until the URL's host may be asked again; 0 when it may be now."""
        with self._lock:
            return max(0.0, self._closed_until.get(gate_of(url), 0.0) - self._clock.now())

    def hold(self, url: str, seconds: float) -> None:
        """Leave the URL's host alone for so long."""
        self.learn(lesson := Hold(gate_of(url), seconds))
        self._share(lesson)

    def refuse(self, credential: str) -> None:
        """Remember that this credential (a `Credential.key`) was refused."""
        self.learn(lesson := Refusal(credential))
        self._share(lesson)

    def learn(self, lesson: Lesson) -> None:
        """Respect what was learned, here or elsewhere."""
        with self._lock:
            if isinstance(lesson, Refusal):
                self._refused.add(lesson.credential)
                return
            until = self._clock.now() + lesson.seconds
            self._closed_until[lesson.gate] = max(until, self._closed_until.get(lesson.gate, 0.0))

    def check(self, url: str) -> None:
        """Raise TransferError when the request would send a credential that was refused before."""
        credential = credential_for(url) if self._refused else None
        if credential and credential.key in self._refused:
            why = "was refused for another file" if credential.header else "was not given"
            problem = f"not asked: {credential.name} {why}"
            raise TransferError(Reason.ACCESS_DENIED, problem, url=mask(url))


class RateLimit:
    """Caps all transfers of a run together, at so many bytes a second (None: no cap)."""

    def __init__(self, rate: float | None, clock: Clock, cancel: Cancel) -> None:
        self.rate = rate
        self._clock, self._cancel = clock, cancel
        self._lock = threading.Lock()
        self._due = clock.now()

    def take(self, count: int) -> None:
        """Return when `count` more bytes are within the limit; raises Interrupted."""
        if self.rate is None:
            return
        with self._lock:
            now = self._clock.now()
            self._due = max(self._due, now) + count / self.rate
            wait = self._due - now
        self._cancel.sleep(wait)


def gate_of(url: str) -> str:
    """What is held as one: a port of a host, whatever its scheme, or all of a store like Drive."""
    try:
        host = host_of(url)
    except ValueError:
        return ""  # the store will say what is wrong with it
    return f"{host.name}:{host.port}" if host.scheme in ("http", "https") else host.scheme
