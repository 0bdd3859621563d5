"""Time, injected, so that tests of waits need not wait."""

from __future__ import annotations

import threading
import time


class Clock:
    """The real clock."""

    def now(self) -> float:
        """Seconds on a clock that only goes forward."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        """Wait on a held condition until it is notified or the seconds are over (None: no end)."""
        condition.wait(seconds)
