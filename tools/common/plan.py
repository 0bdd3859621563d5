"""What a run would have to do: which files are there, how many bytes are missing, whether they fit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from .cache import Cache
from .claiming import partial_size
from .disk import device, existing_parent, file_size, free_space, readable
from .engine import Job
from .errors import ModelZooError, Reason, StorageError
from .model import ORIGINAL_SUFFIX, Model, ModelFile, Origin, RegexReplace, Step
from .paths import clash
from .receipts import Receipt, Receipts, vouched_files

State = Literal["installed", "present", "partial", "cached", "absent"]
"""`installed`: a receipt vouches for it; `present`: there, to be checked; `partial`: begun."""


class FilePlan(msgspec.Struct, frozen=True):
    """One selected file, and what was found of it."""

    job: Job
    path: str
    """Relative to the output directory."""
    state: State
    missing: int | None
    """Bytes still to be fetched or copied, None when the size is unknown."""


class ModelPlan(msgspec.Struct, frozen=True):
    """One selected model, and the receipts of the output directory that it goes to."""

    model: Model
    receipts: Receipts
    receipt: Receipt | None
    files: tuple[FilePlan, ...]

    @property
    def root(self) -> Path:
        """The output directory."""
        return self.receipts.root

    @property
    def folder(self) -> Path:
        """The model's folder."""
        return self.root / self.model.subdirectory

    @property
    def finished(self) -> bool:
        """Whether there is nothing to do, postprocessing included."""
        return all(file.state == "installed" for file in self.files)

    @property
    def pending(self) -> tuple[ModelFile, ...]:
        """The files that no receipt vouches for."""
        return tuple(file.job.file for file in self.files if file.state != "installed")

    @property
    def steps(self) -> tuple[Step, ...]:
        """The postprocessing that they need."""
        variants = {file.variant for file in self.pending}
        # Steps on what all variants share may need none of the files, but have to be done once.
        return self.model.steps_of(variants if self.receipt else {None, *variants})

    def doubted(self) -> ModelPlan:
        """The same, but that receipts do not vouch for files without a published checksum."""
        if self.model.postprocessing:  # what came is not what is there now
            return self
        files = tuple(
            msgspec.structs.replace(file, state="present")
            if file.state == "installed" and file.job.file.checksum is None
            else file
            for file in self.files
        )
        return msgspec.structs.replace(self, files=files)

    def file(self, path: str) -> FilePlan:
        """The plan of the file with this path."""
        return next(file for file in self.files if file.path == path)


def make_plans(
    models: Iterable[Model],
    output_dir: Path | None,
    precisions: frozenset[str] | None,
    cache: Cache | None,
    force: bool = False,
    refresh: bool = False,
) -> list[ModelPlan]:
    """The plans for these models; ModelZooError when two files have one destination.

    Without an output directory each goes where its program keeps its files, else into the current one.
    With `refresh` files without a published checksum are not finished before their origins say so.
    """
    places: dict[str, Receipts] = {}
    plans = []
    for model in models:
        if model.home not in places:
            places[model.home] = _place(model.home, output_dir)
        plan = _plan(model, places[model.home], precisions, cache, force)
        plans.append(plan.doubted() if refresh else plan)
    _require_places(plans)
    return plans


def _place(home: str, output_dir: Path | None) -> Receipts:
    """The output directory of the models that have this home, and what is installed there."""
    root = output_dir or Path(home)
    return Receipts(root, foreign=bool(home) and root.resolve() == Path(home).resolve())


def _require_places(plans: Sequence[ModelPlan]) -> None:
    for root in {plan.root for plan in plans}:
        _require_places_in(root, [plan for plan in plans if plan.root == root])


def _require_places_in(root: Path, plans: Sequence[ModelPlan]) -> None:
    owners: dict[str, list[str]] = defaultdict(list)
    for plan in plans:
        for file in plan.files:
            owners[file.path].append(plan.model.id)
    if two := clash(file.path for plan in plans for file in plan.files):
        one, other = f"{two[0]} of {owners[two[0]][0]}", f"{two[1]} of {owners[two[1]][-1]}"
        raise ModelZooError(
            f"two selected files have one destination: {one} and {other}; "
            "select one of them, or give each an output directory of its own"
        )


def look_again(plan: ModelPlan) -> ModelPlan:
    """The plan after another process may have worked on the model."""
    files = tuple(file.job.file for file in plan.files)
    return _plan_files(plan.model, plan.receipts, files, None, False)


