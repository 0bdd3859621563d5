"""From images to what a model's inputs take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..program import Failure
from .accuracy_check import Check
from .images import read_image
from .preprocessing import prepare
from .resizing import Array, Size, resize

_CHANNELS = (1, 3, 4)


class Feed(NamedTuple):
    """How one model is fed: the input that takes the image, and constants for the others."""

    image: str
    shape: tuple[int | None, ...]
    """None for dimensions that are not fixed."""
    channels_last: bool
    constants: Mapping[str, Array]
    information: tuple[str, ...]
    """Inputs that take the size of the image."""


def plan_feed(model: Any, check: Check) -> Feed:
    """How a model is fed. Raises Failure where it does not take one image."""
    import numpy as np

    told = {str(entry.get("name")): entry for entry in check.inputs}
    constants, information, images = {}, [], []
    for parameter in model.inputs:
        name = parameter.any_name
        entry = next((told[n] for n in parameter.names if n in told), {})
        if entry.get("type") == "CONST_INPUT":
            kind = parameter.element_type.to_dtype()
            constants[name] = np.asarray(entry["value"]).astype(kind)
        elif entry.get("type") == "IMAGE_INFO":
            information.append(name)
        else:
            images.append((parameter, str(entry.get("layout", ""))))
    if len(images) != 1:
        names = ", ".join(parameter.any_name for parameter, _ in images)
        raise Failure(f"images can be given to one input; the model has {len(images)} to fill: {names}")
    ((parameter, layout),) = images
    shape = _shape(parameter)
    last = _has_channels_last(parameter, shape, layout)
    return Feed(parameter.any_name, shape, last, constants, tuple(information))


def _shape(parameter: Any) -> tuple[int | None, ...]:
    partial = parameter.partial_shape
    if partial.rank.is_dynamic or len(partial) != 4:
        raise Failure(f'the input "{parameter.any_name}" takes no image: its shape is {partial}')
    return tuple(None if dim.is_dynamic else dim.get_length() for dim in partial)


def _has_channels_last(parameter: Any, shape: Sequence[int | None], told: str) -> bool:
    """Whether the last dimension is the channels', as told, as the model says, or as it looks."""
    layout = told or parameter.node.get_layout().to_string().strip("[]").replace(",", "")
    if layout.find("C") > 0:
        return layout.endswith("C")
    return shape[1] not in _CHANNELS and shape[3] in _CHANNELS


def feed(image: Path, check: Check, plan: Feed) -> dict[str, Array]:
    """What the model's inputs take for one image. Raises Failure where it does not fit."""
    import numpy as np

    height, width, channels = plan.shape[1:] if plan.channels_last else (*plan.shape[2:], plan.shape[1])
    size: Size | None = None if height is None or width is None else (height, width)
    pixels = prepare(read_image(image, check), check.steps, size)
    if size is not None and pixels.shape[:2] != size:
        pixels = resize(pixels, size)
    if channels not in (None, pixels.shape[2]):
        raise Failure(
            f"{image}: {pixels.shape[2]} channels after preprocessing, the model takes {channels}"
        )
    information = np.asarray([[*pixels.shape[:2], 1]], np.float32)
    array = pixels if plan.channels_last else pixels.transpose(2, 0, 1)
    batch = np.repeat(array[None].astype(np.float32), plan.shape[0] or 1, axis=0)
    return {plan.image: batch, **plan.constants, **dict.fromkeys(plan.information, information)}
