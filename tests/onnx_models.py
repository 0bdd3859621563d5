"""Small ONNX models made on the spot, and what ONNX Runtime says of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# As in every process that the tools start: nobody is told that OpenVINO is used.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

Array = Any


def random(*shape: int, seed: int = 0) -> Array:
    """Numbers around zero, always the same."""
    return np.random.default_rng(seed).normal(0, 0.5, shape).astype(np.float32)


def pixels(*shape: int) -> Array:
    """Numbers as pixels have them."""
    return np.random.default_rng(5).integers(0, 256, shape).astype(np.float32)


def write(
    file: Path,
    nodes: Sequence[tuple[str, list[str], list[str], dict[str, Any]]],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Sequence[str],
    weights: Mapping[str, Array],
) -> Path:
    """Write a graph of these nodes: operator, inputs, outputs and attributes (`name`, `domain` too)."""
    from onnx import TensorProto, helper, numpy_helper, save

    float_ = TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(op, *tensors, **attributes) for op, *tensors, attributes in nodes],
        file.stem,
        [helper.make_tensor_value_info(name, float_, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, float_, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    versions = [helper.make_opsetid("", 13), helper.make_opsetid("example", 1)]
    save(helper.make_model(graph, ir_version=8, opset_imports=versions), str(file))
    return file


def write_images(file: Path, *, batch: int | str = 1, end: str = "Softmax") -> Path:
    """Write a network of images [batch, 3, 8, 8]: features (convolution), pooled, and five answers.

    `end` is its last operator; the domain `example` has those that nobody knows.
    """
    domain = {} if end == "Softmax" else {"domain": "example"}
    nodes: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
        ("Conv", ["image", "filters", "bias"], ["convolved"], {"pads": [1] * 4, "name": "conv"}),
        ("Relu", ["convolved"], ["features"], {"name": "relu"}),
        ("ReduceMean", ["features"], ["pooled"], {"axes": [2, 3], "keepdims": 0, "name": "pool"}),
        ("MatMul", ["pooled", "matrix"], ["logits"], {"name": "matmul"}),
        (end, ["logits"], ["answers"], {"name": "end", **domain}),
    ]
    weights = {"filters": random(4, 3, 3, 3) / 100, "bias": random(4), "matrix": random(4, 5, seed=1)}
    return write(file, nodes, {"image": [batch, 3, 8, 8]}, ["answers"], weights)


def write_sum(file: Path) -> Path:
    """Write a network of two images and a number: left + weight * right."""
    nodes: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
        ("Mul", ["right", "weight"], ["weighted"], {"name": "mul"}),
        ("Add", ["left", "weighted"], ["sum"], {"name": "add"}),
    ]
    image = ["n", 3, 4, 4]
    return write(file, nodes, {"left": image, "right": image, "weight": [1]}, ["sum"], {})


def onnx_answer(file: Path, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
    """What ONNX Runtime computes; inner tensors can be asked for too."""
    import onnx
    import onnxruntime

    model = onnx.load(str(file))
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs if name not in known)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return list(session.run(list(outputs), dict(inputs)))


def ir_answer(xml: Path, inputs: Mapping[str, Array] | Sequence[Array]) -> list[Array]:
    """What OpenVINO computes, in full precision as far as the weights have it."""
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(xml, "CPU", settings)
    answer = compiled(dict(inputs) if isinstance(inputs, Mapping) else list(inputs))
    return [answer[output] for output in compiled.outputs]
