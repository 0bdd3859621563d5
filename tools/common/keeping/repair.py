"""Which files the active catalog can bring again in place of broken ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from ..cache.entries import Cache
from ..installation.inventory import Entry
from ..model import Model
from ..run.plan import FilePlan, ModelPlan, make_plans
from ..variants import EVERY_VARIANT


class Repair(msgspec.Struct, frozen=True):
    """What can be done: the plans to carry out, and by model why nothing can be done."""

    plans: list[ModelPlan]
    refused: dict[str, str]


def plan_repair(
    broken: Sequence[tuple[Entry, frozenset[str]]], models: Iterable[Model], cache: Cache | None
) -> Repair:
    """Plans for the broken paths of these models, and nothing else of them.

    What the catalog describes otherwise by now is refused: that would be an update.
    """
    known = {model.qualified: model for model in models}
    plans, refused = [], {}
    for entry, paths in broken:
        model = known.get(f"{entry.source}:{entry.name}")
        if model is None:
            refused[entry.id] = "no active source knows this model"
            continue
        (plan,) = make_plans([model], entry.root, EVERY_VARIANT, cache, force=True)
        if problem := _other(entry, plan, paths):
            refused[entry.id] = problem
        else:
            plans.append(_narrowed(entry, plan, paths))
    return Repair(plans, refused)


def _other(entry: Entry, plan: ModelPlan, paths: frozenset[str]) -> str | None:
    """Why the catalog's model is not the one that is installed."""
    if plan.receipts.path(entry) != entry.place.path(entry):
        return "it belongs to another program, and its catalog is not active"
    if not entry.receipt.complete:
        return "only part of it is left; download it to get the rest"
    if plan.receipt is None or plan.receipt.steps != entry.receipt.steps:
        return "the catalog wants other postprocessing by now; download it to get that"
    files, came = list(_needed(entry, plan, paths)), {i.name: i for i in entry.receipt.inputs}
    if not all(f.file.name in came and came[f.file.name].answers(f.file) for f in files):
        return "the catalog has another version by now; download it to get that"
    made = {file.path for file in files} if not plan.model.postprocessing else paths
    # Code of a source brings what it brings, without files that anybody could know before.
    known = bool(files) or not plan.made
    return None if known and paths <= made else "the catalog does not know these files any more"


def _needed(entry: Entry, plan: ModelPlan, paths: frozenset[str]) -> Iterator[FilePlan]:
    """What to fetch: the broken files, or all that came for what postprocessing made of them."""
    model = plan.model
    variants = {model.variant_of(model.name_of(path)) for path in paths}
    came = {i.name for i in entry.receipt.inputs}
    for file in plan.files:
        if model.postprocessing:
            wanted = file.file.name in came and (None in variants or file.file.variant in variants)
        else:
            wanted = file.path in paths
        if wanted:
            yield file


def _narrowed(entry: Entry, plan: ModelPlan, paths: frozenset[str]) -> ModelPlan:
    return msgspec.structs.replace(plan, files=tuple(_needed(entry, plan, paths)))
