"""What a dry run prints: each file, where it would come from, and how many bytes are missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from ..cache.entries import Cache
from ..errors import StorageError, TransferError
from ..files.claiming import partial_size
from ..files.disk import file_size, free_space, readable
from ..model import DownloadModel
from ..run.plan import FilePlan, ModelPlan, cached_size, still_missing
from ..run.sizes import Estimates
from ..run.space import require_space
from ..stores import Settings, Stores
from ..transfer.adoption import adopt
from ..web.credentials import mask


class Row(msgspec.Struct, frozen=True):
    """One file. Sizes are in bytes, None where nobody knows; `state` as docs/downloader.md says.

    `estimated` says that they are what such files weigh on average, or what somebody says they do.
    """

    name: str
    path: str
    state: str
    size: int | None
    missing: int | None
    estimated: bool
    checksum: str | None
    sources: list[str]


class Brought(msgspec.Struct, frozen=True):
    """What the code of a source would bring; `size` in bytes, as the source announces it."""

    path: str
    size: int | None


class ModelRows(msgspec.Struct, frozen=True):
    """One model and its files."""

    model: str
    source: str
    output_dir: str
    files: list[Row]
    by_code: list[Brought] = []


class DryRun(msgspec.Struct, frozen=True):
    """The whole dry run: `missing` bytes would come, `cached` of them from the cache.

    `estimated` of them are in files whose sizes are estimates.

    `output_dir` is None where the models would go to several; `free` is the room in the fullest one.
    """

    schema_version: int
    output_dir: str | None
    files: int
    size: int
    missing: int
    cached: int
    estimated: int
    unknown_sizes: int
    free: int
    models: list[ModelRows]


def examine(plans: Sequence[ModelPlan], cache: Cache | None) -> DryRun:
    """Look at the files as closely as a run would, but write nothing and ask nobody."""
    roots, estimates = {plan.root for plan in plans} or {Path()}, Estimates()
    models = [
        ModelRows(
            plan.model.id,
            plan.model.source,
            str(plan.root),
            [_guessed(_row(file, cache), plan, file, estimates) for file in plan.files],
            _by_code(plan),
        )
        for plan in plans
    ]
    rows = [row for model in models for row in model.files]
    return DryRun(
        schema_version=1,
        output_dir=str(next(iter(roots))) if len(roots) == 1 else None,
        files=len(rows),
        size=sum(row.size or 0 for row in rows),
        missing=sum(row.missing or 0 for row in rows),
        cached=sum(row.missing or 0 for row in rows if row.state == "cached"),
        estimated=sum(row.missing or 0 for row in rows if row.estimated),
        unknown_sizes=sum(row.missing is None for row in rows),
        free=min(map(free_space, roots)),
        models=models,
    )


def _row(file: FilePlan, cache: Cache | None) -> Row:
    wanted = file.file
    state, missing = _state(file, cache)
    sources = [mask(origin.url) for origin in file.job.origins]
    if state == "cached" and cache and wanted.checksum:
        sources = [str(cache.path(wanted.checksum))]
    checksum = str(wanted.checksum) if wanted.checksum else None
    size, estimated = _size(file, state, missing)
    return Row(wanted.name, file.path, state, size, missing, estimated, checksum, sources)


def _size(file: FilePlan, state: str, missing: int | None) -> tuple[int | None, bool]:
    """The size of a file, and whether that is only what somebody says."""
    if file.file.size is not None:
        return file.file.size, False
    if missing == 0:
        return file_size(file.destination), False
    if state == "cached":
        return missing, False
    return file.file.announced, file.file.announced is not None


def _guessed(row: Row, plan: ModelPlan, file: FilePlan, estimates: Estimates) -> Row:
    """The row, with an estimate where it is all that there is."""
    if row.missing is not None or (estimate := estimates.size(plan, file)) is None:
        return row
    missing = still_missing(estimate, partial_size(file.job.destination))
    return msgspec.structs.replace(row, size=estimate, missing=missing, estimated=True)


def _by_code(plan: ModelPlan) -> list[Brought]:
    steps = [step for step in plan.steps if isinstance(step, DownloadModel)]
    if plan.finished:
        return []
    return [Brought(plan.model.path_of(step.file), step.announced) for step in steps]


def _state(file: FilePlan, cache: Cache | None) -> tuple[str, int | None]:
    wanted, destination = file.file, Path(file.destination)
    if file.state == "absent" and file_size(destination) is not None:
        # With --force it can be the right one, which comes again all the same.
        return "present" if _is_right(file) else "different", file.missing
    if file.state != "present" or _is_right(file):
        return file.state, file.missing
    if cache and (size := cached_size(file.job, cache)) is not None:
        return "cached", size
    return "different", None if wanted.size is None else max(0, wanted.size - partial_size(destination))


def _is_right(file: FilePlan) -> bool:
    try:
        return adopt(file.job) is not None
    except StorageError:  # it cannot be read
        return False


def obstacles(
    plans: Sequence[ModelPlan], found: DryRun, cache: Cache | None, offline: bool
) -> list[str]:
    """Why a run would fail, as far as that is certain."""
    problems = []
    try:
        require_space(plans, cache)
    except StorageError as error:
        problems.append(str(error))
    if offline and (lost := list(_lost(plans, found))):
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        problems.append(f"{lost[0]}{more} cannot be had with --offline")
    return problems


def _lost(plans: Sequence[ModelPlan], found: DryRun) -> Iterator[str]:
    """The files that would have to come over the network."""
    stores = Stores(Settings(offline=True))
    for plan, model in zip(plans, found.models, strict=True):
        for file, row in zip(plan.files, model.files, strict=True):
            # What is present and yet absent from the plan is to be replaced.
            here = row.state in ("installed", "cached", "present") and file.state != "absent"
            if not (here or any(_reachable(stores, origin.url) for origin in file.job.origins)):
                yield f"{plan.model.id}: {row.name}"


def _reachable(stores: Stores, url: str) -> bool:
    try:
        stores.store(url)
    except TransferError:
        return False
    return True


def as_text(found: DryRun) -> str:
    """The dry run as a listing for people."""
    lines = []
    for model in found.models:
        lines += [model.model, *map(_line, model.files)]
        lines += [_line_by_code(brought) for brought in model.by_code]
    fetched = found.missing - found.cached
    cached = f", {found.cached} bytes copied from the cache" if found.cached else ""
    guess = f", of which {readable(found.estimated)} are an estimate" if found.estimated else ""
    n, more = found.unknown_sizes, ""
    if n:
        more = f"; the sizes of {n} files are unknown" if n > 1 else "; the size of 1 file is unknown"
    code = _in_words([brought for model in found.models for brought in model.by_code])
    lines.append(f"{fetched} bytes ({readable(fetched)}) would be fetched{guess}{cached}{more}{code}.")
    return "".join(f"{line}\n" for line in lines)


def _in_words(by_code: Sequence[Brought]) -> str:
    """What is to be said of all that code would bring."""
    known = [brought.size for brought in by_code if brought.size is not None]
    about = f" about {readable(sum(known))}" if known else ""
    unknown = len(by_code) - len(known)
    of_unknown = f"{' and' if known else ''} {unknown} of unknown size" if unknown else ""
    return f"; the code of sources would bring{about}{of_unknown}" if by_code else ""


def _line_by_code(brought: Brought) -> str:
    size = (
        "unknown size" if brought.size is None else f"about {brought.size} bytes (as its source says)"
    )
    return f"  {'by code':<9} {brought.path}, {size}"


def _line(row: Row) -> str:
    size = "unknown size" if row.size is None else f"{row.size} bytes"
    if row.estimated:
        size = f"about {size} (an estimate)"
    origin = f" <- {row.sources[0]}" if row.sources and row.missing != 0 else ""
    return f"  {row.state:<9} {row.path}, {size}{origin}"
