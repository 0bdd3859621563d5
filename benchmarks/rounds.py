"""Run the programs of a scenario, turn by turn, and check what each of them brought."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from .measure import Command, Measurement, run
from .places import NotHere, prepare
from .programs import CACHE, HOME, OUTPUT, Program, Task
from .scenarios import Scenario
from .servers import MissingServer

_TIMEOUT = 600.0
_NAMES_SHOWN = 3
_PRIMING_JOBS = 8  # what an unmeasured run leaves does not depend on them

Say = Callable[[str], None]


@dataclass
class Row:
    """What came of one program: a measurement for each round that it took part in."""

    program: Program
    rounds: dict[int, Measurement] = field(default_factory=dict)
    installed: bool = True
    problem: str = ""


@dataclass(frozen=True)
class Pace:
    """What keeps a run short, in seconds: a program that takes more than `patience` is not repeated.

    After the `fewest` rounds of a scenario no further one is begun later than `budget`.
    """

    patience: float
    budget: float
    fewest: int


@dataclass(frozen=True)
class Result:
    """A measured scenario; `skipped` says why when it could not be measured."""

    scenario: Scenario
    rows: tuple[Row, ...] = ()
    skipped: str = ""


def measure(scenario: Scenario, base: Path, repeats: int, pace: Pace, say: Say) -> Result:
    """All rounds of a scenario, in a folder of its own below `base`."""
    say(f"{scenario.name}: {scenario.title}")
    try:
        with prepare(scenario, base) as task:
            lanes = [
                _Lane(program, task, number, pace.patience, settle=scenario.shares_blocks)
                for number, program in enumerate(scenario.programs)
            ]
            start = time.monotonic()
            for number in range(repeats):
                if number >= pace.fewest and time.monotonic() - start > pace.budget:
                    break
                for lane in lanes:
                    lane.take_turn(number, say)
            return Result(scenario, tuple(lane.row for lane in lanes))
    except (NotHere, MissingServer) as error:
        say(f"  not measured: {error}")
        return Result(scenario, skipped=str(error))


class _Lane:
    """One program through all rounds, in folders of its own."""

    def __init__(
        self, program: Program, task: Task, number: int, patience: float, *, settle: bool
    ) -> None:
        self.row = Row(program)
        self._patience = patience
        self._settle = settle
        self._task = replace(task, folder=task.folder / f"program-{number}")
        self._hasty = replace(self._task, jobs=max(_PRIMING_JOBS, task.jobs))
        self._primed = not program.keeps

    def take_turn(self, number: int, say: Say) -> None:
        """Run once and note the costs; after a failure the program takes no more part."""
        row = self.row
        slow = any(measured.seconds > self._patience for measured in row.rounds.values())
        if row.problem or not row.installed or slow or number >= row.program.most_rounds:
            return
        self._make_folders()
        command, first = (row.program.command(task) for task in (self._task, self._hasty))
        if command is None or first is None:
            row.installed = False
            say(f"  {row.program.name}: not installed")
            return
        if self._prime(first, say):
            self._note(number, self._run(command), say)
        self._empty()

    def _prime(self, command: Command, say: Say) -> bool:
        """The first, unmeasured run, where there is one; whether it did its work."""
        if not self._primed:
            self._primed = True
            self.row.problem = self._run(command).problem
            self._empty()
        if self.row.problem:
            say(f"  {self.row.program.name}: FAILED at first: {self.row.problem}")
        return not self.row.problem

    def _note(self, number: int, measured: Measurement, say: Say) -> None:
        name = self.row.program.name
        if measured.problem:
            self.row.problem = measured.problem
            self.row.rounds.clear()  # what sometimes fails is not fast at other times
            say(f"  {name}: FAILED: {measured.problem}")
            return
        self.row.rounds[number] = measured
        say(f"  {number + 1} {name}: {measured.seconds:.3f} s, {measured.cpu:.2f} s CPU")

    def _run(self, command: Command) -> Measurement:
        if self._settle:  # what others wrote must not be written back while this one is measured
            os.sync()
        measured = run(command, _TIMEOUT)
        if not measured.problem and (wrong := self.row.program.wrong(self._task)):
            shown = ", ".join(wrong[:_NAMES_SHOWN])
            measured = replace(measured, problem=f"{len(wrong)} wrong or missing: {shown}")
        return measured

    def _make_folders(self) -> None:
        for name in (OUTPUT, CACHE, HOME):
            (self._task.folder / name).mkdir(parents=True, exist_ok=True)

    def _empty(self) -> None:
        for name in {OUTPUT, CACHE, HOME} - self.row.program.keeps:
            shutil.rmtree(self._task.folder / name)
        self._make_folders()
