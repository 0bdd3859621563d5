"""What a run would have to do: which files are there, how many bytes are missing."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from ..cache.entries import Cache
from ..errors import ModelZooError
from ..files.disk import file_size
from ..files.paths import clash
from ..installation.inputs import Input
from ..installation.receipts import Receipt, Receipts, vouched_files
from ..model import ORIGINAL_SUFFIX, DownloadModel, Model, ModelFile, Origin, RegexReplace, Step
from ..transfer.adoption import fits
from ..transfer.engine import Job
from ..variants import Variants

State = Literal["installed", "present", "partial", "cached", "absent"]
"""`installed`: a receipt vouches for it; `present`: there, to be checked; `partial`: begun."""


class FilePlan(msgspec.Struct, frozen=True):
    """One selected file, and what was found of it."""

    model: Model
    file: ModelFile
    path: str
    """Relative to the output directory."""
    destination: str
    """The same with it, as this system spells paths."""
    state: State
    missing: int | None
    """Bytes still to be fetched or copied, None when the size is unknown."""
    record: Input | None = None
    """What the receipt says of an installed file."""
    before: Input | None = None
    """What it says of another one, where no checksum is published that would say more."""
    kept: bool = True
    """Whether nothing of an installed file has to be copied into the cache."""

    @property
    def job(self) -> Job:
        """What a transfer has to know of it."""
        destination = Path(self.destination)
        origins = tuple(self._origins(destination))
        return Job(self.model.id, self.file, destination, origins, self.model.retries, self.before)

    def _origins(self, destination: Path) -> Iterator[Origin]:
        """Where to get a file; of one that was patched the original is still on this disk."""
        steps = self.model.postprocessing
        patched = any(isinstance(s, RegexReplace) and s.file == self.file.name for s in steps)
        if patched and self.file.checksum:
            original = destination.with_name(destination.name + ORIGINAL_SUFFIX)
            if file_size(original) is not None:
                yield Origin(original.absolute().as_uri())
        yield from self.file.origins

    def doubted(self) -> FilePlan:
        """The same, but that a receipt does not vouch for a file without a published checksum."""
        if self.record is None or self.file.checksum is not None:
            return self
        before = self.record if self.record.is_usable() else None
        return msgspec.structs.replace(self, state="present", record=None, before=before)


class ModelPlan(msgspec.Struct, frozen=True):
    """One selected model, and the receipts of the output directory that it goes to."""

    model: Model
    receipts: Receipts
    receipt: Receipt | None
    files: tuple[FilePlan, ...]
    made: bool = True
    """Whether that is there which comes by postprocessing alone."""

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
        return self.made and all(file.state == "installed" for file in self.files)

    @property
    def settled(self) -> bool:
        """Whether there is not even anything to copy into the cache."""
        return self.finished and all(file.kept for file in self.files)

    @property
    def pending(self) -> tuple[ModelFile, ...]:
        """The files that no receipt vouches for."""
        return tuple(file.file for file in self.files if file.state != "installed")

    @property
    def steps(self) -> tuple[Step, ...]:
        """The postprocessing that they need."""
        if not self.made:
            return self.model.postprocessing
        variants = {file.variant for file in self.pending}
        # Steps on what all variants share may need none of the files, but have to be done once.
        return self.model.steps_of(variants if self.receipt else {None, *variants})

    def doubted(self) -> ModelPlan:
        """The same, but that receipts do not vouch for files without a published checksum."""
        if self.model.postprocessing:  # what came is not what is there now
            return self
        return msgspec.structs.replace(self, files=tuple(file.doubted() for file in self.files))

    def file(self, path: str) -> FilePlan:
        """The plan of the file with this path."""
        return next(file for file in self.files if file.path == path)


def make_plans(
    models: Iterable[Model],
    output_dir: Path | None,
    variants: Variants,
    cache: Cache | None,
    force: bool = False,
    otherwise: Path = Path(),
    refresh: bool = False,
) -> list[ModelPlan]:
    """The plans for these models; ModelZooError when two files have one destination.

    Without an output directory each goes where its program keeps its files, and `otherwise` where it
    belongs to none. With `refresh` files without a published checksum are not finished before their
    origins say so.
    """
    places: dict[str, Receipts] = {}
    plans = []
    for model in models:
        if model.home not in places:
            places[model.home] = _place(model.home, output_dir or Path(model.home or otherwise))
        plan = _plan(model, places[model.home], variants, cache, force)
        plans.append(plan.doubted() if refresh else plan)
    _require_places(plans)
    return plans


def _place(home: str, root: Path) -> Receipts:
    """What is installed in this output directory of the models that have this home."""
    return Receipts(root, foreign=bool(home) and root.resolve() == Path(home).resolve())


def _require_places(plans: Sequence[ModelPlan]) -> None:
    for root in {plan.root for plan in plans}:
        _require_places_in(root, [plan for plan in plans if plan.root == root])


def _require_places_in(root: Path, plans: Sequence[ModelPlan]) -> None:
    if two := clash(file.path for plan in plans for file in plan.files):
        owners: dict[str, list[str]] = defaultdict(list)
        for plan in plans:
            for file in plan.files:
                owners[file.path].append(plan.model.id)
        one, other = f"{two[0]} of {owners[two[0]][0]}", f"{two[1]} of {owners[two[1]][-1]}"
        raise ModelZooError(
            f"two selected files have one destination: {one} and {other}; "
            "select one of them, or give each an output directory of its own"
        )


def look_again(plan: ModelPlan) -> ModelPlan:
    """The plan after another process may have worked on the model."""
    files = tuple(file.file for file in plan.files)
    return _plan_files(plan.model, plan.receipts, files, None, False)


def _plan(
    model: Model,
    receipts: Receipts,
    variants: Variants,
    cache: Cache | None,
    force: bool,
) -> ModelPlan:
    return _plan_files(model, receipts, variants.files_of(model), cache, force)


def _plan_files(
    model: Model, receipts: Receipts, files: Sequence[ModelFile], cache: Cache | None, force: bool
) -> ModelPlan:
    receipt = receipts.load(model)
    believed = None if force else receipt
    vouched = vouched_files(model, files, believed, receipts.root) if believed else {}
    before = _before(files, receipt, vouched)
    folder = _prefix(receipts.root / model.subdirectory)
    anything = os.path.isdir(folder or os.curdir)  # else no file has to be looked for
    found = []
    for file in files:
        path, destination = model.path_of(file.name), folder + file.name.replace("/", os.sep)
        if record := vouched.get(file.name):
            plan = FilePlan(model, file, path, destination, "installed", 0, record)
            found.append(plan if cache is None else _with_kept(plan, record, cache))
        else:
            known = before.get(file.name)
            plan = FilePlan(model, file, path, destination, "absent", file.size, before=known)
            found.append(_look(plan, cache, force, anything))
    made = bool(model.files) or _is_made(model, believed, receipts.root, force)
    return ModelPlan(model, receipts, receipt, tuple(found), made)


def _is_made(model: Model, receipt: Receipt | None, root: Path, force: bool) -> bool:
    """Whether the work of the steps of a model without files is there, also by somebody else's hand."""
    if receipt:
        prefix = os.path.join(root, "")
        return all(output.unchanged(prefix) for output in receipt.outputs)
    return not model.postprocessing or (not force and all(_has_come(model, root)))


