"""One model on its way: its events in order, its postprocessing, its receipt, and what came of it."""

from __future__ import annotations

import functools
import threading
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from ..errors import ModelZooError, Reason, TransferError
from ..events import (
    ModelDownloadBegin,
    ModelDownloadEnd,
    ModelPostprocessingBegin,
    ModelPostprocessingEnd,
    Notice,
)
from ..files.leftovers import clear_away
from ..files.paths import staging_folder
from ..installation.inputs import Input
from ..installation.receipts import Receipt, ReceiptWriter
from ..model import DownloadModel, Model
from ..pool import Task
from ..transfer.engine import Delivery, Engine, Job
from .outcome import (
    FileOutcome,
    ModelOutcome,
    begin_event,
    end_event,
    failed,
    installed,
    model_outcome,
    succeeded,
    without_work,
)
from .plan import FilePlan, ModelPlan, look_again
from .records import make_receipt

if TYPE_CHECKING:
    from ..files.partial import Partial
    from .postprocess import Changes

Bring = Callable[[Job, Engine], Generator[float, None, Delivery]]

# What moves bytes or changes files is imported where that is done: a finished tree needs none of it.


@functools.cache
def _transfers() -> tuple[Bring, Bring, Bring, Callable[[Job, Delivery, Engine], None]]:
    """The ways to bring a file, and to prime the cache; looked up once, since that takes long."""
    from ..transfer.file import bring
    from ..transfer.first_use import bring_unpublished
    from ..transfer.remembering import prime
    from ..transfer.revalidation import refresh

    return bring, bring_unpublished, refresh, prime


