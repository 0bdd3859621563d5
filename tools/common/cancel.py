"""Stopping a run: one flag, and the connections that must be cut so that nobody waits for them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from .errors import Interrupted


class Cancel:
    """Set once, seen everywhere; blocked reads are woken by the functions registered here."""

    def __init__(self) -> None:
        self._flag = threading.Event()
        self._lock = threading.Lock()
        self._aborts: set[Callable[[], None]] = set()

    def __bool__(self) -> bool:
        return self._flag.is_set()

    def check(self) -> None:
        """Raise Interrupted once the run has been stopped."""
        if self._flag.is_set():
            raise Interrupted

    def sleep(self, seconds: float) -> None:
        """Do nothing for so long; raises Interrupted once the run has been stopped."""
        self._flag.wait(seconds)
        self.check()

    @contextlib.contextmanager
    def waking(self, abort: Callable[[], None]) -> Iterator[None]:
        """While inside, `abort` is called (from another thread) should the run be stopped."""
        with self._lock:
            self._aborts.add(abort)
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._aborts.discard(abort)

    def set(self) -> None:
        """Stop the run; idempotent."""
        self._flag.set()
        with self._lock:
            for abort in self._aborts:
                with contextlib.suppress(Exception):  # a connection that is gone already is fine
                    abort()
