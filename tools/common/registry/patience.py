"""A storage that tries again what can pass: every verb a few times, with longer and longer waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from ..checksum import Checksum
from ..errors import TransferError
from ..web.gates import backoff
from .storage import MAX_DOCUMENT, Entry, Sent, Storage

T = TypeVar("T")

Retrying = Callable[[int, float, TransferError], None]
"""Is told which attempt has failed, the wait in seconds, and why."""


class PatientStorage:
    """Another storage, each of whose verbs is tried up to so many times."""

    def __init__(
        self,
        storage: Storage,
        attempts: int,
        retrying: Retrying,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._storage, self._attempts = storage, attempts
        self._retrying, self._sleep = retrying, sleep
        self.url, self.exclusive = storage.url, storage.exclusive

    def read(self, key: str, limit: int = MAX_DOCUMENT) -> bytes:
        """See Storage.read."""
        return self._patiently(lambda: self._storage.read(key, limit))

    def exists(self, key: str) -> bool:
        """See Storage.exists."""
        return self._patiently(lambda: self._storage.exists(key))

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """See Storage.list: all of it, or nothing yet."""
        return iter(self._patiently(lambda: [*self._storage.list(prefix)]))

    def checksum(self, key: str) -> Checksum | None:
        """See Storage.checksum."""
        return self._patiently(lambda: self._storage.checksum(key))

    def origin(self, key: str) -> str:
        """See Storage.origin."""
        return self._storage.origin(key)

    def create(self, key: str, data: bytes) -> bool:
        """See Storage.create. An attempt whose answer was lost may have written the file."""
        attempts = 0

        def act() -> bool:
            nonlocal attempts
            attempts += 1
            return self._storage.create(key, data)

        return self._patiently(act) or (attempts > 1 and self.read(key) == data)

    def write(self, key: str, data: bytes) -> None:
        """See Storage.write."""
        self._patiently(lambda: self._storage.write(key, data))

    def upload(self, key: str, path: Path, checksum: Checksum, sent: Sent) -> None:
        """See Storage.upload."""
        self._patiently(lambda: self._storage.upload(key, path, checksum, sent))

    def delete(self, key: str) -> None:
        """See Storage.delete."""
        self._patiently(lambda: self._storage.delete(key))

    def _patiently(self, act: Callable[[], T]) -> T:
        return patiently(act, self._attempts, self._retrying, self._sleep)


def patiently(
    act: Callable[[], T], attempts: int, retrying: Retrying, sleep: Callable[[float], None]
) -> T:
    """What `act` returns, which is tried up to so many times; raises TransferError."""
    attempt = 1
    while True:
        try:
            return act()
        except TransferError as error:
            if not error.transient or attempt >= attempts:
                raise
            wait = backoff(attempt) if error.retry_after is None else error.retry_after
            retrying(attempt, wait, error)
            sleep(wait)
            attempt += 1
