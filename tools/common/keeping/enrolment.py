"""Receipts for files that somebody else has put where a model's files belong.

Nothing is fetched and no file is changed. Once a receipt tells of them they are known to the other
tools, and the next download leaves them alone without reading them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Literal

import msgspec

from ..cancel import Cancel
from ..clock import Clock
from ..concurrency import Fixed
from ..errors import Interrupted, StorageError
from ..events import (
    SCHEMA_VERSION,
    Event,
    FileVerifyBegin,
    FileVerifyEnd,
    Report,
    Verdict,
    VerifyBegin,
    VerifyEnd,
)
from ..files.disk import file_size
from ..installation.receipts import Receipt, ReceiptWriter
from ..model import DownloadModel
from ..pool import Pool, Task
from ..run.plan import FilePlan, ModelPlan
from ..run.records import make_receipt
from ..transfer.adoption import adopt
from ..transfer.engine import Delivery
from .rehash import until_the_end

State = Literal["known", "adopted", "unverified", "different", "missing", "unreadable", "unprocessed"]
"""`unverified`: adopted by its size; `unprocessed`: there, but its model wants postprocessing."""

_VERDICTS: dict[State, Verdict] = {
    "different": "changed",
    "missing": "missing",
    "unreadable": "unreadable",
}


_COMPLETE = ("known", "adopted", "unverified")


class EnrolledFile(msgspec.Struct, frozen=True):
    """One file of the catalog; `path` is relative to the output directory."""

    path: str
    state: State


class EnrolledModel(msgspec.Struct, frozen=True):
    """One model; it is `complete` when a receipt tells of all its files now."""

    model: str
    source: str
    output_dir: str
    complete: bool
    files: list[EnrolledFile]


class Enrolment(msgspec.Struct, frozen=True):
    """What came of it."""

    schema_version: int
    adopted: int
    models: list[EnrolledModel]


def enrol(plans: Sequence[ModelPlan], workers: int, report: Report, clock: Clock) -> Enrolment:
    """Write receipts for the files that are right; raises Interrupted, and keeps what was done."""
    run = _Run(plans, until_the_end(report), clock)
    run.carry_out(workers)
    models = [run.outcome(number, plan) for number, plan in enumerate(plans)]
    adopted = sum(f.state in ("adopted", "unverified") for m in models for f in m.files)
    return Enrolment(SCHEMA_VERSION, adopted, models)


class _Run:
    def __init__(self, plans: Sequence[ModelPlan], report: Report, clock: Clock) -> None:
        self._plans, self._report, self._clock = plans, report, clock
        self._writer = ReceiptWriter(clock, report)
        self._states: dict[tuple[int, str], State] = {}
        self._deliveries: dict[tuple[int, str], Delivery] = {}

    def carry_out(self, workers: int) -> None:
        """Look at all files."""
        started = self._clock.now()
        files = [file for plan in self._plans for file in plan.files]
        size = sum(_present(file) for file in files)
        self._report(VerifyBegin(schema_version=SCHEMA_VERSION, files=len(files), size=size))
        why = None
        try:
            Pool(Fixed(min(workers, len(files) or 1)), self._clock, Cancel()).run(self._tasks())
        except KeyboardInterrupt:
            why = Interrupted()
        finally:
            self._enter()
        self._report(self._end(started, why))
        if why:
            raise why

    def _end(self, started: float, why: Interrupted | None) -> VerifyEnd:
        states = dict(self._states)
        wrong = sum(state not in _COMPLETE for state in states.values())
        by_code = (state for plan in self._plans for _, state in _brought_by_code(plan))
        lacking = any(state not in _COMPLETE for state in by_code)
        read = (
            _present(file)
            for number, plan in enumerate(self._plans)
            for file in plan.files
            if (number, file.job.file.name) in states
        )
        return VerifyEnd(
            successful=not wrong and not lacking and why is None,
            files=len(states),
            files_failed=wrong,
            size=sum(read),
            seconds=round(self._clock.now() - started, 3),
            reason=why.reason if why else None,
        )

    def _tasks(self) -> Iterator[Task]:
        for number, plan in enumerate(self._plans):
            for file in plan.files:
                yield self._task(number, plan, file)

    def _task(self, number: int, plan: ModelPlan, file: FilePlan) -> Task:
        name = file.job.file.name
        names = {"path": str(file.job.destination), "model": plan.model.id}
        self._report(FileVerifyBegin(size=_present(file), **names))
        state, delivery = _judge(plan, file)
        if delivery and state != "unprocessed":
            self._writer.arrived([file.job.destination])
            self._deliveries[number, name] = delivery
        self._states[number, name] = state
        self._report(_end_event(state, delivery, names))
        yield from ()  # it never has to wait

    def _enter(self) -> None:
        """Write the receipts of what was found right, also when not everything was looked at."""
        for number, plan in enumerate(self._plans):
            names = (file.job.file.name for file in plan.files)
            found = {n: self._deliveries[number, n] for n in names if (number, n) in self._deliveries}
            if found:
                receipt = make_receipt(plan, found, None)
                self._writer.add(plan.receipts, plan.model, partial(_same, receipt))
        self._writer.flush()

    def outcome(self, number: int, plan: ModelPlan) -> EnrolledModel:
        """What came of one model."""
        states = [(f.path, self._states[number, f.job.file.name]) for f in plan.files]
        states += _brought_by_code(plan)
        return EnrolledModel(
            model=plan.model.id,
            source=plan.model.source,
            output_dir=str(plan.root),
            complete=all(state in _COMPLETE for _, state in states),
            files=[EnrolledFile(path, state) for path, state in states],
        )


def _present(file: FilePlan) -> int:
    """Bytes that have to be read to know whether the file is right."""
    return (file.job.file.size or 0) if file.state == "present" else 0


def _brought_by_code(plan: ModelPlan) -> Iterator[tuple[str, State]]:
    """What comes by no file of the catalog: nobody but the code that brings it knows what is right."""
    for step in plan.model.postprocessing:
        if isinstance(step, DownloadModel):
            path = plan.model.path_of(step.file)
            if plan.receipt and plan.made:
                yield path, "known"
            else:
                yield path, "unprocessed" if os.path.lexists(plan.root / path) else "missing"


def _same(receipt: Receipt) -> Receipt:
    return receipt


def _judge(plan: ModelPlan, file: FilePlan) -> tuple[State, Delivery | None]:
    if file.state == "installed":
        return "known", None
    if file_size(file.job.destination) is None:
        return "missing", None
    try:
        delivery = adopt(file.job)
    except StorageError:
        return "unreadable", None
    if delivery is None:
        return "different", None
    if plan.model.postprocessing:
        return "unprocessed", delivery
    return "adopted" if delivery.verified else "unverified", delivery


def _end_event(state: State, delivery: Delivery | None, names: dict[str, str]) -> Event:
    checksum = str(delivery.checksum) if delivery and delivery.checksum else None
    return FileVerifyEnd(state=_VERDICTS.get(state, "whole"), checksum=checksum, **names)
