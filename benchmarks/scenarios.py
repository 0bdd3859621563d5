"""What is measured: the work, its size, and who does it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from . import peers
from .corpus import Shape, equal, mixed, total
from .programs import (
    CACHE,
    HOME,
    OURS,
    OUTPUT,
    Program,
    downloader,
    info_dumper,
    listing_is_right,
    silent,
)
from .servers import FAST, Link

KIB, MIB = 1 << 10, 1 << 20
SMALL_TREE, LARGE_TREE = "tree-264", "tree-20000"
TREES = {SMALL_TREE: 264, LARGE_TREE: 20_000}

COLD, WARM = f"{OURS}, cold", f"{OURS}, warm index"
SMALL_COLD, SMALL_WARM = f"{OURS}, 264 models, cold", f"{OURS}, 264 models, warm index"
LARGE_COLD, LARGE_WARM = f"{OURS}, 20,000 models, cold", f"{OURS}, 20,000 models, warm index"
NO_EVENTS, TEXT = f"{OURS}, no events", f"{OURS}, text"
JSON, JSON_PIPE = f"{OURS}, JSON", f"{OURS}, JSON to a pipe"

_INDEX = frozenset({HOME})


@dataclass(frozen=True)
class Scenario:
    """One table of the report: it has files to serve (`shape`) or catalogs to read (`trees`)."""

    name: str
    title: str
    programs: tuple[Program, ...]
    shape: Shape = ()
    trees: tuple[str, ...] = ()
    jobs: int = 1
    connections: int = 1
    link: Link = FAST
    cached: bool = False
    shares_blocks: bool = False  # output and cache lie on a file system that can
    references: tuple[str, ...] = (OURS,)  # to whose times the others are compared

    @property
    def size(self) -> int:
        """The bytes to bring."""
        return total(self.shape)


def scenarios(quick: bool) -> tuple[Scenario, ...]:
    """All of them; where sizes hardly change the ratios, the quick ones are smaller."""
    groups = (_unthrottled, _throttled, _second_time, _catalogs, _events)
    return tuple(scenario for group in groups for scenario in group(quick))


def _ours() -> tuple[Program]:
    return (Program(OURS, downloader()),)


def _once(programs: Iterable[Program]) -> tuple[Program, ...]:
    """For what takes long and hardly varies."""
    return tuple(replace(program, most_rounds=1) for program in programs)


def _unthrottled(quick: bool) -> tuple[Scenario, ...]:
    many = 64 if quick else 256
    libraries = (*peers.hf_transfer(), *peers.pooch(), *peers.pypdl())
    several = (*_ours(), *peers.aria2(), *peers.omz(), *peers.curl())
    single = (*_ours(), *peers.curl(), *peers.wget(), *peers.aria2(), *peers.omz(), *libraries)
    return (
        Scenario("A", "one file of 512 MiB", single, equal(1, 1, 512 * MIB)),
        Scenario("B", f"8 files of {many} MiB, 8 jobs", several, equal(8, 1, many * MIB), jobs=8),
        Scenario(
            "C",
            "2,000 files of 64 KiB, 8 jobs",
            (*several, *peers.pooch(), *peers.pypdl()),
            equal(200, 10, 64 * KIB),
            jobs=8,
        ),
        Scenario(
            "F",
            "500 files of mixed sizes, 8 jobs",
            several,
            mixed(100, 5, 4 * KIB, 32 * MIB),
            jobs=8,
        ),
    )


def _throttled(quick: bool) -> tuple[Scenario, ...]:
    throttle = Link(limit_rate="20m")
    many = 128 if quick else 256
    splitting = (*_ours(), *peers.aria2(), *peers.hf_transfer())
    # What does not split takes as long as the throttle says. pypdl could, but not with nginx: it takes
    # the absence of Accept-Ranges in a partial answer for a no.
    whole = (*peers.omz(), *peers.curl(), *peers.pypdl())
    return (
        Scenario(
            "D",
            "one file of 256 MiB at 20 MiB/s per connection",
            (*splitting, *_once(whole)),
            equal(1, 1, 256 * MIB),
            connections=16,
            link=throttle,
        ),
        Scenario(
            "D2",
            f"8 files of {many} MiB at 20 MiB/s per connection, 8 jobs",
            (*_ours(), *peers.aria2(), *_once(peers.omz())),
            equal(8, 1, many * MIB),
            jobs=8,
            connections=16,
            link=throttle,
        ),
        Scenario(
            "E",
            "2,000 files of 64 KiB, 50 ms to the first byte, 64 jobs",
            (*_ours(), *peers.aria2(), *peers.omz(), *peers.curl()),
            equal(200, 10, 64 * KIB),
            jobs=64,
            link=Link(delay=0.05),
        ),
    )


def _second_time(quick: bool) -> tuple[Scenario, ...]:
    cache, output = frozenset({CACHE, HOME}), frozenset({OUTPUT, HOME})
    whole, part = equal(8, 1, 256 * MIB), equal(8, 1, (64 if quick else 256) * MIB)
    cached = (Program(OURS, downloader(), keeps=cache), *peers.omz(cache))
    others = (*peers.omz(output), *peers.aria2_again(output))
    again = (Program(OURS, downloader(), keeps=output), *(_once(others) if quick else others))
    each = 128 if quick else 512
    return (
        Scenario("cache", f"cache hit, {_size(part)}, one job", cached, part, cached=True),
        Scenario("cache8", f"cache hit, {_size(part)}, 8 jobs", cached, part, cached=True, jobs=8),
        Scenario(
            "cache-shared",
            f"cache hit, {_size(whole)}, on a file system that can share blocks (XFS)",
            cached,
            whole,
            cached=True,
            shares_blocks=True,
        ),
        Scenario(
            "second",
            f"second run over a finished tree of 3,000 files of {each} KiB, 8 jobs",
            again,
            equal(300, 10, each * KIB),
            jobs=8,
        ),
    )


def _size(shape: Shape) -> str:
    return f"{total(shape) // MIB:,} MiB in {len(shape)} files"


def _dumper(name: str, tree: str, pattern: str | None = None, warm: bool = False) -> Program:
    keeps = _INDEX if warm else frozenset()
    wrong = listing_is_right(tree, pattern)
    return Program(name, info_dumper(tree, pattern), verifies=False, keeps=keeps, wrong=wrong)


def _omz_dumper(tree: str) -> Program:
    wrong = listing_is_right(tree)
    return Program(peers.OMZ, peers.omz_info_dumper(tree), verifies=False, wrong=wrong)


def _catalogs(_: bool) -> tuple[Scenario, ...]:
    def all_models(tree: str) -> tuple[Program, ...]:
        return _dumper(COLD, tree), _dumper(WARM, tree, warm=True)

    last = "synthetic-detection-00263"
    by_name = (
        _dumper(LARGE_COLD, LARGE_TREE, last),
        _dumper(LARGE_WARM, LARGE_TREE, last, warm=True),
        _dumper(SMALL_COLD, SMALL_TREE, last),
        _dumper(SMALL_WARM, SMALL_TREE, last, warm=True),
    )
    # Open Model Zoo takes about a minute for 20,000 models.
    large = (*all_models(LARGE_TREE), *_once((_omz_dumper(LARGE_TREE),)))
    everything = Scenario(
        "info20k",
        "info_dumper --all, 20,000 models",
        large,
        trees=(LARGE_TREE,),
        references=(COLD, WARM),
    )
    return (
        Scenario(
            "info",
            "info_dumper --all, 264 models",
            (*all_models(SMALL_TREE), _omz_dumper(SMALL_TREE)),
            trees=(SMALL_TREE,),
            references=(COLD, WARM),
        ),
        everything,
        Scenario(
            "name",
            "info_dumper --name, one model",
            by_name,
            trees=(SMALL_TREE, LARGE_TREE),
            references=(SMALL_WARM,),
        ),
    )


def _events(quick: bool) -> tuple[Scenario, ...]:
    programs = (
        Program(NO_EVENTS, silent),
        Program(JSON, downloader("json")),
        Program(JSON_PIPE, downloader("json", piped=True)),
        Program(TEXT, downloader("text")),
    )
    small, large = (1000, 256) if quick else (2000, 1024)
    no_events = (NO_EVENTS,)
    return (
        Scenario(
            "events-small",
            f"events, {small:,} files of 64 KiB, 8 jobs",
            programs,
            equal(small // 10, 10, 64 * KIB),
            jobs=8,
            references=no_events,
        ),
        Scenario(
            "events-large",
            f"events, one file of {large} MiB",
            programs,
            equal(1, 1, large * MIB),
            references=no_events,
        ),
    )
