"""Taking a part out of a graph that OpenVINO has read: new outputs, and inputs inside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from ..program import Failure
from .notation import Input, Port

_UNCONVERTED = ("FrameworkNode", "NotSupportedONNXNode")
"""How types of operations end, of which OpenVINO knows none; the second until 2025."""
_FUNCTION = re.compile(r"^(?:(?:Stateful)?PartitionedCall(?:_\d+)?/)+")
"""What names in a SavedModel begin with where its functions were written out into one graph."""


class Graph:
    """A read model and where its names are: those of tensors, and those of operations."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.operations = {op.get_friendly_name(): op for op in model.get_ordered_ops()}
        self.tensors = {
            name: output
            for op in model.get_ordered_ops()
            if op.get_type_name() != "Result"
            for output in op.outputs()
            for name in output.get_names()
        }

    def output(self, port: Port) -> Any:
        """The tensor a name means: its own, or that of an operation's output. Raises Failure."""
        if port.input_port is not None:
            return self._operation(port).input_value(port.input_port)
        for name in (str(port), port.node) if port.output_port in (None, 0) else (str(port),):
            if name in self.tensors:
                return self.tensors[name]
        operation = self._operation(port)
        if operation.get_type_name() == "Result":
            return operation.input_value(0)
        index = port.output_port or 0
        if index >= operation.get_output_size():
            raise Failure(f'the operation "{port.node}" has no output {index}')
        return operation.output(index)

    def _operation(self, port: Port) -> Any:
        for name in (port.node, _FUNCTION.sub("", port.node)):
            if name in self.operations:
                return self.operations[name]
        raise missing(port, {*self.operations, *self.tensors})


def missing(port: Port, names: set[str]) -> Failure:
    """That a graph has nothing of this name, with names that may have been meant."""
    near = get_close_matches(port.node, names, n=3)
    hint = f"; similar: {', '.join(near)}" if near else ""
    return Failure(f'the model has no tensor or operation "{port.node}"{hint}')


def cut(model: Any, inputs: Sequence[Input], outputs: Sequence[Port]) -> Any:
    """The part of a model between these inputs and outputs; without any, its own stay."""
    import openvino

    graph = Graph(model)
    results = [graph.output(port) for port in outputs] or [
        r.input_value(0) for r in model.get_results()
    ]
    for port, output in zip(outputs, results, strict=False):
        output.add_names({str(port)})
    first = [_parameter(graph, entry) for entry in inputs]
    reachable = {node.get_friendly_name() for node in _before(results)}
    named = {parameter.get_friendly_name() for parameter in first}
    others = [p for p in model.get_parameters() if p.get_friendly_name() not in named]
    kept = [p for p in (*first, *others) if p.get_friendly_name() in reachable]
    if not (inputs or outputs) and len(kept) == len(model.get_parameters()):
        return model  # with whatever state it keeps
    return openvino.Model(results, kept, model.get_friendly_name())


def _parameter(graph: Graph, entry: Input) -> Any:
    """The input of this name; where the name is that of an inner tensor, a new one in its place."""
    import openvino

    output = graph.output(entry.port)
    node = output.get_node()
    if node.get_type_name() == "Parameter":
        return node
    shape = output.get_partial_shape() if entry.shape is None else openvino.PartialShape([*entry.shape])
    parameter = openvino.op.Parameter(output.get_element_type(), shape)
    parameter.set_friendly_name(entry.port.node)
    names = {str(entry.port), *output.get_names()}
    consumers = output.get_target_inputs()
    output.set_names(set())
    parameter.output(0).set_names(names)
    for consumer in consumers:
        consumer.replace_source_output(parameter.output(0))
    return parameter


def _before(results: Sequence[Any]) -> Iterator[Any]:
    """Every operation that these outputs need."""
    seen: set[str] = set()
    waiting = [output.get_node() for output in results]
    while waiting:
        node = waiting.pop()
        if node.get_name() in seen:
            continue
        seen.add(node.get_name())
        yield node
        waiting += [value.get_node() for value in node.input_values()]


def refuse_unconverted(model: Any) -> None:
    """Raise Failure where OpenVINO knows no operation of its own for one of the model's."""
    left = [op for op in model.get_ordered_ops() if op.get_type_name().endswith(_UNCONVERTED)]
    if left:
        names = ", ".join(dict.fromkeys(op.get_friendly_name() for op in left))
        raise Failure(f"OpenVINO has no conversion for these operations: {names}")
