"""How a model's deliveries become its receipt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from ..checksum import file_checksum
from ..files.disk import storage_errors
from ..installation.inputs import Input
from ..installation.receipts import Installed, Receipt, steps_text
from ..model import ORIGINAL_SUFFIX
from ..transfer.engine import DEFAULT_ALGORITHM, Delivery
from .plan import ModelPlan

if TYPE_CHECKING:
    from .postprocess import Changes


def make_receipt(
    plan: ModelPlan, deliveries: Mapping[str, Delivery], changes: Changes | None
) -> Receipt:
    """The receipt for what is there now: what came in this run, and what an earlier one vouches for."""
    model, old = plan.model, plan.receipt if plan.made else None
    inputs = {i.name: i for i in old.inputs} if old else {}
    variants = {file.name: file.variant for file in model.files if file.size is None}
    inputs |= {name: _input(name, d, variants.get(name)) for name, d in deliveries.items()}
    outputs = {o.path: o for o in old.outputs} if old else {}
    done = old.done if old else ()
    if changes is None:
        outputs |= {o.path: o for o in _delivered(plan, deliveries)}
    else:
        redone = {file.variant for file in plan.pending}
        outputs = {p: o for p, o in outputs.items() if model.variant_of(model.name_of(p)) not in redone}
        outputs |= {o.path: o for o in _processed(plan, deliveries, changes)}
        done += plan.steps
    return Receipt(
        model=model.name,
        source=model.source,
        version=model.version,
        time=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        inputs=tuple(inputs.values()),
        outputs=tuple(outputs.values()),
        steps=steps_text(step for step in model.postprocessing if step in done),
        parameters=model.parameters,
        family=model.family,
        titles=model.titles,
    )


def _input(name: str, delivery: Delivery, variant: str | None) -> Input:
    return Input(
        name,
        delivery.size,
        delivery.checksum,
        delivery.url,
        delivery.verified,
        variant,
        delivery.validator,
    )


def _delivered(plan: ModelPlan, deliveries: Mapping[str, Delivery]) -> Iterator[Installed]:
    for file in plan.pending:
        if delivery := deliveries.get(file.name):
            path = plan.model.path_of(file.name)
            yield Installed(path, delivery.size, delivery.mtime_ns, delivery.checksum)


def _processed(
    plan: ModelPlan, deliveries: Mapping[str, Delivery], changes: Changes
) -> Iterator[Installed]:
    """What postprocessing left: inputs it did not touch, originals it kept, and what it made."""
    gone = {*changes.removed, *changes.kept}
    model = plan.model
    made = {*changes.written, *(name + ORIGINAL_SUFFIX for name in changes.kept)}
    for output in _delivered(plan, deliveries):
        if model.name_of(output.path) not in gone | made:
            yield output
    for name in sorted(made):
        path = plan.folder / name
        with storage_errors(path):
            stat, checksum = path.stat(), file_checksum(path, DEFAULT_ALGORITHM)
        yield Installed(model.path_of(name), stat.st_size, stat.st_mtime_ns, checksum)