def _plan(
    model: Model,
    receipts: Receipts,
    precisions: frozenset[str] | None,
    cache: Cache | None,
    force: bool,
) -> ModelPlan:
    return _plan_files(model, receipts, model.files_of(precisions), cache, force)


def _plan_files(
    model: Model, receipts: Receipts, files: Sequence[ModelFile], cache: Cache | None, force: bool
) -> ModelPlan:
    receipt = receipts.load(model)
    believed = None if force else receipt
    vouched = vouched_files(model, files, believed, receipts.root) if believed else frozenset()
    jobs = _jobs(model, files, receipt, receipts.root)
    plans = tuple(_file_plan(job, model, job.file.name in vouched, cache, force) for job in jobs)
    return ModelPlan(model, receipts, receipt, plans)


def _jobs(
    model: Model, files: Sequence[ModelFile], receipt: Receipt | None, root: Path
) -> Iterator[Job]:
    unpublished = any(file.checksum is None for file in files)
    known = {i.name: i for i in receipt.inputs if i.is_usable()} if receipt and unpublished else {}
    for file in files:
        destination = root / model.path_of(file.name)
        before = known.get(file.name) if file.checksum is None else None
        origins = tuple(_origins(model, file, destination))
        yield Job(model.id, file, destination, origins, before)


def _file_plan(job: Job, model: Model, vouched: bool, cache: Cache | None, force: bool) -> FilePlan:
    file, destination = job.file, job.destination
    path = model.path_of(file.name)
    if vouched:
        return FilePlan(job, path, "installed", 0)
    found = file_size(destination)
    of_another = job.before is not None and not job.before.answers(file)
    if not force and not of_another and found is not None and file.size in (None, found):
        return FilePlan(job, path, "present", 0)
    if cache and (size := cached_size(job, cache)) is not None:
        return FilePlan(job, path, "cached", size)
    begun = partial_size(destination)
    # More than the whole is of no use, and starts over.
    missing = None if file.size is None else file.size - begun if begun <= file.size else file.size
    return FilePlan(job, path, "partial" if begun else "absent", missing)


def cached_size(job: Job, cache: Cache) -> int | None:
    """The size of the copy that the cache has, None when it has none."""
    file = job.file
    if file.checksum is None:
        note = cache.noted(job.addresses)
        return note.size if note and file.size in (None, note.size) else None
    if not cache.holds(file.checksum):
        return None
    return (file_size(cache.path(file.checksum)) or 0) if file.size is None else file.size


def _origins(model: Model, file: ModelFile, destination: Path) -> Iterator[Origin]:
    """Where to get a file; of one that was patched the original is still on this disk."""
    original = destination.with_name(destination.name + ORIGINAL_SUFFIX)
    patched = any(isinstance(s, RegexReplace) and s.file == file.name for s in model.postprocessing)
    if patched and file.checksum and file_size(original) is not None:
        yield Origin(original.absolute().as_uri())
    yield from file.origins


def require_space(plans: Sequence[ModelPlan], cache: Cache | None) -> StorageError | None:
    """Raise StorageError, with the figures, when what is missing cannot fit.

    A cache on a disk of its own that is too small is no reason to fail: its error is returned.
    """
    needed: dict[int, int] = defaultdict(int)
    where: dict[int, Path] = {}
    outputs = {device(root) for root in {plan.root for plan in plans}}
    for folder, size in _needs(plans, cache):
        where.setdefault(device(folder), existing_parent(folder))
        needed[device(folder)] += size
    shortage = None
    for number, folder in where.items():
        if needed[number] > (free := free_space(folder)):
            shortage = _shortage(folder, needed[number], free)
            if number in outputs:
                raise shortage
    return shortage


def _shortage(folder: Path, needed: int, free: int) -> StorageError:
    return StorageError(
        f"not enough space in {folder}: {readable(needed)} needed, {readable(free)} free "
        f"({needed - free} bytes are missing)",
        Reason.NO_SPACE,
    )


def _needs(plans: Sequence[ModelPlan], cache: Cache | None) -> Iterator[tuple[Path, int]]:
    for plan in plans:
        for file in plan.files:
            yield plan.root, file.missing or 0
            if cache and file.state in ("absent", "partial"):
                yield cache.folder, file.job.file.size or 0
        if not plan.finished:
            yield plan.root, _postprocessing_needs(plan)


def _postprocessing_needs(plan: ModelPlan) -> int:
    """At least the size of each archive again, and of each file that is patched."""
    sizes = {file.name: file.size or 0 for file in plan.pending}
    return sum(sizes.get(step.file, 0) for step in plan.steps)
