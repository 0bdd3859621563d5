"""What the tools have to reach, and whether they did."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from . import peers
from .programs import OURS
from .rounds import Result, Row
from .scenarios import COLD, JSON, JSON_PIPE, LARGE_WARM, MIB, NO_EVENTS, SMALL_WARM, WARM, Scenario

MEMORY = 100 * MIB  # at most so much, in every scenario
_EVENTS = 0.95  # JSON events cost a few per cent at most


@dataclass(frozen=True)
class Target:
    """`ours` takes the other program's time divided by `ratio`, at most."""

    scenario: str
    ours: str
    other: str
    ratio: float


TARGETS = (
    Target("A", OURS, peers.CURL + peers.SHA384SUM, 1.9),
    Target("A", OURS, peers.HF_TRANSFER + peers.SHA384, 1.4),
    Target("B", OURS, peers.ARIA2, 2.5),
    Target("B", OURS, peers.OMZ, 1.0),
    Target("C", OURS, peers.ARIA2, 1.0),
    Target("C", OURS, peers.OMZ, 4.0),
    Target("D", OURS, peers.ARIA2, 1.0),
    Target("D2", OURS, peers.ARIA2, 1.3),
    Target("E", OURS, peers.ARIA2, 0.95),
    Target("cache", OURS, peers.OMZ, 1.7),
    Target("cache-shared", OURS, peers.OMZ, 50.0),
    Target("second", OURS, peers.OMZ, 50.0),
    Target("info", COLD, peers.OMZ, 5.0),
    Target("info", WARM, peers.OMZ, 8.0),
    Target("name", LARGE_WARM, SMALL_WARM, 0.5),
    Target("events-small", JSON, NO_EVENTS, _EVENTS),
    Target("events-small", JSON_PIPE, NO_EVENTS, _EVENTS),
    Target("events-large", JSON, NO_EVENTS, _EVENTS),
    Target("events-large", JSON_PIPE, NO_EVENTS, _EVENTS),
)


REMARKS: dict[tuple[str, str], str] = {
    ("A", peers.CURL + peers.SHA384SUM): (
        "receiving and hashing overlap, so one core's SHA-384 is the limit (see Machine), and the "
        "ratio moves with it: sha384sum is another implementation of the hash, slower here than "
        "hashlib by a factor that varied from 1.4 to 3.4; tried: handing each piece to the hash as it "
        "came (given up: it took as long as to receive it; now a megabyte at a time, in memory that "
        "is used again)"
    ),
    ("A", peers.HF_TRANSFER + peers.SHA384): "as above, and the start of the interpreter",
    ("B", peers.ARIA2): (
        "aria2c hashes on one core, this on all, which share them with nginx: two cores give at most "
        "twice; tried: a hash thread for each file (given up: only more hand-overs)"
    ),
    ("B", peers.OMZ): "both hash on all cores, which is the limit of both",
    ("C", peers.ARIA2): (
        "before the first request come imports, catalog and plans, on one core; then Python's work for "
        "each file, about a millisecond of a slow processor, of which the hash is a quarter; tried: "
        "urllib3 for each request (given up: ten times the processor time of reading the connection "
        "directly), several processes (kept), not importing requests and filelock (kept), four and "
        "eight processes on two cores (given up: no faster)"
    ),
    ("C", peers.OMZ): "as above",
    ("E", peers.ARIA2): (
        "the pauses alone take files ÷ jobs × 50 ms, and whatever comes before the first request is "
        "added: interpreter, imports, a catalog without index; tried: four and eight processes "
        "(given up: no faster on two cores)"
    ),
    ("cache", peers.OMZ): (
        "one job takes about as long as eight do (cache8), so the hash on all cores is the limit; "
        "tried: copying the next file while one is hashed (kept)"
    ),
    ("cache-shared", peers.OMZ): (
        "nothing is copied or hashed: all of it is the start of the interpreter, imports and catalog"
    ),
    ("info", peers.OMZ): (
        "every config file is read, and interpreter and imports come before; above and below the "
        "target in different runs; tried: values straight from the YAML parser's events (kept), no "
        "import of requests (kept); not tried: reading in two processes"
    ),
    ("events-large", NO_EVENTS): (
        "a line of JSON every 0.2 s is all that is written; to a pipe it is the same lines, so the "
        "difference between the two rows is how unsteady the machine is"
    ),
    ("second", peers.OMZ): (
        "nearly all of it is the start: interpreter, imports and index; then a look at each file"
    ),
}
"""Why a target is not reached where it is not, and what was tried; by scenario and other program."""


def essential(found: Iterable[Scenario]) -> Iterator[Scenario]:
    """The scenarios that have targets, with no other programs than those that the targets compare."""
    for scenario in found:
        own = [target for target in TARGETS if target.scenario == scenario.name]
        names = {name for target in own for name in (target.ours, target.other)}
        if names:
            kept = tuple(program for program in scenario.programs if program.name in names)
            yield replace(scenario, programs=kept)


def ratio(ours: Row, other: Row) -> float | None:
    """How many times as long the other takes: the median over the rounds that both took part in."""
    rounds = ours.rounds.keys() & other.rounds.keys()
    if not rounds:
        return None
    return statistics.median(other.rounds[n].seconds / ours.rounds[n].seconds for n in rounds)


def reached(target: Target, results: Mapping[str, Result]) -> float | None:
    """The measured ratio of a target; None when one of the two was not measured."""
    result = results.get(target.scenario)
    rows = {row.program.name: row for row in result.rows} if result else {}
    if target.ours not in rows or target.other not in rows:
        return None
    return ratio(rows[target.ours], rows[target.other])


def best_verifying_peer(result: Result) -> Row | None:
    """The fastest program of others that compares checksums, as we do."""
    measured = [row for row in result.rows if row.rounds and not row.program.ours]
    verifying = [row for row in measured if row.program.verifies]
    return min(verifying, key=median_seconds, default=None)


def median_seconds(row: Row) -> float:
    """The median of the wall clock."""
    return statistics.median(measured.seconds for measured in row.rounds.values())


def largest(results: Sequence[Result]) -> tuple[int, str] | None:
    """The most memory that a program of ours took, in bytes, and where."""
    found = [
        (measured.memory, f"{result.scenario.name}, {row.program.name}")
        for result in results
        for row in result.rows
        if row.program.ours
        for measured in row.rounds.values()
    ]
    return max(found, default=None)
