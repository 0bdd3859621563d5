"""Converting one model: what is skipped, what is run, and what becomes of the results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..cancel import Cancel
from ..errors import ModelZooError, Reason
from ..files.disk import storage_errors
from . import staging
from .folders import LocalFolder, files_below
from .mappable import unmappable
from .opening import open_folder
from .output import Output, Renaming, heading, run, say_command, skip
from .places import here
from .program import FINAL_FOLDER
from .records import Ledger, fingerprint, is_result, record_path
from .steps import PRE_CONVERT, Conversion, Step, Subject, conversion_steps

RECORDS = "conversions"
_CONFIG = "$config_dir/"


def reason_to_skip(task: Conversion) -> str | None:
    """Why nothing is to be done for a model, as Open Model Zoo says it; None when there is."""
    if task.subject.model_optimizer_args is None:
        return "no conversions defined"
    if not {*task.precisions} & {*task.subject.precisions}:
        return "all conversions skipped"
    return None


def obstacle(task: Conversion, dry_run: bool) -> str | None:
    """Why a model cannot be converted with what is here, known before anything runs; None if it can."""
    subject = task.subject
    if task.tool.bundled and subject.model_optimizer_args is not None:
        args = [*subject.model_optimizer_args, *task.extra_args]
        if problem := unmappable(args, subject.framework):
            return problem
    if subject.framework == "caffe2" and not dry_run:
        return "needs Caffe2, which is in no Python of today"
    return None


def show(task: Conversion, output: Output) -> None:
    """Say what would be run."""
    output = Renaming(output, task.places.download_dir, task.places.output_dir)
    for step in _steps(task):
        heading(output, f"(DRY RUN) {step.heading}")
        say_command(output, step.label, step.command)
        output.write("\n" if step.wanted else "\n\n")


def _steps(task: Conversion) -> list[Step]:
    try:
        return list(conversion_steps(task))
    except ValueError as error:
        raise ModelZooError(f"{task.subject.name}: {error}", Reason.INVALID_CATALOG) from None


def convert(task: Conversion, output: Output, cancel: Cancel) -> bool:
    """Do what is not up to date; whether all went well. Raises ModelZooError."""
    output = Renaming(output, task.places.download_dir, task.places.output_dir)
    steps, root = _steps(task), here(task.places.output_dir)
    with staging.alone(record_path(root, RECORDS, task.subject), cancel) as is_alone:
        work = _Work(task, output, cancel)
        name = f"{task.subject.source}-{task.subject.name}"
        with staging.staging(root, name, is_alone) as folder:
            return all(work.do(step, folder / str(n)) for n, step in enumerate(steps))


class _Work:
    """The steps of one model, in their order."""

    def __init__(self, task: Conversion, output: Output, cancel: Cancel) -> None:
        self._task, self._output, self._cancel = task, output, cancel
        places, below = task.places, task.subject.subdirectory
        self._source = open_folder(places.download_dir, below, output, cancel)
        self._results = open_folder(places.output_dir, below, output, cancel)
        self._target = self._results.path
        self._ledger = Ledger(RECORDS, task.subject, self._results)
        self._ledger.read()
        self._came: list[tuple[str, str]] | None = None
        self._before: list[str] = []

    def do(self, step: Step, aside: Path) -> bool:
        """Do a step unless its results are up to date; whether they are there."""
        depends = fingerprint(step.meaning, self._inputs(step))
        self._before.append(step.key)
        if not self._task.force and self._ledger.is_done(step.key, depends):
            skip(self._output, f"{self._task.subject.name}: {step.result}", "up to date")
            return True
        heading(self._output, step.heading)
        say_command(self._output, step.label, step.command)
        self._output.write("\n")
        self._ledger.forget(step.key)
        self._bring()
        successful = self._run(step, aside, depends)
        self._output.write("\n")
        return successful

    def _bring(self) -> None:
        """Have on this machine what programs may read."""
        with storage_errors(self._source.path):
            self._source.bring(self._files())
            self._results.bring(name for name, _ in self._ledger.results(self._before))

    def _run(self, step: Step, aside: Path, depends: str) -> bool:
        with storage_errors(aside):
            target = aside / step.target
            (target.parent if target.suffix else target).mkdir(parents=True, exist_ok=True)
            self._target.mkdir(parents=True, exist_ok=True)
        told = {FINAL_FOLDER: str(self._target / step.target)}  # a folder aside is gone when it is read
        if not run(self._output, self._cancel, step.aside(aside), told):
            return False
        if missing := _lacking(step, aside):
            self._output.warn(f"{step.heading}: the command ended well, but left no {missing} file")
            return False
        names = staging.publish(aside, self._target)
        if step.place is not None:  # else nobody knows what it has made
            self._ledger.note(step.key, depends, names)
        return True

    def _inputs(self, step: Step) -> list[tuple[str, str]]:
        """The names and digests of all that a step may read."""
        if self._came is None:
            with storage_errors(self._source.path):
                digest = self._ledger.digest
                self._came = [(name, digest(self._source, name)) for name in self._files()]
        with storage_errors(Path(self._task.subject.config_dir)):
            return [*self._came, *self._config_files(step), *self._ledger.results(self._before)]

    def _files(self) -> list[str]:
        """The model's files, without what was made of them."""
        made = self._ledger.made_files()
        inside = self._source.path.resolve() == self._target.resolve()
        return self._source.names(lambda name: inside and is_result(name, made))

    def _config_files(self, step: Step) -> Iterator[tuple[str, str]]:
        """The files beside the model.yml that a step names, and its script."""
        subject = self._task.subject
        for root in sorted({*_named_beside(subject, step)}):
            place = LocalFolder(Path(subject.config_dir), root)
            for name in files_below(place.path):
                yield f"{root}/{name}", self._ledger.digest(place, name)


def _named_beside(subject: Subject, step: Step) -> Iterator[str]:
    if step.key == "pre-convert":
        yield PRE_CONVERT
    for word in step.meaning:
        if _CONFIG in word:
            yield word.partition(_CONFIG)[2]


def _lacking(step: Step, aside: Path) -> str | None:
    """The first suffix of the files that have to be there and are not."""
    names = [path.name for path in aside.rglob("*") if path.is_file()]
    absent = (s for s in step.wanted if not any(name.endswith(s) for name in names))
    return next(absent, None)