def _has_come(model: Model, root: Path) -> Iterator[bool]:
    """For each step of a model without files, whether something has the size that it should leave."""
    for step in model.postprocessing:
        size = step.announced if isinstance(step, DownloadModel) else None
        yield bool(size) and file_size(root / model.path_of(step.file)) == size


def _before(
    files: Sequence[ModelFile], receipt: Receipt | None, vouched: Mapping[str, Input]
) -> dict[str, Input]:
    """What the receipt says of files without a published checksum that it cannot vouch for."""
    wanted = {file.name for file in files if file.checksum is None and file.name not in vouched}
    known = receipt.inputs if receipt and wanted else ()
    return {came.name: came for came in known if came.name in wanted and came.is_usable()}


def _prefix(folder: Path) -> str:
    """What the paths below a folder begin with; a Path of each would take longer than all else."""
    return "" if folder == Path() else os.path.join(folder, "")


def _with_kept(file: FilePlan, record: Input, cache: Cache) -> FilePlan:
    """The plan of an installed file that also tells whether the cache has got it."""
    if file.model.postprocessing or record.checksum is None:
        return file
    noted = file.file.checksum is not None or record.origin is None or cache.noted(file.job.addresses)
    if (noted and cache.holds(record.checksum)) or not record.is_usable():
        return file
    return msgspec.structs.replace(file, kept=False)


def _look(file: FilePlan, cache: Cache | None, force: bool, anything: bool) -> FilePlan:
    """The plan of a file that no receipt vouches for: what is there, and how many bytes are missing.

    `anything`: whether its model's folder is there.
    """
    from ..files.claiming import partial_size  # with hashing, which a finished tree does not need

    wanted = file.file
    found = file_size(file.destination) if anything else None
    if not force and found is not None and fits(wanted, found, file.before):
        return msgspec.structs.replace(file, state="present", missing=0)
    if cache and (size := cached_size(file.job, cache)) is not None:
        return msgspec.structs.replace(file, state="cached", missing=size)
    begun = partial_size(file.destination) if anything else 0
    size = wanted.announced if wanted.size is None else wanted.size
    missing = None if size is None else still_missing(size, begun)
    return msgspec.structs.replace(file, state="partial" if begun else "absent", missing=missing)


def cached_size(job: Job, cache: Cache) -> int | None:
    """The size of the copy that the cache has, None when it has none."""
    file = job.file
    if file.checksum is None:
        note = cache.noted(job.addresses)
        return note.size if note and file.size in (None, note.size) else None
    if not cache.holds(file.checksum):
        return None
    return (file_size(cache.path(file.checksum)) or 0) if file.size is None else file.size


def still_missing(size: int, begun: int) -> int:
    """Bytes to be fetched of a file of this size, of which so many are here."""
    # More than the whole is of no use, and starts over.
    return size - begun if begun <= size else size
