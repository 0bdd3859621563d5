"""Reading a model with OpenVINO's front ends, with the inputs and outputs that were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..program import Failure
from .arguments import FRAMEWORKS, Request
from .cutting import cut, missing, refuse_unconverted
from .notation import Input, Port

_TENSORFLOW_SUFFIXES = (".pb", ".pbtxt", ".meta")


def framework_of(request: Request) -> str:
    """The framework as told, or as the file's name tells. Raises Failure for one nobody reads today."""
    is_tensorflow = not request.input_model or Path(request.input_model).suffix in _TENSORFLOW_SUFFIXES
    framework = request.framework or ("tf" if is_tensorflow else "onnx")
    if framework not in FRAMEWORKS:
        raise Failure(f"models of the framework {framework} need the legacy Model Optimizer")
    return framework


def read(request: Request, framework: str) -> Any:
    """The model, cut as asked for, TensorFlow's names also without their port. Raises Failure."""
    files = _files(request)
    if framework == "onnx":
        return _read_onnx(files[0], request)
    model = _read_tensorflow(files, request)
    for node in (*model.get_parameters(), *model.get_results()):
        _add_short_names(node.output(0))
    return model


def _files(request: Request) -> list[str]:
    """The model, and what else its front end wants to be given."""
    given = [*filter(None, (request.input_model, request.saved_model_dir, request.input_meta_graph))]
    if len(given) != 1:
        raise Failure("give one of --input_model, --saved_model_dir and --input_meta_graph")
    (file,) = given
    if not Path(file).exists():
        raise Failure(f"there is no {file}")
    more = request.saved_model_tags if request.saved_model_dir else request.input_checkpoint
    return [file, more] if more else [file]


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
    own = {name for place in loaded.get_inputs() for name in place.get_names()}
    return [entry for entry in inputs if not {entry.port.node, str(entry.port)} & own]


def _front_end(name: str) -> Any:
    from openvino.frontend import FrontEndManager

    return FrontEndManager().load_by_framework(name)


def _read_tensorflow(files: list[str], request: Request) -> Any:
    front_end = _front_end("tf")
    loaded = front_end.load(files[0] if len(files) == 1 else files)
    if Path(files[0]).is_dir():  # the front end does not cut these: their graph is inside a function
        model = front_end.convert_partially(loaded)
        model = (
            cut(model, request.inputs, request.outputs) if request.inputs or request.outputs else model
        )
        refuse_unconverted(model)
        return model
    outputs = [_output_place(loaded, port) for port in request.outputs]
    inputs = [_input_place(loaded, entry.port) for entry in request.inputs]
    if outputs and inputs:
        loaded.extract_subgraph(inputs, outputs)
    elif outputs:
        loaded.override_all_outputs(outputs)
    elif inputs:
        loaded.override_all_inputs(inputs)
    return front_end.convert(loaded)


def _output_place(loaded: Any, port: Port) -> Any:
    place = loaded.get_place_by_tensor_name(str(port))
    return place or _operation(loaded, port).get_output_port(output_port_index=port.output_port or 0)


def _input_place(loaded: Any, port: Port) -> Any:
    if port.input_port is not None:
        return _operation(loaded, port).get_input_port(input_port_index=port.input_port)
    own = [place for place in loaded.get_inputs() if {port.node, str(port)} & {*place.get_names()}]
    return own[0] if own else _output_place(loaded, port)


def _operation(loaded: Any, port: Port) -> Any:
    place = loaded.get_place_by_operation_name(port.node)
    if place is None:
        places = (*loaded.get_inputs(), *loaded.get_outputs())
        raise missing(port, {name for place in places for name in place.get_names()})
    return place


def _add_short_names(output: Any) -> None:
    """`input` for `input:0`."""
    names = output.get_names()
    short = {name.removesuffix(":0") for name in names}
    output.add_names(short - names)
