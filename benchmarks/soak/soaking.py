"""Rounds of all scenes, one after the other, until the time is up."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..places import NotHere, base_folder
from .rounds import Round, soak_once
from .scenes import Scene

SECONDS, QUICK_SECONDS = 150.0, 10.0
"""How long a soak goes on beginning rounds; each scene has one in any case."""


@dataclass
class Soak:
    """What came of a soak; `missing` says which scenes this machine has no place for, and why."""

    seed: int
    rounds: list[Round] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """Whatever was wrong, with the scene and the round's seed in front of it."""
        return [
            f"{r.scene.name}, seed {r.seed}: {problem}" for r in self.rounds for problem in r.problems
        ]


def soak(scenes: Sequence[Scene], seconds: float, seed: int, say: Callable[[str], None]) -> Soak:
    """Soak in turn; the n-th round has the seed `seed` + n."""
    done, started = Soak(seed), time.monotonic()
    for number in itertools.count():
        for scene in scenes:
            if scene.name in done.missing:
                continue
            if number and time.monotonic() - started > seconds:
                return done
            try:
                done.rounds.append(soak_once(scene, seed + number, base_folder()))
                say(_line(done.rounds[-1]))
            except NotHere as reason:
                done.missing[scene.name] = str(reason)
    raise AssertionError("the time is up some day")


def _line(done: Round) -> str:
    figures = f"{done.kills} kills, {done.faults.total()} faults, {done.factor:.2f} times the bytes"
    verdict = f"{len(done.problems)} PROBLEMS" if done.problems else "all right"
    return f"{done.scene.name}, seed {done.seed}: {figures}, {done.seconds:.0f} s: {verdict}"
