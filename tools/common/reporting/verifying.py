"""How far hashing is: a display on a terminal, and only warnings where there is none."""

from __future__ import annotations

import sys
from typing import Any

from ..events import (
    Event,
    FileVerifyBegin,
    FileVerifyEnd,
    FileVerifyProgress,
    ModelFileRetry,
    Notice,
    VerifyBegin,
    VerifyEnd,
)
from .stream import is_terminal, printable, warn


class WarningReporter:
    """Shows what people should know even where they do not want to see progress."""

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Notice):
            warn(event.message)
        elif isinstance(event, ModelFileRetry):
            warn(f"{event.model}: {event.model_file}: {event.message}; again in {event.wait:.0f} s")

    def close(self) -> None:
        """Nothing is left to be said."""


class HashingDisplay:
    """One bar for all bytes that are to be read, drawn on standard error with rich."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._display = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: Any = None
        self._done = 0
        self._here: dict[str, int] = {}
        self._sizes: dict[str, int] = {}

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case VerifyBegin():
                self._task = self._display.add_task("hashing", total=event.size or None)
                self._display.start()
            case FileVerifyBegin():
                self._sizes[event.path] = event.size
                name = printable(event.path)[-48:]
                self._display.update(self._task, description=name)
            case FileVerifyProgress():
                self._here[event.path] = event.size
                self._advance()
            case FileVerifyEnd():
                self._here.pop(event.path, None)
                self._done += self._sizes.pop(event.path, 0)
                self._advance()
            case VerifyEnd():
                self.close()
            case Notice():
                self._display.console.print(printable(event.message), markup=False, highlight=False)

    def _advance(self) -> None:
        self._display.update(self._task, completed=self._done + sum(self._here.values()))

    def close(self) -> None:
        """Take the bar off the screen."""
        self._display.stop()


def hashing_reporter() -> Any:
    """What shows the progress of hashing to a person, if there is one."""
    return HashingDisplay() if is_terminal(sys.stderr) else WarningReporter()
