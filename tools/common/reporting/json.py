"""Events as JSON lines on standard output, warnings and errors in words on standard error."""

from __future__ import annotations

import msgspec

from ..events import Event, Notice
from .stream import warn, write_all


class JsonReporter:
    """One event, one line, one write."""

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Notice):
            warn(event.message)
        else:
            write_all(self._encode(event) + b"\n")

    def close(self) -> None:
        """Nothing is left to be said."""
