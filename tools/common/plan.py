"""What a run would have to do: which files are there, how many bytes are missing, whether they fit."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from .adoption import fits
from .cache import Cache
from .disk import device, existing_parent, file_size, free_space, readable
from .engine import Job
from .errors import ModelZooError, Reason, StorageError
from .model import ORIGINAL_SUFFIX, DownloadModel, Model, ModelFile, Origin, RegexReplace, Step
from .paths import clash
from .receipts import Input, Receipt, Receipts, vouched_files
from .variants import Variants

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

    @property
    def job(self) -> Job:
        """What a transfer has to know of it."""
        destination = Path(self.destination)
        origins = tuple(self._origins(destination))
        return Job(self.model.id, self.file, destination, origins, self.model.retries)

    def _origins(self, destination: Path) -> Iterator[Origin]:
        """Where to get a file; of one that was patched the original is still on this disk."""
        original = destination.with_name(destination.name + ORIGINAL_SUFFIX)
        steps = self.model.postprocessing
        patched = any(isinstance(s, RegexReplace) and s.file == self.file.name for s in steps)
        if patched and self.file.checksum and file_size(original) is not None:
            yield Origin(original.absolute().as_uri())
        yield from self.file.origins


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
) -> list[ModelPlan]:
    """The plans for these models; ModelZooError when two files have one destination.

    Without an output directory each goes where its program keeps its files, and `otherwise` where it
    belongs to none.
    """
    places: dict[str, Receipts] = {}
    plans = []
    for model in models:
        if model.home not in places:
            places[model.home] = _place(model.home, output_dir or Path(model.home or otherwise))
        plans.append(_plan(model, places[model.home], variants, cache, force))
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
    folder = _prefix(receipts.root / model.subdirectory)
    found = []
    for file in files:
        path, destination = model.path_of(file.name), folder + file.name.replace("/", os.sep)
        if record := vouched.get(file.name):
            found.append(FilePlan(model, file, path, destination, "installed", 0, record))
        else:
            state, missing = _look(file, destination, cache, force)
            found.append(FilePlan(model, file, path, destination, state, missing))
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


def _prefix(folder: Path) -> str:
    """What the paths below a folder begin with; a Path of each would take longer than all else."""
    return "" if folder == Path() else os.path.join(folder, "")


def _look(
    file: ModelFile, destination: str, cache: Cache | None, force: bool
) -> tuple[State, int | None]:
    """What is there of a file that no receipt vouches for, and how many bytes are missing."""
    from .claiming import partial_size  # with filelock, which a finished tree does not need

    found = file_size(destination)
    if not force and found is not None and fits(file, found):
        return "present", 0
    if cache and file.checksum and cache.holds(file.checksum):
        return "cached", file.size
    begun = partial_size(Path(destination))
    size = file.announced if file.size is None else file.size
    missing = None if size is None else still_missing(size, begun)
    return ("partial" if begun else "absent"), missing


def still_missing(size: int, begun: int) -> int:
    """Bytes to be fetched of a file of this size, of which so many are here."""
    # More than the whole is of no use, and starts over.
    return size - begun if begun <= size else size


def require_space(plans: Sequence[ModelPlan], cache: Cache | None) -> StorageError | None:
    """Raise StorageError, with the figures, when what is missing cannot fit.

    A cache on a disk of its own that is too small is no reason to fail: its error is returned.
    """
    needed: dict[Path, int] = defaultdict(int)
    for folder, size in _needs(plans, cache):
        needed[folder] += size
    outputs = {device(root) for root in {plan.root for plan in plans}}
    on_device: dict[int, int] = defaultdict(int)
    where: dict[int, Path] = {}
    for folder, size in needed.items():
        number = device(folder)
        where.setdefault(number, existing_parent(folder))
        on_device[number] += size
    shortage = None
    for number, folder in where.items():
        if on_device[number] > (free := free_space(folder)):
            shortage = _shortage(folder, on_device[number], free)
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
        if plan.finished:
            continue
        links = cache and cache.links and device(plan.root) == device(cache.folder)
        for file in plan.files:
            if not (links and file.state == "cached"):
                yield plan.root, file.missing or 0
            fetched = file.state in ("absent", "partial") and file.file.checksum is not None
            if cache and fetched and not links:
                yield cache.folder, file.file.size or 0
        yield plan.root, _postprocessing_needs(plan)


def _postprocessing_needs(plan: ModelPlan) -> int:
    """At least the size of each archive again, and of each file that is patched."""
    sizes = {file.name: file.size or file.announced or 0 for file in plan.pending}
    sizes |= {s.file: s.announced or 0 for s in plan.steps if isinstance(s, DownloadModel)}
    return sum(sizes.get(step.file, 0) for step in plan.steps)
