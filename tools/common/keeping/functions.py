"""The functions that look after what is on this disk: installed models, and caches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from ..api import Names, Sources, find, models_of, source_names, warn
from ..cache.contents import CacheInfo
from ..cache.contents import cache_info as _cache_info
from ..cache.entries import Cache
from ..clock import Clock
from ..errors import Interrupted, StorageError, UsageError
from ..events import Event, Report
from ..installation.inventory import (
    Damaged,
    Entry,
    InstalledModel,
    Inventory,
    choose_installed,
    describe_installed,
    take_inventory,
)
from ..model import Model
from ..run.jobs import run
from ..run.outcome import ModelOutcome, Summary
from ..run.plan import make_plans
from ..run.setup import MAX_JOBS, Listener, make_engine
from ..selection import Filters, parse_precisions
from ..sources import every_model
from ..transfer.engine import Job
from ..variants import Variants
from . import cache_upkeep
from .cache_upkeep import CacheVerification, Pruned
from .deletion import Deletion, delete_entries
from .enrolment import Enrolment, enrol
from .repair import plan_repair
from .verification import BrokenFile, Verification, verify_entries

Folder = str | os.PathLike[str]


class Chosen(msgspec.Struct, frozen=True):
    """The installed models that were asked for, and the receipts that could not be read.

    Those count only where everything was asked for: nobody can say which models they are of.
    """

    inventory: Inventory
    entries: list[Entry]
    damaged: tuple[Damaged, ...]


def choose_from(output_dir: Folder, filters: Filters, from_sources: Sequence[str] = ()) -> Chosen:
    """The installed models that the filters mean; raises SelectionError or StorageError."""
    inventory = take_inventory(Path(output_dir))
    entries = choose_installed(inventory, filters, from_sources)
    return Chosen(inventory, entries, inventory.damaged if filters.patterns is None else ())


def _filters(names: Names | None, exclude: Names) -> Filters:
    return Filters(None if names is None else _several(names), exclude=_several(exclude))


def _several(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def installed(
    names: Names | None = None,
    output_dir: Folder = ".",
    *,
    exclude: Names = (),
    from_sources: Names = (),
) -> list[InstalledModel]:
    """The models that are installed in a folder, as their receipts tell: no catalog is asked.

    `names` may be patterns, None means all; `from_sources` are names of sources. Raises
    SelectionError for a name that is not there, StorageError for a folder that is not.
    """
    choice = choose_from(output_dir, _filters(names, exclude), _several(from_sources))
    return [describe_installed(entry) for entry in choice.entries]


def verify(
    names: Names | None = None,
    output_dir: Folder = ".",
    *,
    exclude: Names = (),
    from_sources: Names = (),
    jobs: int | None = None,
    report: Report | None = None,
    repair: bool = False,
    cache_dir: Folder | None = None,
    num_attempts: int = 1,
    sources: Sources = (),
) -> Verification:
    """Hash all files of installed models (see `installed`), several at a time.

    With `repair` what is broken is fetched again, as far as the catalog of these `sources` knows it.
    Raises Interrupted after Ctrl-C; broken files are no error but in what is returned.
    """
    choice = choose_from(output_dir, _filters(names, exclude), _several(from_sources))
    found = verify_choice(choice, jobs, report)
    if not repair or not found.broken:
        return found
    cache = None if cache_dir is None else Path(cache_dir)
    return repair_choice(
        choice, found, lambda: find(sources=sources), jobs, report, cache, num_attempts
    )


def verify_choice(choice: Chosen, jobs: int | None, report: Report | None) -> Verification:
    """Hash all files of the chosen models."""
    with (listener := Listener(report or _ignore)):
        return verify_entries(
            choice.inventory.root, choice.entries, choice.damaged, _workers(jobs), listener, Clock()
        )


def repair_choice(
    choice: Chosen,
    found: Verification,
    models: Callable[[], Iterable[Model]],
    jobs: int | None,
    report: Report | None,
    cache_dir: Path | None,
    num_attempts: int,
) -> Verification:
    """Fetch what was found broken again; tells of each file whether that worked."""
    listener = Listener(report or _ignore)
    cache = None if cache_dir is None else Cache(cache_dir)
    engine = make_engine(report=listener, cache=cache, attempts=num_attempts, force=True)
    paths: dict[str, set[str]] = {}
    for file in found.broken:
        paths.setdefault(file.model, set()).add(file.path)
    broken = [(e, frozenset(paths[e.id])) for e in choice.entries if e.id in paths]
    repair = plan_repair(broken, models(), engine.cache)
    summary = None
    if repair.plans:
        with listener:
            summary = run(repair.plans, _workers(jobs), engine)
        if summary.interrupted:
            raise Interrupted
    results = list(_results(found.broken, repair.refused, summary))
    successful = all(file.repaired for file in results) and not found.damaged
    return msgspec.structs.replace(found, broken=results, successful=successful)


def _results(
    broken: Iterable[BrokenFile], refused: dict[str, str], summary: Summary | None
) -> Iterator[BrokenFile]:
    """The broken files, each with what came of it."""
    outcomes = {(m.source, _bare(m.model)): m for m in summary.models} if summary else {}
    for file in broken:
        outcome = outcomes.get((file.source, _bare(file.model)))
        if outcome is None:
            problem = refused.get(file.model, "it was not tried")
        else:
            problem = _problem(outcome, file.path) or ""
        if problem:
            yield msgspec.structs.replace(file, message=f"{file.message}; not repaired: {problem}")
        else:
            yield msgspec.structs.replace(file, repaired=True)


def _bare(model: str) -> str:
    """A model's name without its source."""
    return model.rpartition(":")[2]


