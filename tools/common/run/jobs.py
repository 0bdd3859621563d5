"""Many files of many models: what is started when, and what came of it all."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..cancel import Cancel
from ..concurrency import MOST, Fixed, Governor, Jobs
from ..errors import Interrupted, ModelZooError, Reason, StorageError
from ..events import SCHEMA_VERSION, Notice, RunBegin
from ..installation.receipts import ReceiptWriter
from ..pool import Pool, Task
from ..transfer.engine import Engine
from ..web.connections import share_of
from .model_run import ModelRun
from .outcome import LOST, Ended, Summary, run_end, untouched
from .plan import ModelPlan
from .space import require_space

if TYPE_CHECKING:
    from .crew import Crew, Link

SMALL = 1 << 20
"""Bytes up to which a file costs more in Python than on the wire."""

MANY = 128
"""Small files that are worth a process of their own, which takes some milliseconds to make."""


def run(plans: Sequence[ModelPlan], jobs: Jobs, engine: Engine, processes: int = 1) -> Summary:
    """Carry out the plans; the summary tells every failure. Events go to `engine.report`.

    At most so many processes share the work where that pays; for more than one, this process must be
    fit for a fork. Only exceptions of the report itself are raised. KeyboardInterrupt ends the run
    within about a second; the summary then says `interrupted`. What cannot fit is not begun: the
    summary says so.
    """
    engine = engine.changed(explores=jobs == "auto")
    started = engine.clock.now()
    refused, ended, shortage = None, Ended({}, False, 0), None
    try:
        shortage = require_space(plans, engine.cache)
    except StorageError as error:
        refused = error
    if engine.cache:
        engine.cache.clear_away()
    crew = None if refused else _hire(plans, jobs, engine, processes)
    _report_begin(plans, shortage, engine)
    if crew:
        with crew:
            ended = crew.relay(engine)
    elif not refused:
        ended = _work(plans, iter(range(len(plans))), _limit(plans, jobs, engine), engine)
    seconds = engine.clock.now() - started
    summary = _conclude(plans, ended, refused, seconds)
    engine.report(run_end(summary, ended.network))
    return summary


def _limit(
    plans: Sequence[ModelPlan], jobs: Jobs, engine: Engine, members: int = 1, position: int = 0
) -> Fixed | Governor:
    """How many transfers at a time one of so many members may have."""
    total = engine.connections.total
    if jobs == "auto":
        most = share_of(MOST, members, position)
        return Governor(most if total is None else min(most, total), engine.traffic.sample)
    # All models that need nothing count as one: they only have to be told of.
    pending = sum(len(plan.files) or 1 for plan in plans if not plan.settled)
    return Fixed(min(share_of(jobs, members, position), pending + 1))


def _report_begin(plans: Sequence[ModelPlan], shortage: StorageError | None, engine: Engine) -> None:
    files = [file for plan in plans for file in plan.files]
    size = sum(file.file.size or 0 for file in files)
    engine.report(
        RunBegin(schema_version=SCHEMA_VERSION, models=len(plans), files=len(files), size=size)
    )
    if shortage:
        engine.report(Notice(message=f"the cache will not hold everything: {shortage}"))


def _hire(plans: Sequence[ModelPlan], jobs: Jobs, engine: Engine, processes: int) -> Crew | None:
    """Members for the work, where it pays to share it."""
    small = [f for plan in plans for f in plan.pending if f.size is not None and f.size <= SMALL]
    most = [MOST if jobs == "auto" else jobs, engine.connections.most or MOST]
    members = min(processes, len(plans), len(small) // MANY, *most)
    # Threads do not survive a fork, a cap is kept by one process, and macOS is not fit for forks.
    possible = threading.active_count() == 1 and engine.limit.rate is None
    if members < 2 or not possible or sys.platform != "linux":
        return None
    from .crew import Crew

    engine.stores.prepare(origin.url for origin in small[0].origins)

    def act(position: int, numbers: Iterator[int], link: Link) -> Ended:
        own = engine.changed(
            report=link.tell,
            share=link.teach,
            cancel=Cancel(),
            connections=engine.connections.part(members, position),
        )
        link.listen(own.gates.learn)
        return _work(plans, numbers, _limit(plans, jobs, own, members, position), own)

    return Crew(members, len(plans), act)


def _work(
    plans: Sequence[ModelPlan], numbers: Iterator[int], limit: Fixed | Governor, engine: Engine
) -> Ended:
    """Carry out the plans with these numbers in this process."""
    writer = ReceiptWriter(engine.clock, engine.report)
    runs: dict[int, ModelRun] = {}

    def begun(number: int) -> ModelRun:
        return runs.setdefault(number, ModelRun(plans[number], engine, writer))

    def tasks() -> Iterator[Task]:
        for settled, some in itertools.groupby(numbers, lambda number: plans[number].settled):
            if settled:  # one task for all of them: they only have to be told of
                yield _tell([begun(number) for number in some])
            else:
                yield from (task for number in some for task in begun(number).tasks())

    interrupted = False
    try:
        Pool(limit, engine.clock, engine.cancel).run(tasks())
    except KeyboardInterrupt:
        interrupted = True
    finally:
        for model_run in runs.values():
            model_run.release()
            model_run.clear_away()
        writer.flush()
    outcomes = {number: model_run.conclude(Interrupted()) for number, model_run in runs.items()}
    writer.flush()
    if engine.cache:
        engine.cache.proofs.flush()  # now that everything has been synced
    return Ended(outcomes, interrupted, engine.traffic["network"])


def _tell(runs: Sequence[ModelRun]) -> Task:
    for model_run in runs:
        model_run.tell()
    yield from ()  # it never waits


def _conclude(
    plans: Sequence[ModelPlan], ended: Ended, refused: StorageError | None, seconds: float
) -> Summary:
    """What came of it all; `refused` is what kept it from being begun."""
    why: ModelZooError | None = refused or (Interrupted() if ended.interrupted else None)
    outcomes = [
        ended.outcomes.get(number) or untouched(plan, why or ModelZooError(LOST, Reason.INTERRUPTED))
        for number, plan in enumerate(plans)
    ]
    places = {outcome.output_dir for outcome in outcomes}
    return Summary(
        schema_version=SCHEMA_VERSION,
        output_dir=places.pop() if len(places) == 1 else None,
        successful=all(outcome.successful for outcome in outcomes),
        interrupted=ended.interrupted,
        seconds=round(seconds, 3),
        reason=refused.reason if refused else None,
        message=str(refused) if refused else None,
        models=outcomes,
    )
