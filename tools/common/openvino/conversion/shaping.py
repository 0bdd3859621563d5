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

    `own` are the model's inputs. A list may leave out inputs that are frozen.
    """
    named = {str(entry.port): entry.shape for entry in request.inputs if entry.shape is not None}
    if not request.shapes:
        return named
    if named:
        raise Failure("shapes are given by --input and by --input_shape: give them once")
    names = [str(entry.port) for entry in request.inputs] or own
    if len(names) != len(request.shapes):
        frozen = {str(port) for port, _ in _frozen(request)}
        names = [name for name in names if name not in frozen]
    if len(names) != len(request.shapes):
        found = f"{len(request.shapes)} shapes for {len(names)} inputs"
        raise Failure(f"--input_shape has {found}: {', '.join(names)}")
    return dict(zip(names, request.shapes, strict=True))


def _frozen(request: Request) -> list[tuple[Port, str]]:
    inline = [(entry.port, entry.value) for entry in request.inputs if entry.value is not None]
    return [*request.frozen, *inline]


def freeze(model: Any, request: Request) -> None:
    """Put constants in the place of the inputs that have values."""
    import numpy as np
    import openvino

    for port, text in _frozen(request):
        parameter = find_input(model, port)
        kind = parameter.get_element_type().to_dtype()
        words = [_number(word, kind == np.dtype(bool)) for word in parse_value(text)]
        value = np.array(words).astype(kind)
        shape = parameter.get_partial_shape()
        if shape.is_static and value.size == 1:
            value = np.full(shape.to_shape(), value[0])
        elif shape.rank.is_static and shape.rank.get_length() == 0:
            value = value.reshape(())
        constant = openvino.op.Constant(value)
        constant.set_friendly_name(parameter.get_friendly_name())
        for consumer in parameter.output(0).get_target_inputs():
            consumer.replace_source_output(constant.output(0))
        model.remove_parameter(parameter)
    model.validate_nodes_and_infer_types()


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