class ModelRun:
    """One model on its way: begins with its first file, ends with its last."""

    def __init__(self, plan: ModelPlan, engine: Engine, writer: ReceiptWriter) -> None:
        self._plan, self._engine, self._writer = plan, engine, writer
        self._model: Model = plan.model
        self._staging = staging_folder(plan.root, plan.model.source, plan.model.name)
        self._lock = threading.Lock()
        self._state: Literal["new", "begun", "ended"] = "new"
        self._open: dict[str, FilePlan] = {}
        self._outcomes: dict[str, FileOutcome] = {}
        self._deliveries: dict[str, Delivery] = {}
        self._failure: ModelZooError | None = None
        self._processed = False
        self._reservation: Partial | None = None

    def tasks(self) -> Iterator[Task]:
        """One task a file, or one for a model without files."""
        if not self._plan.files:
            yield self._make()
        for file in self._plan.files:
            yield self._file(file)

    def _make(self) -> Task:
        """Have postprocessing make what does not come as files."""
        self._begin()
        try:
            yield from self._reserve()
        except ModelZooError as error:
            self._failure = error
        self._end()

    def tell(self) -> None:
        """Say of each file of a finished model that it is there."""
        self._begin()
        for file in self._plan.files:
            if self._engine.cancel:
                return
            outcome = installed(file)
            self._begin_file(file, outcome.size)
            self._end_file(file, outcome)
        self._end()

    def _file(self, file: FilePlan) -> Task:
        self._begin()
        started = self._engine.clock.now()
        announce = self._announcing(file)
        outcome = FileOutcome(name=file.file.name, path=file.path, successful=False)
        try:
            if self._model.postprocessing:
                yield from self._reserve()
                file = self._plan.file(file.path)
            if file.record:
                outcome = installed(file)
                if not file.kept:
                    self._prime(file, file.record)
            else:
                outcome = succeeded(outcome, (yield from self._bring(file, announce)))
            announce(outcome.size)
        except ModelZooError as error:
            announce(None)
            outcome = failed(outcome, error)
        seconds = round(self._engine.clock.now() - started, 3)
        self._end_file(file, msgspec.structs.replace(outcome, seconds=seconds))

    def _bring(
        self, file: FilePlan, announce: Callable[[int | None], None]
    ) -> Generator[float, None, Delivery]:
        bring, bring_unpublished, refresh, prime = _transfers()
        job, engine = msgspec.structs.replace(file.job, announce=announce), self._engine
        if file.file.checksum is not None:
            delivery = yield from bring(job, engine)
        elif engine.refresh:
            delivery = yield from refresh(job, engine)
        else:
            delivery = yield from bring_unpublished(job, engine)
        if not self._model.postprocessing:  # else a receipt knows only of what that leaves
            self._writer.arrived([job.destination])  # before a receipt can know of it
        if delivery.kind == "local" and not self._model.postprocessing:
            prime(job, delivery, engine)
        with self._lock:
            self._deliveries[file.file.name] = delivery
        return delivery

    def _prime(self, file: FilePlan, record: Input) -> None:
        """Copy an installed file into a cache that has not got it."""
        *_, prime = _transfers()
        known = record.checksum, record.origin, record.verified, record.validator
        prime(file.job, Delivery("local", record.size, 0, *known), self._engine)

    def _reserve(self) -> Task:
        """Have a model that is to be postprocessed alone: its files change names and contents."""
        from ..transfer.file import BUSY_POLL

        told = False
        while not self._reserved():
            self._engine.cancel.check()
            if not told:
                self._engine.report(Notice(message=f"another process works on {self._model.id}"))
                told = True
            yield BUSY_POLL

    def _reserved(self) -> bool:
        from .postprocess import reserve

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

    def _announcing(self, file: FilePlan) -> Callable[[int | None], None]:
        """Has the begin of the file reported: at once where its size is known, else when it is told."""
        if file.file.size is not None:
            self._begin_file(file, file.file.size)
        return functools.partial(self._begin_file, file)

    def _begin_file(self, file: FilePlan, size: int | None) -> None:
        """Report, once, that work on the file begins."""
        name = file.file.name
        with self._lock:
            if name in self._open or name in self._outcomes or self._state == "ended":
                return
            self._open[name] = file
            self._engine.report(begin_event(file, size))

    def _end_file(self, file: FilePlan, outcome: FileOutcome) -> None:
        with self._lock:
            if self._open.pop(outcome.name, None) is None:
                return  # the run was interrupted and has said so already
            self._outcomes[outcome.name] = outcome
            self._engine.report(end_event(file, outcome))
            self._engine.traffic.file_ended()
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
            successful = not self._failure and all(o.successful for o in self._outcomes.values())
            self._engine.report(ModelDownloadEnd(model=self._model.id, successful=successful))
        if successful and self._model.postprocessing and not self._plan.finished:
            self._postprocess()
        self.release()

    def release(self) -> None:
        """Let other processes work on the model; idempotent."""
        with self._lock:
            reservation, self._reservation = self._reservation, None
        if reservation is not None:
            from .postprocess import tidy

            with reservation:
                reservation.discard()
            tidy(self._staging)

    def clear_away(self) -> None:
        """Remove what killed runs left in flight of files that are there now."""
        there: dict[str, set[str]] = defaultdict(set)
        for outcome in list(self._outcomes.values()):
            if outcome.successful:
                folder, _, name = outcome.path.rpartition("/")  # thousands: Path would be slow
                there[folder].add(name)
        for place, names in there.items():
            clear_away(self._plan.root / place, names)

    def _postprocess(self) -> None:
        from .postprocess import postprocess, remove

        name = self._model.id
        self._engine.report(ModelPostprocessingBegin(model=name))
        folder, steps = self._plan.folder, self._plan.steps
        try:
            self._require_network()
            code = Path(self._model.config_dir)
            changes = postprocess(folder, steps, self._staging, self._engine.cancel, code)
            receipt = self._receipt(changes)
            self._writer.arrived(self._plan.root / output.path for output in receipt.outputs)
            # Without a receipt the next run needs the archives, and should not have to fetch them.
            if self._writer.add(self._plan.receipts, self._model, lambda: receipt):
                remove(folder, changes)
            self._processed = True
        except ModelZooError as error:
            self._failure = error
        reason, message = (f.reason, str(f)) if (f := self._failure) else (None, None)
        self._engine.report(
            ModelPostprocessingEnd(model=name, successful=not f, reason=reason, message=message)
        )

    def _require_network(self) -> None:
        """Code of a source can send requests, and nobody could keep it from that."""
        by_code = any(isinstance(step, DownloadModel) for step in self._plan.steps)
        if self._engine.stores.offline and by_code:
            raise TransferError(Reason.OFFLINE, "the code of the source was not run: --offline")

    def conclude(self, why: ModelZooError) -> ModelOutcome:
        """What came of the model. What was left open gets its end; `why` says what was in the way."""
        for file in list(self._open.values()):
            self._end_file(file, without_work(file, why))
        with self._lock:
            begun = self._state == "begun"
        if begun:
            self._end()
        made = self._plan.made or self._processed
        failure = self._failure or (None if made else why)
        return model_outcome(self._plan, self._outcomes, why, failure)

    def _receipt(self, changes: Changes | None = None) -> Receipt:
        with self._lock:
            deliveries = dict(self._deliveries)
        return make_receipt(self._plan, deliveries, changes)