def _problem(outcome: ModelOutcome, path: str) -> str | None:
    """Why this file is not there, None when it is; what postprocessing makes needs all files."""
    own = next((file for file in outcome.files if file.path == path), None)
    if outcome.successful or (own and own.successful and outcome.reason is None):
        return None
    failed = (file for file in (own, *outcome.files) if file and not file.successful)
    cause = next(failed, None)
    return (cause.message if cause else outcome.message) or "it did not come"


def delete(
    names: Names,
    output_dir: Folder = ".",
    *,
    exclude: Names = (),
    from_sources: Names = (),
    force: bool = False,
    dry_run: bool = False,
) -> Deletion:
    """Remove installed models (`"*"` means all): the files that their receipts name, nothing else.

    Files that were changed since stay unless `force` is given. What stays is no error but in what is
    returned.
    """
    filters = _filters(names, exclude)
    choice = choose_from(output_dir, filters, _several(from_sources))
    return delete_entries(choice.inventory, choice.entries, choice.damaged, force, dry_run)


def adopt(
    models: str | Model | Iterable[str | Model],
    output_dir: Folder | None = None,
    *,
    precisions: Names | None = None,
    jobs: int | None = None,
    report: Report | None = None,
    sources: Sources = (),
) -> Enrolment:
    """Write receipts for files of these models that are in place already, if they are right.

    Nothing is fetched and no file is changed. A file is right when it has the digest of the catalog
    (or its size, where no digest is known).
    """
    wanted = None if precisions is None else parse_precisions(",".join(_several(precisions)))
    root = None if output_dir is None else Path(output_dir)
    chosen = models_of(models, lambda names: find(names, sources=sources))
    plans = make_plans(chosen, root, Variants(wanted), None)
    with (listener := Listener(report or _ignore)):
        return enrol(plans, _workers(jobs), listener, Clock())


def cache_info(cache_dir: Folder) -> CacheInfo:
    """How much a cache holds, and how long ago that was used; raises StorageError for none."""
    return _cache_info(Path(cache_dir))


def verify_cache(
    cache_dir: Folder,
    *,
    dry_run: bool = False,
    jobs: int | None = None,
    report: Report | None = None,
) -> CacheVerification:
    """Hash all entries of a cache and remove those that do not have the digest of their name."""
    with (listener := Listener(report or _ignore)):
        return cache_upkeep.verify_cache(Path(cache_dir), _workers(jobs), listener, Clock(), dry_run)


def prune_cache(
    cache_dir: Folder,
    *,
    max_size: int | None = None,
    older_than: float | None = None,
    unused: bool = False,
    output_dirs: Iterable[Folder] = (),
    dry_run: bool = False,
    sources: Sources = (),
) -> Pruned:
    """Remove entries of a cache: afterwards each of the conditions that are given holds.

    It has at most `max_size` bytes; none was used longer than `older_than` seconds ago; with `unused`
    each is a file of a model of these `sources` or of one that is installed in `output_dirs`. What
    killed runs left a day ago or longer is removed in any case.
    """
    if (max_size is not None and max_size < 0) or (older_than is not None and older_than < 0):
        raise UsageError("expected a size and an age that are not negative")
    used = None
    if unused:
        used = used_digests(
            every_model(source_names(sources), warn), map(Path, output_dirs), Path(cache_dir)
        )
    return cache_upkeep.prune_cache(
        Path(cache_dir), max_size=max_size, older_than=older_than, used=used, dry_run=dry_run
    )


def used_digests(models: Iterable[Model], output_dirs: Iterable[Path], cache_dir: Path) -> set[str]:
    """The digests of all files that a catalog declares or that came into these folders.

    Of a file without a published checksum it is the one that the cache remembers of its URL.
    """
    cache, used = Cache(cache_dir), set[str]()
    for job in (Job(m.id, file, Path(), file.origins) for m in models for file in m.files):
        note = None if job.file.checksum else cache.noted(job.addresses)
        if checksum := note.checksum if note else job.file.checksum:
            used.add(checksum.value)
    for folder in output_dirs:
        inventory = take_inventory(folder)
        if inventory.damaged:  # what it names would be taken for unused
            raise StorageError(str(inventory.damaged[0]))
        for entry in inventory.entries:
            used |= {i.checksum.value for i in entry.receipt.inputs if i.checksum}
    return used


def _workers(jobs: int | None) -> int:
    if jobs is None:
        return min(os.cpu_count() or 1, 8)
    if not 1 <= jobs <= MAX_JOBS:
        raise UsageError(f"expected 1 to {MAX_JOBS} jobs, got {jobs}")
    return jobs


def _ignore(event: Event) -> None:
    """Tell nobody."""
