"""Whether what a run would bring fits on the disks that it goes to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..cache.entries import Cache
from ..errors import Reason, StorageError
from ..files.disk import device, existing_parent, free_space, readable
from ..model import DownloadModel
from .plan import ModelPlan


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
            if cache and not links and file.state in ("absent", "partial"):
                yield cache.folder, file.file.size or file.file.announced or 0
        yield plan.root, _postprocessing_needs(plan)


def _postprocessing_needs(plan: ModelPlan) -> int:
    """At least the size of each archive again, and of each file that is patched."""
    sizes = {file.name: file.size or file.announced or 0 for file in plan.pending}
    sizes |= {s.file: s.announced or 0 for s in plan.steps if isinstance(s, DownloadModel)}
    return sum(sizes.get(step.file, 0) for step in plan.steps)
