"""What one transfer learns about a host or a credential, and all others have to respect."""

from __future__ import annotations

import random
import threading

from .clock import Clock
from .credentials import credential_for, host_of, mask
from .errors import Reason, TransferError

MAX_WAIT = 60.0  # seconds


def backoff(attempt: int) -> float:
    """Seconds to wait after attempt number `attempt`: min(60, 2^n), give or take 20 %."""
    power = 2.0 ** min(attempt, 10)  # beyond 1023 it would overflow
    return min(MAX_WAIT, power) * random.uniform(0.8, 1.2)


class Gates:
    """Hosts that asked to be left alone for a while, and credentials that were refused."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._closed_until: dict[str, float] = {}
        self._refused: set[str] = set()

    def wait(self, url: str) -> float:
        """Seconds until the URL's host may be asked again; 0 when it may be now."""
        with self._lock:
            return max(0.0, self._closed_until.get(_gate(url), 0.0) - self._clock.now())

    def hold(self, url: str, seconds: float) -> None:
        """Leave the URL's host alone for so long."""
        with self._lock:
            until = self._clock.now() + seconds
            self._closed_until[_gate(url)] = max(until, self._closed_until.get(_gate(url), 0.0))

    def refuse(self, credential: str) -> None:
        """Remember that this credential (a `Credential.key`) was refused."""
        with self._lock:
            self._refused.add(credential)

    def check(self, url: str) -> None:
        """Raise TransferError when the request would send a credential that was refused before."""
        credential = credential_for(url) if self._refused else None
        if credential and credential.key in self._refused:
            problem = f"not asked: {credential.name} was refused for another file"
            raise TransferError(Reason.ACCESS_DENIED, problem, url=mask(url))


def _gate(url: str) -> str:
    """What is held as one: a port of a host, whatever its scheme, or all of a store like Drive."""
    try:
        host = host_of(url)
    except ValueError:
        return ""  # the store will say what is wrong with it
    return f"{host.name}:{host.port}" if host.scheme in ("http", "https") else host.scheme
