"""The shapes of a model's inputs, and inputs that become constants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..program import Failure
from .arguments import Request
from .notation import Port, Shape, parse_port, parse_value

_TRUTH = {"true": True, "1": True, "false": False, "0": False}


def find_input(model: Any, port: Port) -> Any:
    """The parameter of this name. Raises Failure."""
    for parameter in model.get_parameters():
        names = {parameter.get_friendly_name(), *parameter.output(0).get_names()}
        if {str(port), port.node} & names:
            return parameter
    known = ", ".join(p.get_friendly_name() for p in model.get_parameters())
    raise Failure(f'the model has no input "{port}"; it has: {known}')


def wanted_shapes(request: Request, own: list[str]) -> dict[str, Shape]:
    """Shapes by name of the input; those without names belong to the inputs in their order.

    `own` are the inputs that the model has left. A list may also have shapes of inputs that are frozen.
    """
    named = {str(entry.port): entry.shape for entry in request.inputs if entry.shape is not None}
    if request.shapes and named:
        raise Failure("shapes are given by --input and by --input_shape: give them once")
    frozen = {str(port) for port, _ in frozen_values(request)}
    if request.shapes:
        names = [str(entry.port) for entry in request.inputs] or own
        if len(names) != len(request.shapes):
            names = [name for name in names if name not in frozen]
        if len(names) != len(request.shapes):
            found = f"{len(request.shapes)} shapes for {len(names)} inputs"
            raise Failure(f"--input_shape has {found}: {', '.join(names)}")
        named = dict(zip(names, request.shapes, strict=True))
    return {name: shape for name, shape in named.items() if name not in frozen}


def frozen_values(request: Request) -> list[tuple[Port, str]]:
    """The inputs that become constants, and their values as text."""
    inline = [(entry.port, entry.value) for entry in request.inputs if entry.value is not None]
    return [*request.frozen, *inline]


def freeze(model: Any, request: Request) -> None:
    """Put constants in the place of the inputs that have values."""
    import openvino

    for port, text in frozen_values(request):
        parameter = find_input(model, port)
        value = value_of(text, parameter.get_element_type(), parameter.get_partial_shape())
        constant = openvino.op.Constant(value)
        constant.set_friendly_name(parameter.get_friendly_name())
        for consumer in parameter.output(0).get_target_inputs():
            consumer.replace_source_output(constant.output(0))
        model.remove_parameter(parameter)
    model.validate_nodes_and_infer_types()


def value_of(text: str, kind: Any, shape: Any) -> Any:
    """The text as an array for an input of this type and shape. Raises Failure."""
    import numpy as np

    dtype = kind.to_dtype()
    value = np.array([_number(word, dtype == np.dtype(bool)) for word in parse_value(text)]).astype(
        dtype
    )
    if shape.is_static and value.size == 1:
        return np.full(shape.to_shape(), value[0])
    return value


def _number(word: str, is_truth: bool) -> float | int | bool:
    try:
        if is_truth:
            return _TRUTH[word.lower()]
        return int(word) if word.lstrip("+-").isdecimal() else float(word)
    except (KeyError, ValueError):
        raise Failure(f"{word!r} is no value for an input") from None


def reshape(model: Any, shapes: Mapping[str, Shape], batch: int | None) -> None:
    """Give the inputs these shapes, and all of them this first dimension."""
    import openvino

    wanted = {}
    for name, shape in shapes.items():
        parameter = find_input(model, parse_port(name))
        wanted[parameter.output(0)] = openvino.PartialShape([*shape])
    if batch is not None:
        for output in model.inputs:
            shape = openvino.PartialShape(wanted.get(output, output.partial_shape))
            if shape.rank.is_static and len(shape):
                shape[0] = batch
            wanted[output] = shape
    if wanted:
        model.reshape(wanted)
