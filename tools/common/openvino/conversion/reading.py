"""Reading a model with OpenVINO's front ends, with the inputs and outputs that were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..program import Failure
from .arguments import FRAMEWORKS, Request
from .cutting import cut, missing, refuse_unconverted
from .notation import Input, Port, Shape
from .shaping import freeze, frozen_values, value_of

_TENSORFLOW_SUFFIXES = (".pb", ".pbtxt", ".meta")


def framework_of(request: Request) -> str:
    """The framework as told, or as the file's name tells. Raises Failure for one nobody reads today."""
    is_tensorflow = not request.input_model or Path(request.input_model).suffix in _TENSORFLOW_SUFFIXES
    framework = request.framework or ("tf" if is_tensorflow else "onnx")
    if framework not in FRAMEWORKS:
        raise Failure(f"models of the framework {framework} need the legacy Model Optimizer")
    return framework


def read(request: Request, framework: str) -> Any:
    """The model, cut and with constants as asked for. Raises Failure.

    TensorFlow's names are there without their port too; inputs that nothing needs are left out.
    """
    files = _files(request)
    if framework == "onnx":
        model = _read_onnx(files[0], request)
        freeze(model, request)
    else:
        model = _read_tensorflow(files, request)
        for parameter in model.get_parameters():
            _add_short_names(parameter.output(0))
        for result in model.get_results():
            _add_short_names(result.input_value(0))
    return model


def _files(request: Request) -> list[str]:
    """The model, and what else its front end wants to be given."""
    given = [*filter(None, (request.input_model, request.saved_model_dir, request.input_meta_graph))]
    if len(given) != 1:
        raise Failure("give one of --input_model, --saved_model_dir and --input_meta_graph")
    (file,) = given
    if not Path(file).exists():
        raise Failure(f"there is no {file}")
    tags = request.saved_model_tags
    return [file, tags] if request.saved_model_dir and tags else [file]


def _read_onnx(file: str, request: Request) -> Any:
    front_end = _front_end("onnx")
    inner = _inner_inputs(front_end.load(file), request.inputs)
    if not request.outputs and not inner:
        return front_end.convert(front_end.load(file))
    # What the cut leaves out may be just what OpenVINO does not know.
    model = cut(front_end.convert_partially(front_end.load(file)), request.inputs, request.outputs)
    refuse_unconverted(model)
    return model


def _inner_inputs(loaded: Any, inputs: Sequence[Input]) -> list[Input]:
    """Those that are not the model's own."""
    own = {name for place in loaded.get_inputs() for name in _names(place)}
    return [entry for entry in inputs if not {entry.port.node, str(entry.port)} & own]


def _names(place: Any) -> set[str]:
    """The names of a tensor, `input` too for `input:0`."""
    return {part for name in place.get_names() for part in (name, name.removesuffix(":0"))}


def _front_end(name: str) -> Any:
    from openvino.frontend import FrontEndManager

    return FrontEndManager().load_by_framework(name)


def _read_tensorflow(files: list[str], request: Request) -> Any:
    front_end = _front_end("tf")
    loaded = front_end.load(files[0] if len(files) == 1 else files)
    frozen = _freeze(loaded, request)
    inputs = [entry for entry in request.inputs if not {entry.port.node, str(entry.port)} & frozen]
    if request.saved_model_dir:  # the front end does not cut these: their graph is inside a function
        model = front_end.convert_partially(loaded)
        model = cut(model, inputs, request.outputs)
        refuse_unconverted(model)
        return model
    _cut_places(loaded, inputs, request.outputs)
    for entry in inputs:
        if entry.shape is not None:
            loaded.set_partial_shape(_place(loaded, entry.port), _partial(entry.shape))
    return cut(front_end.convert(loaded), (), ())


def _partial(shape: Shape) -> Any:
    import openvino

    return openvino.PartialShape([*shape])


def _freeze(loaded: Any, request: Request) -> set[str]:
    """Put values in; returns the names of their inputs.

    Here rather than in what is converted: a switch between training and use is then left out.
    """
    frozen = set()
    for port, text in frozen_values(request):
        place = _place(loaded, port)
        kind, shape = loaded.get_element_type(place), loaded.get_partial_shape(place)
        loaded.set_tensor_value(place, value_of(text, kind, shape))
        frozen |= {port.node, str(port)}
    return frozen


def _cut_places(loaded: Any, inputs: Sequence[Input], outputs: Sequence[Port]) -> None:
    """Cut before anything is converted: what is left out may be just what OpenVINO does not know."""
    found = [_place(loaded, port) for port in outputs]
    if not _inner_inputs(loaded, inputs):
        if found:
            loaded.override_all_outputs(found)
        return
    own = loaded.get_inputs()
    places = [_place(loaded, entry.port) for entry in inputs]
    places += [place for place in own if not any(place.is_equal(other) for other in places)]
    loaded.extract_subgraph(places, found or loaded.get_outputs())


def _place(loaded: Any, port: Port) -> Any:
    """The place of this name, which this front end knows with ports before and after it."""
    own = [place for place in loaded.get_inputs() if {port.node, str(port)} & _names(place)]
    place = own[0] if own and port.input_port is None else loaded.get_place_by_tensor_name(str(port))
    if place is None:
        places = (*loaded.get_inputs(), *loaded.get_outputs())
        raise missing(port, {name for place in places for name in _names(place)})
    return place


def _add_short_names(output: Any) -> None:
    """`input` for `input:0`."""
    names = output.get_names()
    short = {name.removesuffix(":0") for name in names}
    output.add_names(short - names)
