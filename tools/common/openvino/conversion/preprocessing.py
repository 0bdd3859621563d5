"""What is done to an image before the network sees it, made a part of the network.

The order is Model Optimizer's: the layout, then the channels are reversed, then means are subtracted,
then it is divided by the scales.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..program import Failure
from .arguments import Request
from .notation import Layout, parse_port
from .shaping import find_input

_CHANNELS_FIRST = {4: "NCHW", 5: "NCDHW"}
_CHANNELS_LAST = {4: "NHWC", 5: "NDHWC"}


class Steps(NamedTuple):
    """What happens to one input. The layouts are those of the converted input, and of the model."""

    tensor: str
    model: str
    reverse: bool
    mean: tuple[float, ...]
    scale: tuple[float, ...]


class Natural(NamedTuple):
    """The layouts where none are told: those of the framework, and those of the converted model."""

    model: dict[int, str]
    tensor: dict[int, str]


def natural_layouts(request: Request, *, is_tensorflow: bool) -> Natural:
    """TensorFlow's models have their channels last, and get them first as Model Optimizer does it.

    Who tells layouts, as later releases of it do, says all there is to say.
    """
    if not is_tensorflow:
        return Natural(_CHANNELS_FIRST, _CHANNELS_FIRST)
    moved = not request.keep_nhwc and not request.layouts
    return Natural(_CHANNELS_LAST, _CHANNELS_FIRST if moved else _CHANNELS_LAST)


def build_in(model: Any, request: Request, *, is_tensorflow: bool) -> Any:
    """The model with all that is asked for in it. Raises Failure where that does not fit its inputs."""
    from openvino.preprocess import PrePostProcessor

    natural = natural_layouts(request, is_tensorflow=is_tensorflow)
    processor = PrePostProcessor(model)
    for index, steps in enumerate(_plan(model, request, natural)):
        _apply(processor.input(index), model.input(index), steps)
    for index, output in enumerate(model.outputs):
        rank = rank_of(output)
        if natural.model.get(rank) != natural.tensor.get(rank):
            processor.output(index).model().set_layout(_layout(natural.model[rank]))
            processor.output(index).tensor().set_layout(_layout(natural.tensor[rank]))
    return processor.build()


def _apply(info: Any, output: Any, steps: Steps) -> None:
    """Tell OpenVINO's preprocessor about one input; the layout changes by itself, at the end."""
    if steps.tensor != steps.model:
        info.model().set_layout(_layout(steps.model))
    if steps.tensor != steps.model or steps.reverse or steps.mean or steps.scale:
        info.tensor().set_layout(_layout(steps.tensor))
    if steps.reverse:
        info.preprocess().reverse_channels()
    if (steps.mean or steps.scale) and not output.element_type.is_real():
        info.preprocess().convert_element_type(_float())
    if steps.mean:
        info.preprocess().mean(_one_or_many(steps.mean))
    if steps.scale:
        info.preprocess().scale(_one_or_many(steps.scale))


def _one_or_many(values: tuple[float, ...]) -> float | list[float]:
    return values[0] if len(values) == 1 else [*values]


def _layout(text: str) -> Any:
    import openvino

    return openvino.Layout(text)


def _float() -> Any:
    import openvino

    return openvino.Type.f32


def rank_of(output: Any) -> int:
    """The number of dimensions; 0 too where it is not known."""
    rank = output.partial_shape.rank
    return int(rank.get_length()) if rank.is_static else 0


def _plan(model: Any, request: Request, natural: Natural) -> list[Steps]:
    """What happens to each of the model's inputs, in their order."""
    parameters = [parameter.get_friendly_name() for parameter in model.get_parameters()]
    named = [str(entry.port) for entry in request.inputs if entry.value is None]
    layouts = _by_input(model, request.layouts, parameters)
    means = _by_input(model, request.means, named or parameters)
    scales = _by_input(model, request.scales, named or parameters)
    if request.scale is not None:
        scales = dict.fromkeys(parameters, (request.scale,)) | scales
    plan = []
    for name, output in zip(parameters, model.inputs, strict=True):
        tensor, inner = _layouts(layouts.get(name), rank_of(output), natural)
        mean, scale = means.get(name, ()), scales.get(name, ())
        channels = _channels(output, inner)
        _check_numbers(name, channels, {"--mean_values": mean, "--scale_values": scale})
        reverse = request.reverse_input_channels and rank_of(output) == 4 and channels == 3
        plan.append(Steps(tensor, inner, reverse, mean, scale))
    if request.reverse_input_channels and not any(steps.reverse for steps in plan):
        raise Failure("--reverse_input_channels: no input is an image of three channels")
    return plan


def _check_numbers(name: str, channels: int | None, told: dict[str, tuple[float, ...]]) -> None:
    for option, values in told.items():
        if len(values) > 1 and channels not in (len(values), None):
            raise Failure(f'{option}: {len(values)} numbers for the {channels} channels of "{name}"')


def _by_input(model: Any, values: tuple[tuple[str, Any], ...], order: list[str]) -> dict[str, Any]:
    """Values by the inputs' own names; those without a name belong to the inputs in their order.

    A single one without a name is for every image (every input of rank four or more).
    """
    if len(values) == 1 and not values[0][0]:
        images = [p for p in model.get_parameters() if rank_of(p.output(0)) >= 4]
        chosen = images or model.get_parameters()
        return {parameter.get_friendly_name(): values[0][1] for parameter in chosen}
    if len(values) > len(order):
        raise Failure(f"there are values for {len(values)} inputs, the model has {len(order)}")
    found = {}
    for place, (name, value) in zip(order, values, strict=False):
        found[find_input(model, parse_port(name or place)).get_friendly_name()] = value
    return found


def _layouts(told: Layout | None, rank: int, natural: Natural) -> tuple[str, str]:
    """The layouts of the converted input and of the model."""
    model, tensor = (layouts.get(rank, "NC..." if rank > 1 else "...") for layouts in natural)
    if told is not None:
        model = told.source or model
        tensor = told.target or model
    return tensor, model


def _channels(output: Any, layout: str) -> int | None:
    """How many channels an input has, as far as known."""
    axis = layout.strip("[]").replace(",", "").find("C")
    if not 0 <= axis < rank_of(output) or output.partial_shape[axis].is_dynamic:
        return None
    return int(output.partial_shape[axis].get_length())
