"""Many files of many models: what is started when, what came of each, and what is written down."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from .engine import Delivery, Engine
from .errors import Interrupted, ModelZooError
from .events import (
    SCHEMA_VERSION,
    ModelDownloadBegin,
    ModelDownloadEnd,
    ModelFileDownloadBegin,
    ModelPostprocessingBegin,
    ModelPostprocessingEnd,
    RunBegin,
)
from .model import Model
from .outcome import FileOutcome, ModelOutcome, Summary, end_event, failed, run_end, succeeded
from .paths import STATE_DIR
from .plan import FilePlan, ModelPlan
from .pool import Pool, Task
from .postprocess import Changes, postprocess
from .receipts import Receipt, Receipts, ReceiptWriter
from .records import make_receipt
from .transfer import bring


def run(plans: Sequence[ModelPlan], output_dir: Path, workers: int, engine: Engine) -> Summary:
    """Carry out the plans; the summary tells every failure. Events go to `engine.report`.

    Only exceptions of the report itself are raised. KeyboardInterrupt ends the run within about a
    second; the summary then says `interrupted`.
    """
    started = engine.clock.now()
    files = [file for plan in plans for file in plan.files]
    size = sum(file.job.file.size or 0 for file in files)
    engine.report(
        RunBegin(schema_version=SCHEMA_VERSION, models=len(plans), files=len(files), size=size)
    )
    writer = ReceiptWriter(Receipts(output_dir), engine.clock, engine.report)
    runs = [_ModelRun(plan, engine, output_dir, writer) for plan in plans]
    interrupted = False
    try:
        Pool(workers, engine.clock, engine.cancel).run(_tasks(runs))
    except KeyboardInterrupt:
        interrupted = True
    except BaseException:
        writer.flush()
        raise
    for model_run in runs:
        model_run.conclude()
    writer.flush()
    outcomes = [model_run.outcome() for model_run in runs]
    seconds = round(engine.clock.now() - started, 3)
    summary = Summary(
        output_dir=str(output_dir),
        successful=all(outcome.successful for outcome in outcomes),
        interrupted=interrupted,
        seconds=seconds,
        models=outcomes,
    )
    engine.report(run_end(summary))
    return summary


def _tasks(runs: Sequence[_ModelRun]) -> Iterator[Task]:
    for model_run in runs:
        yield from model_run.tasks()


class _ModelRun:
    """One model on its way: begins with its first file, ends with its last."""

    def __init__(
        self, plan: ModelPlan, engine: Engine, output_dir: Path, writer: ReceiptWriter
    ) -> None:
        self._plan, self._engine, self._root, self._writer = plan, engine, output_dir, writer
        self._model: Model = plan.model
        self._lock = threading.Lock()
        self._state: Literal["new", "begun", "ended"] = "new"
        self._open: dict[str, FilePlan] = {}
        self._outcomes: dict[str, FileOutcome] = {}
        self._deliveries: dict[str, Delivery] = {}
        self._failure: ModelZooError | None = None

    def tasks(self) -> Iterator[Task]:
        """One task a file; a model without files is done at once."""
        if not self._plan.files:
            self._begin()
            self._end()
        for file in self._plan.files:
            yield self._file(file)

    def _file(self, file: FilePlan) -> Task:
        self._begin()
        started = self._engine.clock.now()
        self._begin_file(file)
        outcome = FileOutcome(name=file.job.file.name, path=file.path, successful=False)
        try:
            delivery = self._known(file) or (yield from bring(file.job, self._engine))
            with self._lock:
                self._deliveries[file.job.file.name] = delivery
            outcome = succeeded(outcome, delivery)
        except ModelZooError as error:
            outcome = failed(outcome, error)
        seconds = round(self._engine.clock.now() - started, 3)
        self._end_file(file, msgspec.structs.replace(outcome, seconds=seconds))

    def _begin(self) -> None:
        with self._lock:
            if self._state != "new":
                return
            self._state = "begun"
            count = len(self._plan.files)
            self._engine.report(ModelDownloadBegin(model=self._model.id, num_files=count))

    def _begin_file(self, file: FilePlan) -> None:
        size = file.job.file.size
        with self._lock:
            self._open[file.job.file.name] = file
            self._engine.report(
                ModelFileDownloadBegin(
                    model=self._model.id,
                    model_file=file.job.file.name,
                    size=-1 if size is None else size,
                    size_known=size is not None,
                    path=str(file.job.destination),
                )
            )

    def _known(self, file: FilePlan) -> Delivery | None:
        """What a receipt vouches for needs no transfer."""
        receipt = self._plan.receipt
        if file.state != "installed" or receipt is None:
            return None
        came, output = receipt.input(file.job.file.name), receipt.output(file.path)
        assert came is not None, "an installed file has a record"
        mtime = output.mtime_ns if output else 0
        return Delivery("local", came.size, mtime, came.checksum, came.origin, came.verified)

    def _end_file(self, file: FilePlan, outcome: FileOutcome) -> None:
        with self._lock:
            if self._open.pop(outcome.name, None) is None:
                return  # the run was interrupted and has said so already
            self._outcomes[outcome.name] = outcome
            self._engine.report(end_event(self._model.id, str(file.job.destination), outcome))
            complete = len(self._outcomes) == len(self._plan.files)
        if outcome.successful and file.state != "installed" and not self._model.postprocessing:
            self._writer.add(self._model, self._receipt, [file.job.destination])
        if complete:
            self._end()

    def _end(self) -> None:
        with self._lock:
            if self._state == "ended":
                return
            self._state = "ended"
            successful = all(o.successful for o in self._outcomes.values())
            self._engine.report(ModelDownloadEnd(model=self._model.id, successful=successful))
        if successful and self._model.postprocessing and not self._plan.finished:
            self._postprocess()

    def _postprocess(self) -> None:
        name = self._model.id
        self._engine.report(ModelPostprocessingBegin(model=name))
        staging = self._root / STATE_DIR / "staging" / f"{self._model.source}-{self._model.name}"
        folder = self._root / self._model.subdirectory
        try:
            changes = postprocess(folder, self._model.postprocessing, staging, self._engine.cancel)
            receipt = self._receipt(changes)
            fresh = [self._root / output.path for output in receipt.outputs]
            self._writer.add(self._model, lambda: receipt, fresh)
        except ModelZooError as error:
            self._failure = error
        reason, message = (f.reason, str(f)) if (f := self._failure) else (None, None)
        self._engine.report(
            ModelPostprocessingEnd(model=name, successful=not f, reason=reason, message=message)
        )

    def conclude(self) -> None:
        """Give what was left open by an interruption its end."""
        for file in list(self._open.values()):
            self._end_file(file, _interrupted(file))
        with self._lock:
            ended = self._state != "begun"
        if not ended:
            self._end()

    def outcome(self) -> ModelOutcome:
        """What came of the model, files that were never begun included."""
        files = [
            self._outcomes.get(file.job.file.name) or _interrupted(file) for file in self._plan.files
        ]
        return ModelOutcome(
            model=self._model.id,
            source=self._model.source,
            version=self._model.version,
            successful=self._failure is None and all(file.successful for file in files),
            files=files,
            reason=self._failure.reason if self._failure else None,
            message=str(self._failure) if self._failure else None,
        )

    def _receipt(self, changes: Changes | None = None) -> Receipt:
        with self._lock:
            deliveries = dict(self._deliveries)
        return make_receipt(self._plan, deliveries, self._root, changes)


def _interrupted(file: FilePlan) -> FileOutcome:
    outcome = FileOutcome(name=file.job.file.name, path=file.path, successful=False)
    return failed(outcome, Interrupted())
