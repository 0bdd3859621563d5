"""The figures of a soak as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..markdown import table
from ..scenarios import MIB
from .rounds import Round
from .server import CHANGED, FAULTS
from .soaking import Soak

_HEAD = (
    "scene", "rounds", "runs", "kills", "faults", "events",
    "MiB of files", "MiB wasted", "× sent, at most", "limit", "",
)  # fmt: skip


def section(soak: Soak) -> list[str]:
    """The parts of a section: tables with a row for each scene, and what was wrong."""
    by_scene: dict[str, list[Round]] = {}
    for done in soak.rounds:
        by_scene.setdefault(done.scene.name, []).append(done)
    kinds = (*FAULTS, CHANGED)
    parts = [
        "## Soak",
        f"From seed {soak.seed} on, a new one for each round. *All right*: every digest is, nothing "
        "was left behind, and every line was an event ([README.md](README.md#the-soak)).",
        table(_HEAD, [_row(rounds) for rounds in by_scene.values()]),
        table(("faults", *kinds), [_faults_row(rounds, kinds) for rounds in by_scene.values()]),
    ]
    parts += [f"Not run: {name}: {why}." for name, why in soak.missing.items()]
    if soak.problems:
        parts.append("Problems:\n\n" + "\n".join(f"- {problem}" for problem in soak.problems))
    return parts


def _row(rounds: Sequence[Round]) -> tuple[str, ...]:
    scene = rounds[0].scene
    size, sent = scene.size * len(rounds), sum(done.sent for done in rounds)
    wrong = sum(len(done.problems) for done in rounds)
    return (
        f"{scene.name}: {scene.title}",
        str(len(rounds)),
        str(sum(done.runs for done in rounds)),
        str(sum(done.kills for done in rounds)),
        str(sum(done.faults.total() for done in rounds)),
        f"{sum(done.events for done in rounds):,}",
        f"{size / MIB:.0f}",
        f"{(sent - size) / MIB:.0f}",
        f"{max(done.factor for done in rounds):.2f}",
        f"{scene.limit:g}",
        f"**{wrong} problems**" if wrong else "all right",
    )


def _faults_row(rounds: Sequence[Round], kinds: Sequence[str]) -> tuple[str, ...]:
    faults = sum((done.faults for done in rounds), Counter[str]())
    return rounds[0].scene.name, *(str(faults[kind]) for kind in kinds)
