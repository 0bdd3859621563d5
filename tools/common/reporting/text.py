"""Events as text for logs: Open Model Zoo's headings, one line a file, each model's lines together."""

from __future__ import annotations

from ..events import (
    Event,
    ModelDownloadBegin,
    ModelDownloadEnd,
    ModelFileDownloadBegin,
    ModelFileDownloadEnd,
    ModelFileDownloadProgress,
    ModelFileRetry,
    ModelPostprocessingBegin,
    ModelPostprocessingEnd,
    Notice,
    RunEnd,
)
from .stream import warn, write_all

_HEADINGS = {
    "network": "========== Downloading {}",
    "local": "========== Downloading {}",  # from a file URL
    "cache": "========== Retrieving {} from the cache",
}


class TextReporter:
    """Prints the lines of one model at once; those of models that run beside it wait their turn."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}
        self._ended: set[str] = set()
        self._failed: list[str] = []
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
                warn(
                    f"{event.model}: {event.model_file}: {event.message}; "
                    f"trying again in {event.wait:.0f} s"
                )
            case ModelFileDownloadEnd():
                self._end_file(event)
            case ModelDownloadEnd():
                self._end_model(event.model, event.successful)
            case ModelPostprocessingBegin():
                self._line(event.model, f"========== Postprocessing {event.model}", "")
            case ModelPostprocessingEnd():
                if not event.successful:
                    warn(f"{event.model}: {event.message}")
                    self._failed.append(event.model)
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
        self._lines.setdefault(model, []).extend(lines)
        self._settle()

    def _settle(self) -> None:
        """Print the first model that has not ended, and all before it."""
        for model in list(self._lines):
            if lines := self._lines[model]:
                self._lines[model] = []
                write_all("".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))
            if model not in self._ended:
                break
            del self._lines[model]

    def _end_model(self, model: str, successful: bool) -> None:
        self._ended.add(model)
        if not successful:
            self._failed.append(model)
        self._line(model, "")

    def _finish(self) -> None:
        self._ended.update(self._lines)
        self._settle()
        if self._failed:
            write_all("".join(f"{line}\n" for line in ["FAILED:", *self._failed]).encode())

    def close(self) -> None:
        """Nothing is left to be said."""
