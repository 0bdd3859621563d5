"""What one transfer learns about a host or a credential, and all others have to respect."""

from __future__ import annotations

import random
import threading
from urllib.parse import urlsplit

from .clock import Clock
from .credentials import credential_for, mask
from .errors import Reason, TransferError

MAX_WAIT = 60.0  # seconds


def backoff(attempt: int) -> float:
    """Seconds to wait after attempt number `attempt`: min(60, 2^n), give or take 20 %."""
    return min(MAX_WAIT, 2.0**attempt) * random.uniform(0.8, 1.2)


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
            return max(0.0, self._closed_until.get(_host(url), 0.0) - self._clock.now())

    def hold(self, url: str, seconds: float) -> None:
        """Leave the URL's host alone for so long."""
        with self._lock:
            until = self._clock.now() + seconds
            self._closed_until[_host(url)] = max(until, self._closed_until.get(_host(url), 0.0))

    def refuse(self, credential: str) -> None:
        """Remember that this credential was refused."""
        with self._lock:
            self._refused.add(credential)

    def check(self, url: str) -> None:
        """Raise TransferError when the request would send a credential that was refused before."""
        credential = credential_for(url) if self._refused else None
        if credential and credential.name in self._refused:
            problem = f"not asked: {credential.name} was refused for another file"
            raise TransferError(Reason.ACCESS_DENIED, problem, url=mask(url))


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.scheme in ("http", "https") else parts.scheme
