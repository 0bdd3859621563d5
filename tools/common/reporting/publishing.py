"""How far publishing is: a display on a terminal, and only warnings where there is none."""

from __future__ import annotations

import sys
from typing import Any

from ..events import Event, Notice, PublishBegin, PublishEnd, PublishProgress, PublishRetry
from ..files.disk import readable
from .stream import is_terminal, note, printable, warn
from .table import count

_STEPS = {"packing": "packing", "uploading": "sending"}


class PublishingReporter:
    """Says what will be sent and what came of it, and what went wrong meanwhile."""

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case PublishBegin():
                files = count(event.files, "file")
                note(f"{event.model}: {files}, {readable(event.size)}, to {event.repository}")
            case PublishRetry():
                warn(f"{event.model}: {event.message}; again in {event.wait:.0f} s")
            case Notice():
                warn(event.message)
            case PublishEnd() if event.successful:
                size = readable(event.size or 0)
                note(f"{event.model}: published in {event.seconds:.1f} s, an archive of {size}")

    def close(self) -> None:
        """Nothing is left to be said."""


class PublishingDisplay(PublishingReporter):
    """The same below a bar for what is being packed or sent, drawn on standard error with rich."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        self._display = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bars: dict[str, Any] = {}
        self._size = 0

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, PublishProgress):
            self._advance(event)
            return
        if isinstance(event, PublishBegin):
            self._size = event.size
        elif isinstance(event, PublishEnd):
            self.close()
        super().__call__(event)

    def _advance(self, event: PublishProgress) -> None:
        if event.step not in self._bars:
            for bar in self._bars.values():
                self._display.remove_task(bar)
            total = self._size if event.step == "packing" else None
            name = printable(f"{_STEPS[event.step]} {event.model}")
            self._bars = {event.step: self._display.add_task(name, total=total)}
            self._display.start()
        self._display.update(self._bars[event.step], completed=event.size)

    def close(self) -> None:
        """Take the bar off the screen."""
        self._display.stop()


def publishing_reporter() -> PublishingReporter:
    """What shows the progress of publishing to a person, if there is one."""
    return PublishingDisplay() if is_terminal(sys.stderr) else PublishingReporter()
