"""Events as text for logs: Open Model Zoo's headings, one line a file, each model's lines together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ..events import (
    Event,
    ModelDownloadBegin,
    ModelDownloadEnd,
    ModelFileChanged,
    ModelFileDownloadBegin,
    ModelFileDownloadEnd,
    ModelFileDownloadProgress,
    ModelFileRetry,
    ModelPostprocessingBegin,
    ModelPostprocessingEnd,
    Notice,
    RunEnd,
)
from ..run.plan import ModelPlan
from .stream import warn, write_text

_HEADINGS = {
    "network": "========== Downloading {}",
    "local": "========== Downloading {}",  # from a file URL
    "cache": "========== Retrieving {} from the cache",
}


def changed_text(event: ModelFileChanged) -> str:
    """What has become of a file at its origin, in words."""
    return f"has changed at its origin: {event.before} before, {event.after} now ({event.url})"


class TextReporter:
    """Prints the lines of one model at once, in the order of the plans.

    Models run beside each other; the lines of those whose turn it is not yet wait.
    """

    def __init__(self, plans: Sequence[ModelPlan]) -> None:
        self._order = [plan.model.id for plan in plans]
        self._postprocessed = {
            plan.model.id for plan in plans if plan.model.postprocessing and not plan.finished
        }
        self._turn = 0
        self._lines: defaultdict[str, list[str]] = defaultdict(list)
        self._ended: set[str] = set()
        self._failed: set[str] = set()
        self._paths: dict[tuple[str, str], str] = {}

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Notice():
                warn(event.message)
            case ModelDownloadBegin():
                rule = "#" * 16
                self._line(event.model, f"{rule}|| Downloading {event.model} ||{rule}", "")
            case ModelFileDownloadBegin():
                self._paths[event.model, event.model_file] = event.path
            case ModelFileDownloadProgress():
                self._head(event.model, event.model_file, _HEADINGS[event.origin])
            case ModelFileRetry():
                again = f"trying again in {event.wait:.0f} s"
                warn(f"{event.model}: {event.model_file}: {event.message}; {again}")
            case ModelFileChanged():
                warn(f"{event.model}: {event.model_file} {changed_text(event)}")
            case ModelFileDownloadEnd():
                self._end_file(event)
            case ModelDownloadEnd():
                self._line(event.model, "")
                if not event.successful or event.model not in self._postprocessed:
                    self._end_model(event.model, event.successful)
            case ModelPostprocessingBegin():
                self._line(event.model, f"========== Postprocessing {event.model}", "")
            case ModelPostprocessingEnd():
                if not event.successful:
                    warn(f"{event.model}: {event.message}")
                self._end_model(event.model, event.successful)
            case RunEnd():
                self._finish()

    def _head(self, model: str, file: str, heading: str) -> None:
        """The one line of a file, when it is known where it comes from."""
        if (path := self._paths.pop((model, file), None)) is not None:
            self._line(model, heading.format(path))

    def _end_file(self, event: ModelFileDownloadEnd) -> None:
        there = event.successful and event.origin == "local"
        heading = "========== Present {}" if there else _HEADINGS["network"]
        self._head(event.model, event.model_file, heading)
        if not event.successful:
            warn(f"{event.model}: {event.model_file}: {event.message}")

    def _line(self, model: str, *lines: str) -> None:
        self._lines[model].extend(lines)
        self._settle()

    def _end_model(self, model: str, successful: bool) -> None:
        self._ended.add(model)
        if not successful:
            self._failed.add(model)
        self._settle()

    def _settle(self) -> None:
        """Print what the model whose turn it is has said, and go on to the next when it has ended."""
        while self._turn < len(self._order):
            model = self._order[self._turn]
            if lines := self._lines.pop(model, None):
                write_text("".join(f"{line}\n" for line in lines))
            if model not in self._ended:
                break
            self._turn += 1

    def _finish(self) -> None:
        self._ended.update(self._order)
        self._settle()
        if failed := [model for model in self._order if model in self._failed]:
            write_text("".join(f"{line}\n" for line in ["FAILED:", *failed]))

    def close(self) -> None:
        """Nothing is left to be said."""
