"""The results as a Markdown document."""

from __future__ import annotations

import datetime as dt
import re
import statistics
from collections.abc import Callable, Iterable, Sequence

from .machine import machine, versions
from .markdown import table
from .measure import Measurement
from .programs import OURS
from .rounds import Result, Row
from .scenarios import MIB, TREES
from .targets import (
    MEMORY,
    REMARKS,
    TARGETS,
    Target,
    best_verifying_peer,
    largest,
    median_seconds,
    ratio,
    reached,
)

GIB = 1 << 30
_NOTHING = "–"
_ABSOLUTE = re.compile(r"(?<![\w.])/(?:[\w.@+-]+/)+")  # folders of this machine
_INTRODUCTION = """\
Written by `make {target}` on {date}: {repeats} rounds, in each of which every program runs once.
[README.md](README.md) says what is measured and how to read it. Times compare only within one table.
"""


def document(
    results: Sequence[Result], repeats: int, quick: bool, load: float, more: Sequence[str] = ()
) -> str:
    """The whole report; `load` is that of the machine before the first run, `more` other parts."""
    date = dt.datetime.now(dt.timezone.utc).date().isoformat()
    target = "bench-quick" if quick else "bench"
    parts = ["# Results", _INTRODUCTION.format(target=target, date=date, repeats=repeats)]
    if results:
        parts += ["## Targets", *_targets(results)]
        parts += ["## Measurements", *(_section(result) for result in results)]
    parts += more
    about = {**machine(), "Load average before": f"{load:.2f}"}
    parts += ["## Machine", table(("", ""), about.items())]
    parts += ["## Programs", table(("program", "version"), versions().items())]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def failures(results: Sequence[Result]) -> list[str]:
    """One line for each program that failed."""
    return [
        f"{result.scenario.name}, {row.program.name}: {_ABSOLUTE.sub('', row.problem)}"
        for result in results
        for row in result.rows
        if row.problem
    ]


def _targets(results: Sequence[Result]) -> list[str]:
    by_name = {result.scenario.name: result for result in results}
    wanted = [target for target in TARGETS if target.scenario in by_name]
    rows = [_target_row(target, reached(target, by_name)) for target in wanted]
    for kind in (True, False):
        if (most := largest([r for r in results if bool(r.scenario.shape) == kind])) is not None:
            rows.append(_memory_row(*most))
    parts = [table(("scenario", "target", "measured", ""), rows)]
    best = [_best_row(result) for result in results]
    head = ("scenario", "modelzoo, s", "fastest other that compares checksums", "s", "ratio")
    parts.append(table(head, filter(None, best)))
    if failed := failures(results):
        parts.append("Failed:\n\n" + "\n".join(f"- {line}" for line in failed))
    return parts


def _target_row(target: Target, measured: float | None) -> tuple[str, str, str, str]:
    wanted = f"{target.ours} ≥ {target.ratio:g} × {target.other}"
    if measured is None:
        return target.scenario, wanted, _NOTHING, "not measured"
    verdict, remark = _verdict(measured / target.ratio), REMARKS.get((target.scenario, target.other))
    if remark and measured < target.ratio:
        verdict += f"; {remark}"
    return target.scenario, wanted, f"{measured:.2f} ×", verdict


def _memory_row(memory: int, where: str) -> tuple[str, str, str, str]:
    wanted = f"at most {MEMORY // MIB} MiB in each scenario"
    return where, wanted, f"{_mib(memory)} MiB", _verdict(MEMORY / memory)


def _best_row(result: Result) -> tuple[str, ...] | None:
    ours = next((row for row in result.rows if row.program.name == OURS and row.rounds), None)
    best = best_verifying_peer(result)
    if ours is None or best is None:
        return None
    times = (f"{median_seconds(row):.3f}" for row in (ours, best))
    return result.scenario.name, next(times), best.program.name, next(times), _ratio(ours, best)


def _verdict(part: float) -> str:
    """`part`: the measured value as a part of the target."""
    if part >= 1:
        return "met"
    return f"**not met**: {min(part, 0.999):.1%} of the target"  # never rounded up to all of it


def _section(result: Result) -> str:
    scenario = result.scenario
    title = f"### {scenario.name}: {scenario.title}"
    if result.skipped:
        return f"{title}\n\nNot measured: {result.skipped}."
    references = [row for row in result.rows if row.program.name in scenario.references]
    heads = [f"÷ {row.program.name}" for row in references]
    unit = "models" if scenario.trees else "files"
    columns = ("program", "wall s (min–max)", "CPU s", "CPU s/GiB", f"CPU s/1,000 {unit}", "peak MiB")
    rows = [_row(result, row, references) for row in result.rows]
    return f"{title}\n\n{table((*columns, *heads), rows)}"


def _row(result: Result, row: Row, references: Iterable[Row]) -> tuple[str, ...]:
    name = row.program.name
    if not row.program.verifies and result.scenario.size:
        name += " (not verified)"
    if row.problem:
        return name, "**FAILED**"
    if not row.rounds:
        return name, "not installed"
    cpu = _median(row, lambda measured: measured.cpu)
    per_gib = _per(cpu, result.scenario.size / GIB)
    per_count = _per(cpu, _count(result) / 1000)
    memory = _mib(max(measured.memory for measured in row.rounds.values()))
    ratios = (_ratio(reference, row) for reference in references)
    return name, _wall(row), f"{cpu:.2f}", per_gib, per_count, memory, *ratios


def _wall(row: Row) -> str:
    seconds = [measured.seconds for measured in row.rounds.values()]
    spread = f"{min(seconds):.3f}–{max(seconds):.3f}" if len(seconds) > 1 else "once"
    return f"{median_seconds(row):.3f} ({spread})"


def _per(cpu: float, amount: float) -> str:
    return f"{cpu / amount:.2f}" if amount else _NOTHING


def _ratio(reference: Row, row: Row) -> str:
    value = ratio(reference, row)
    return _NOTHING if row is reference or value is None else f"{value:.2f}"


def _count(result: Result) -> int:
    """Files, or models where a catalog is read; 0 where the programs differ in it."""
    if len(result.scenario.trees) > 1:
        return 0
    return sum(TREES[tree] for tree in result.scenario.trees) or sum(map(len, result.scenario.shape))


def _median(row: Row, value: Callable[[Measurement], float]) -> float:
    return statistics.median(map(value, row.rounds.values()))


def _mib(n_bytes: int) -> str:
    return f"{n_bytes / MIB:.0f}"
