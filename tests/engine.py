"""Running the engine inside a test: a clock that does not wait, and everything that was reported."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, TypeVar

from modelzoo.clock import Clock
from modelzoo.events import Event
from modelzoo.model import Model
from modelzoo.run.outcome import Summary
from modelzoo.run.setup import fetch, make_engine
from modelzoo.variants import EVERY_VARIANT
from modelzoo.web.connections import Connections

E = TypeVar("E", bound=Event)


class InstantClock(Clock):
    """Waiting takes no time: the clock jumps to where it would be."""

    def __init__(self) -> None:
        self.skipped = 0.0
        self.waits: list[float] = []

    def now(self) -> float:
        return super().now() + self.skipped

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        if seconds is None:
            condition.wait()
        else:
            self.waits.append(seconds)
            self.skipped += max(0.0, seconds)


class Recorder:
    """A report that keeps the events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        """The events of one class."""
        return [event for event in self.events if isinstance(event, kind)]


class Whole(Connections):
    """Nothing is fetched in parts."""

    def share(self, url: str) -> int:
        """The file's own connection."""
        return 1


def bring_all(
    models: list[Model],
    output_dir: Path,
    *,
    jobs: int = 1,
    recorder: Recorder | None = None,
    clock: Clock | None = None,
    connections: Connections | None = None,
    **options: Any,
) -> Summary:
    """Fetch models as the downloader does, with a clock that jumps; files are not split unless told."""
    changed = {"clock": clock or InstantClock(), "connections": connections or Whole()}
    if "backoff" in options:
        changed["backoff"] = options.pop("backoff")
    engine = make_engine(report=recorder or Recorder(), **options).changed(**changed)
    return fetch(models, output_dir, EVERY_VARIANT, jobs, engine)
