"""What the converter and the quantizer share: options, whose code may run, and carrying jobs out."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from ..cancel import Cancel
from ..errors import ModelZooError, SelectionError, TransferError
from ..openvino.cluster import Result, connect, run_tasks
from ..openvino.locate import Kind, default_python, in_words
from ..openvino.output import Output, skip
from ..openvino.places import is_url
from ..openvino.steps import PRE_CONVERT, Conversion, Subject
from ..openvino.work import Task, perform
from ..reporting.stream import write_text
from ..reporting.turns import Direct, Job, repeat, run_in_turns
from ..run.setup import MAX_JOBS
from ..selection import parse_precisions
from ..source_code import consent
from ..sources import zoo_dir
from ..web.credentials import mask
from ..web.object_client import SCHEMES, place_of
from .options import Parser, add_selection, file_path, name_patterns, number
from .session import FAILED, OK


class ToolParser(Parser):
    """A parser whose help says which program would be used; only help asks, for it takes its time."""

    def __init__(self, program: str, description: str, kind: Kind) -> None:
        super().__init__(program, description)
        self._kind = kind
        self.arguments: list[str] = []

    def format_help(self) -> str:
        """The help of these arguments: they may choose the program."""
        small = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        small.add_argument("-p", "--python", type=Path, default=default_python())
        small.add_argument(self._kind.option, dest="tool", type=Path)
        chosen, _ = small.parse_known_args(self.arguments)
        self.epilog = in_words(self._kind, chosen.python, chosen.tool)
        return super().format_help()

    def parse(self, arguments: list[str], environ: Any = os.environ) -> Any:
        """See Parser."""
        self.arguments = arguments
        return super().parse(arguments, environ)


def add_options(parser: Parser, kind: Kind, what: str) -> None:
    """The options that both tools have; `what` is what they do, as a noun in the plural."""
    add_selection(parser)
    add = parser.add_value
    add("--precisions", metavar="P[,P...]", help=f"only {what} that produce these precisions")
    add(
        "-p",
        "--python",
        type=file_path,
        metavar="PYTHON",
        default=default_python(),
        help=f"Python executable to run {kind.name} with",
    )
    add(kind.option, type=file_path, metavar="FILE", help=f"the script of {kind.name} to run")
    parser.add_argument("--dry_run", action="store_true", help="only print the commands")
    parser.add_argument("--force", action="store_true", help="do also what is up to date")
    jobs = number(int, 1, MAX_JOBS, f"a whole number from 1 to {MAX_JOBS}, or auto")
    add(
        "-j",
        "--jobs",
        type=lambda text: text if text == "auto" else jobs(text),
        metavar="N",
        help="models to work on at a time (default: 1; on a cluster as many as it has room for); "
        "auto: as many as this machine has CPUs",
    )
    add(
        "--scheduler",
        metavar="ADDRESS",
        help="have the work done by the workers of this Dask scheduler (tcp://HOST:PORT)",
    )


def place(text: str) -> str:
    """A type for options: a folder, or the URL of one in object storage."""
    if not is_url(text):
        return str(file_path(text))
    try:
        place_of(text)
    except TransferError:
        forms = ", ".join(f"{scheme}://BUCKET/PATH" for scheme in SCHEMES)
        problem = f"expected a folder or {forms}, got {mask(text)!r}"
        raise argparse.ArgumentTypeError(problem) from None
    return text


def for_all(options: Any, folder: str) -> str:
    """What a place is called by whoever does the work: a worker has a current folder of its own."""
    return str(Path(folder).absolute()) if options.scheduler and not is_url(folder) else folder


def wanted_precisions(text: str | None, known: Sequence[str]) -> tuple[str, ...]:
    """The precisions that are asked for; raises SelectionError for one that is none of the known."""
    if text is None:
        return tuple(known)
    wanted = parse_precisions(text)
    if unknown := sorted(wanted.difference(known)):
        raise SelectionError(f"Unknown precision {', '.join(unknown)}; known are {', '.join(known)}.")
    return tuple(sorted(wanted))


def is_asked_for(options: Any, subject: Subject) -> bool:
    """Whether a pattern without wildcards means this model."""
    plain = [p for p in name_patterns(options) or () if not set("*?[") & set(p)]
    names = [name for name in (subject.name, subject.composite) if name]
    forms = {subject.id, *names, *(f"{subject.source}:{name}" for name in names)}
    return any(p in forms or p.partition("@")[0] in forms for p in plain)


def require_consent(task: Task) -> None:
    """Raise ConsentRequired where a registered source's code would run that nobody has allowed."""
    folder = Path(task.subject.config_dir)
    if isinstance(task, Conversion) and task.subject.runs_code and _is_registered(folder):
        script = folder / PRE_CONVERT
        consent.require(folder, task.subject.source, script.name if script.exists() else "model.yml")


def allow_code(subjects: Sequence[Subject]) -> None:
    """Consent to the code that these models of registered sources are converted with, as it is now."""
    for subject in subjects:
        folder = Path(subject.config_dir)
        if subject.runs_code and _is_registered(folder):
            consent.grant(folder, ())


def _is_registered(folder: Path) -> bool:
    return folder.resolve().is_relative_to(zoo_dir().resolve())


Skip = Callable[[Output], bool]
"""Says why a model is skipped; returns whether that is fine."""


def skipping(task: Task, why: str, *, is_fine: bool = True) -> Skip:
    """Instead of a task: only say why there is nothing to do, or nothing that could be done."""

    def say(output: Output) -> bool:
        skip(output, task.subject.name, why)
        return is_fine

    return say


def carry_out(work: Sequence[Task | Skip], options: Any) -> list[bool]:
    """Do all jobs, here or on a cluster; whether each has succeeded."""
    if options.scheduler:
        return _on_cluster(work, options)
    cancel = Cancel()
    workers = (os.cpu_count() or 1) if options.jobs == "auto" else options.jobs or 1
    return run_in_turns([_job(item, cancel) for item in work], workers, cancel)


def _job(item: Task | Skip, cancel: Cancel) -> Job:
    if isinstance(item, Task):
        return lambda output: perform(item, output, cancel, require_consent)
    return item


def _on_cluster(work: Sequence[Task | Skip], options: Any) -> list[bool]:
    limit = None if options.jobs in (None, "auto") else options.jobs
    items = [_allowed(item) for item in work]  # what was consented to is recorded on this machine
    tasks = [item for item in items if isinstance(item, Task)]
    with connect(options.scheduler) as client, closing(run_tasks(client, tasks, limit)) as results:
        return [_say(next(results)) if isinstance(item, Task) else item(Direct()) for item in items]


def _allowed(item: Task | Skip) -> Task | Skip:
    """The task, or why its code may not run."""
    if isinstance(item, Task):
        try:
            require_consent(item)
        except ModelZooError as error:
            return partial(_refuse, f"{item.subject.name}: {error}")
    return item


def _refuse(problem: str, output: Output) -> bool:
    output.warn(problem)
    return False


def _say(result: Result) -> bool:
    repeat(result.said)
    return result.successful


def finish(names: Sequence[str], results: Sequence[bool]) -> int:
    """Say which models have failed; the exit status."""
    failed = [name for name, successful in zip(names, results, strict=True) if not successful]
    if failed:
        write_text("".join(f"{line}\n" for line in ["FAILED:", *failed]))
    return FAILED if failed else OK


def directly(shows: Sequence[Callable[[Output], bool]]) -> list[bool]:
    """What a dry run says, in its order."""
    return [show(Direct()) for show in shows]
