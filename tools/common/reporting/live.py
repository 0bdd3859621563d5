"""Events as a live display on a terminal, drawn on standard error with rich."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from ..events import (
    Event,
    ModelFileChanged,
    ModelFileDownloadBegin,
    ModelFileDownloadEnd,
    ModelFileDownloadProgress,
    ModelFileRetry,
    ModelPostprocessingBegin,
    ModelPostprocessingEnd,
    Notice,
    RunBegin,
    RunEnd,
)
from ..files.disk import readable
from .stream import printable
from .text import changed_text

_Key = tuple[str, str]


class LiveReporter:
    """One bar for each active file, one for all; failures and warnings stay on the screen above."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._display = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
        )
        self._all: TaskID | None = None
        self._bars: dict[_Key, TaskID] = {}
        self._sizes: dict[_Key, int | None] = {}
        self._here: dict[_Key, int] = {}
        self._done = 0

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case RunBegin():
                self._all = self._display.add_task("[bold]all files", total=event.size or None)
                self._display.start()
            case ModelFileDownloadBegin():
                self._sizes[event.model, event.model_file] = event.size if event.size_known else None
            case ModelFileDownloadProgress():
                self._advance((event.model, event.model_file), event.size)
            case ModelFileDownloadEnd():
                self._end_file(event)
            case ModelFileRetry():
                text = f"{event.message}; again in {event.wait:.0f} s"
                self._say("yellow", "retry", f"{event.model}/{event.model_file}: {text}")
            case ModelFileChanged():
                text = f"{event.model}/{event.model_file} {changed_text(event)}"
                self._say("yellow", "changed", text)
            case ModelPostprocessingBegin():
                self._say("dim", "postprocessing", event.model)
            case ModelPostprocessingEnd() if not event.successful:
                self._say("red", "failed", f"{event.model}: {event.message}")
            case Notice():
                self._say("yellow", "warning", event.message)
            case RunEnd():
                self._end(event)

    def _advance(self, key: _Key, size: int) -> None:
        if key not in self._bars:
            name = escape(printable(f"{key[0]}/{key[1]}")[-48:])
            self._bars[key] = self._display.add_task(name, total=self._sizes.get(key))
        self._display.update(self._bars[key], completed=size)
        self._here[key] = size
        self._show_total()

    def _show_total(self) -> None:
        if self._all is not None:
            self._display.update(self._all, completed=self._done + sum(self._here.values()))

    def _end_file(self, event: ModelFileDownloadEnd) -> None:
        key = event.model, event.model_file
        if key in self._bars:
            self._display.remove_task(self._bars.pop(key))
        self._here.pop(key, None)
        self._sizes.pop(key, None)
        self._done += event.size or 0
        self._show_total()
        if not event.successful:
            self._say("red", "failed", f"{event.model}/{event.model_file}: {event.message}")

    def _say(self, style: str, word: str, text: str) -> None:
        self._console.print(f"[{style}]{word}[/{style}] {escape(printable(text))}", highlight=False)

    def _end(self, event: RunEnd) -> None:
        self.close()
        counts = (
            (event.bytes_network, "from the network"),
            (event.bytes_cache, "from the cache"),
            (event.bytes_local, "on this machine"),
        )
        sizes = ", ".join(f"{readable(size)} {where}" for size, where in counts if size)
        models = _count(event.models, "model", event.models_failed)
        files = _count(event.files, "file", event.files_failed)
        word = "[green]done[/green] " if event.successful else ""
        text = f"{word}{models}, {files}: {sizes or 'nothing'}, {event.seconds:.1f} s"
        self._console.print(text, highlight=False)

    def close(self) -> None:
        """Take the bars off the screen."""
        self._display.stop()


def _count(number: int, noun: str, failed: int) -> str:
    bad = f" [red]({failed} failed)[/red]" if failed else ""
    return f"{number} {noun}{'' if number == 1 else 's'}{bad}"
