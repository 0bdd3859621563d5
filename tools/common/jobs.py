"""Many files of many models: what is started when, what came of each, and what is written down."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from .engine import Delivery, Engine, Job
from .errors import Interrupted, ModelZooError, StorageError
from .events import (
    SCHEMA_VERSION,
    ModelDownloadBegin,
    ModelDownloadEnd,
    ModelFileDownloadBegin,
    ModelPostprocessingBegin,
    ModelPostprocessingEnd,
    Notice,
    RunBegin,
)
from .first_use import bring_unpublished
from .keeping import prime
from .model import Model
from .outcome import FileOutcome, ModelOutcome, Summary, end_event, failed, run_end, succeeded
from .partial import Partial
from .paths import STATE_DIR
from .plan import FilePlan, ModelPlan, look_again, require_space
from .pool import Pool, Task
from .postprocess import Changes, postprocess, remove, reserve, tidy
from .receipts import Receipt, ReceiptWriter
from .records import make_receipt
from .revalidation import refresh
from .transfer import BUSY_POLL, Waits, bring


def run(plans: Sequence[ModelPlan], workers: int, engine: Engine) -> Summary:
    """Carry out the plans; the summary tells every failure. Events go to `engine.report`.

    Only exceptions of the report itself are raised. KeyboardInterrupt ends the run within about a
    second; the summary then says `interrupted`. What cannot fit is not begun: the summary says so.
    """
    started = engine.clock.now()
    files = [file for plan in plans for file in plan.files]
    size = sum(file.job.file.size or 0 for file in files)
    engine.report(
        RunBegin(schema_version=SCHEMA_VERSION, models=len(plans), files=len(files), size=size)
    )
    writer = ReceiptWriter(engine.clock, engine.report)
    runs = [_ModelRun(plan, engine, writer) for plan in plans]
    why = None
    try:
        if shortage := require_space(plans, engine.cache):
            engine.report(Notice(message=f"the cache will not hold everything: {shortage}"))
        Pool(min(workers, len(files) or 1), engine.clock, engine.cancel).run(_tasks(runs))
    except (StorageError, KeyboardInterrupt) as error:
        why = error if isinstance(error, StorageError) else Interrupted()
    finally:
        for model_run in runs:
            model_run.release()
        writer.flush()
    summary = _conclude(runs, why, engine.clock.now() - started)
    writer.flush()
    engine.report(run_end(summary, engine.traffic["network"]))
    return summary


def _conclude(runs: Sequence[_ModelRun], why: ModelZooError | None, seconds: float) -> Summary:
    """What came of it all; `why` is what kept files from being begun or ended."""
    outcomes = [model_run.conclude(why or Interrupted()) for model_run in runs]
    places = {outcome.output_dir for outcome in outcomes}
    refused = why if isinstance(why, StorageError) else None
    return Summary(
        schema_version=SCHEMA_VERSION,
        output_dir=places.pop() if len(places) == 1 else None,
        successful=all(outcome.successful for outcome in outcomes),
        interrupted=refused is None and why is not None,
        seconds=round(seconds, 3),
        reason=refused.reason if refused else None,
        message=str(refused) if refused else None,
        models=outcomes,
    )


def _tasks(runs: Sequence[_ModelRun]) -> Iterator[Task]:
    for model_run in runs:
        yield from model_run.tasks()


class _ModelRun:
    """One model on its way: begins with its first file, ends with its last."""

    def __init__(self, plan: ModelPlan, engine: Engine, writer: ReceiptWriter) -> None:
        self._plan, self._engine, self._writer = plan, engine, writer
        self._model: Model = plan.model
        self._staging = plan.root / STATE_DIR / "staging" / f"{plan.model.source}-{plan.model.name}"
        self._lock = threading.Lock()
        self._state: Literal["new", "begun", "ended"] = "new"
        self._open: dict[str, FilePlan] = {}
        self._outcomes: dict[str, FileOutcome] = {}
        self._deliveries: dict[str, Delivery] = {}
        self._failure: ModelZooError | None = None
        self._reservation: Partial | None = None

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
            if self._model.postprocessing:
                yield from self._reserve()
                file = self._plan.file(file.path)
            delivery = self._known(file) or (yield from _bring(file.job, self._engine))
            if delivery.kind == "local" and not self._model.postprocessing:
                prime(file.job, delivery, self._engine)
            if file.state != "installed":
                self._writer.arrived([file.job.destination])  # before a receipt can know of it
            with self._lock:
                self._deliveries[file.job.file.name] = delivery
            outcome = succeeded(outcome, delivery)
        except ModelZooError as error:
            outcome = failed(outcome, error)
        seconds = round(self._engine.clock.now() - started, 3)
        self._end_file(file, msgspec.structs.replace(outcome, seconds=seconds))

    def _reserve(self) -> Task:
        """Have a model that is to be postprocessed alone: its files change names and contents."""
        told = False
        while not self._reserved():
            self._engine.cancel.check()
            if not told:
                self._engine.report(Notice(message=f"another process works on {self._model.id}"))
                told = True
            yield BUSY_POLL

    def _reserved(self) -> bool:
        with self._lock:
            if self._reservation or self._plan.finished:
                return True
            self._reservation = reserve(self._staging)
            # Whoever had it before us may have done everything.
            if self._reservation and not self._engine.force:
                self._plan = look_again(self._plan)
            return self._reservation is not None

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
        known = came.origin, came.verified, came.validator
        return Delivery("local", came.size, mtime, came.checksum, *known)

    def _end_file(self, file: FilePlan, outcome: FileOutcome) -> None:
        with self._lock:
            if self._open.pop(outcome.name, None) is None:
                return  # the run was interrupted and has said so already
            self._outcomes[outcome.name] = outcome
            self._engine.report(end_event(self._model.id, str(file.job.destination), outcome))
            complete = len(self._outcomes) == len(self._plan.files)
        if outcome.successful and file.state != "installed" and not self._model.postprocessing:
            self._writer.add(self._plan.receipts, self._model, self._receipt)
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
        self.release()

    def release(self) -> None:
        """Let other processes work on the model; idempotent."""
        with self._lock:
            reservation, self._reservation = self._reservation, None
        if reservation is not None:
            with reservation:
                reservation.discard()
            tidy(self._staging)

    def _postprocess(self) -> None:
        name = self._model.id
        self._engine.report(ModelPostprocessingBegin(model=name))
        folder, steps = self._plan.folder, self._plan.steps
        try:
            changes = postprocess(folder, steps, self._staging, self._engine.cancel)
            receipt = self._receipt(changes)
            self._writer.arrived(self._plan.root / output.path for output in receipt.outputs)
            # Without a receipt the next run needs the archives, and should not have to fetch them.
            if self._writer.add(self._plan.receipts, self._model, lambda: receipt):
                remove(folder, changes)
        except ModelZooError as error:
            self._failure = error
        reason, message = (f.reason, str(f)) if (f := self._failure) else (None, None)
        self._engine.report(
            ModelPostprocessingEnd(model=name, successful=not f, reason=reason, message=message)
        )

    def conclude(self, why: ModelZooError) -> ModelOutcome:
        """What came of the model. What was left open gets its end; `why` says what was in the way."""
        for file in list(self._open.values()):
            self._end_file(file, _untouched(file, why))
        with self._lock:
            begun = self._state == "begun"
        if begun:
            self._end()
        files = [
            self._outcomes.get(file.job.file.name) or self._without_work(file, why)
            for file in self._plan.files
        ]
        return ModelOutcome(
            model=self._model.id,
            source=self._model.source,
            version=self._model.version,
            output_dir=str(self._plan.root),
            successful=self._failure is None and all(file.successful for file in files),
            files=files,
            reason=self._failure.reason if self._failure else None,
            message=str(self._failure) if self._failure else None,
        )

    def _without_work(self, file: FilePlan, why: ModelZooError) -> FileOutcome:
        outcome = _untouched(file, why)
        return succeeded(outcome, known) if (known := self._known(file)) else outcome

    def _receipt(self, changes: Changes | None = None) -> Receipt:
        with self._lock:
            deliveries = dict(self._deliveries)
        return make_receipt(self._plan, deliveries, changes)


def _bring(job: Job, engine: Engine) -> Waits[Delivery]:
    """Bring one file home, in the way that what is known of it allows."""
    if job.file.checksum is not None:
        return bring(job, engine)
    return refresh(job, engine) if engine.refresh else bring_unpublished(job, engine)


def _untouched(file: FilePlan, why: ModelZooError) -> FileOutcome:
    outcome = FileOutcome(name=file.job.file.name, path=file.path, successful=False)
    return failed(outcome, why)
