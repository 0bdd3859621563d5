# SPDX-License-Identifier: Apache-2.0
"""Train the demo models on the data sets inside scikit-learn and write their folders.

    python models/demo/train.py [--check] [NAME ...]

A trained model is a list of steps, each one ONNX node with its weights: one exporter for all.
Fixed seeds and one thread give the same bytes on the same machine; elsewhere rounding may
differ, and `--check` tells whether the accuracy is still the same.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx.numpy_helper import from_array
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits
from torch import nn

HERE = Path(__file__).resolve().parent
TOLERANCE = 0.005  # of test accuracy, for --check
DIGITS = ("prob-digits-logistic", "prob-digits-mlp", "prob-digits-cnn")
WINE = ("prob-wine-logistic", "prob-wine-mlp")
BREAST_CANCER = ("prob-breast-cancer-logistic", "prob-breast-cancer-mlp")
NAMES = DIGITS + WINE + BREAST_CANCER
QUANTIZABLE = DIGITS[1:]
HIDDEN = {"digits": (128, 64), "wine": (16,), "breast-cancer": (32, 16)}
SUBJECTS = {
    "digits": "8x8 grey images of hand-written digits, pixels 0..1 (the converted model: 0..255)",
    "wine": "13 chemical measurements of wines of three cultivars, standardised in the graph",
    "breast-cancer": "30 measurements of breast tumour cell nuclei, standardised in the graph",
}
MODEL_YML = Template("""\
# SPDX-License-Identifier: Apache-2.0
description: >-
$description
task_type: classification
version: "1.0.0"
tags: [demo, $tags]
files:
$files
input_info: [{name: $input, shape: $shape, layout: $layout}]
model_optimizer_args:
  - --input_shape=$shape
  - --input=$input
$scale  - --output=probabilities
  - --input_model=$$dl_dir/$name.onnx
framework: onnx
license: https://raw.githubusercontent.com/openvinotoolkit/open_model_zoo/master/LICENSE
$quantizable""")
FILE_ENTRY = "  - name: {0}\n    size: {1}\n    checksum: {2}\n    source: {0}"
ACCURACY_CHECK_YML = Template("""\
# SPDX-License-Identifier: Apache-2.0
models:
  - name: $name
    launchers: [{framework: dlsdk, adapter: classification}]
    datasets:
      - name: digits
        data_source: digits
        annotation_conversion: {converter: imagenet, annotation_file: digits/val.txt}
        reader: {type: opencv_imread, reading_flag: gray}
        preprocessing: [{type: resize, size: 8}]
        metrics: [{name: accuracy@top1, type: accuracy, top_k: 1, reference: $score}]
""")
Array = NDArray[Any]


@dataclass(frozen=True)
class Step:
    """One node of a graph: operator, weights and attributes."""

    op: str
    weights: tuple[Array, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Data:
    """A data set, three quarters of it to train on and one to test with."""

    name: str
    labels: list[str]
    input: str
    shape: list[int]
    train_x: Array
    test_x: Array
    train_y: Array
    test_y: Array


def load(model: str) -> Data:
    """Load and split the data set a model is named after; pixels become 0..1 in NCHW."""
    name = model.removeprefix("prob-").rpartition("-")[0]
    bunch = getattr(datasets, "load_" + name.replace("-", "_"))()
    x, source = bunch.data.astype(np.float32), "features"
    if name == "digits":
        x, source = x.reshape(-1, 1, 8, 8) / np.float32(16), "image"
    parts = train_test_split(x, bunch.target, test_size=0.25, random_state=0, stratify=bunch.target)
    return Data(name, [*map(str, bunch.target_names)], source, [1, *x.shape[1:]], *parts)


def first_steps(data: Data) -> tuple[list[Step], Array]:
    """Return the steps before the first layer, and the training samples after them."""
    if data.input == "image":
        return [Step("Flatten")], data.train_x.reshape(len(data.train_x), -1)
    mean, scale = data.train_x.mean(axis=0), data.train_x.std(axis=0)
    return [Step("Sub", (mean,)), Step("Div", (scale,))], (data.train_x - mean) / scale


def last_steps(weight: Array, bias: Array) -> list[Step]:
    """Return the output layer; a single logit z becomes (0, z), whose softmax is its sigmoid."""
    if weight.shape[1] == 1:
        weight, bias = np.pad(weight, ((0, 0), (1, 0))), np.pad(bias, (1, 0))
    return [Step("Gemm", (weight, bias)), Step("Softmax", attributes={"axis": 1})]


def train_logistic(data: Data) -> list[Step]:
    """Train a logistic regression."""
    steps, x = first_steps(data)
    fitted = LogisticRegression(max_iter=2000).fit(x, data.train_y)
    return [*steps, *last_steps(fitted.coef_.T, fitted.intercept_)]


def train_mlp(data: Data) -> list[Step]:
    """Train a multilayer perceptron with ReLU between its layers."""
    steps, x = first_steps(data)
    network = MLPClassifier(HIDDEN[data.name], alpha=0.01, max_iter=1000, random_state=0)
    fitted = network.fit(x, data.train_y)
    *hidden, last = zip(fitted.coefs_, fitted.intercepts_, strict=True)
    for layer in hidden:
        steps += [Step("Gemm", layer), Step("Relu")]
    return [*steps, *last_steps(*last)]


def new_cnn() -> nn.Sequential:
    """Return two convolutions and two dense layers, untrained, for 8x8 images."""
    first, second = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
    images = first, nn.ReLU(), second, nn.ReLU(), nn.MaxPool2d(2)
    dense = nn.Linear(32 * 4 * 4, 64), nn.ReLU(), nn.Linear(64, 10)
    return nn.Sequential(*images, nn.Flatten(), nn.Dropout(0.3), *dense)


def fit(network: nn.Module, x: torch.Tensor, y: torch.Tensor, epochs: int = 40) -> None:
    """Train in place with Adam, on batches drawn anew in each epoch."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-4)
    for _ in range(epochs):
        for batch in torch.split(torch.randperm(len(x)), 32):
            optimizer.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(network(x[batch]), y[batch]))
            optimizer.step()


def train_cnn(data: Data) -> list[Step]:
    """Train a small convolutional network, with torch."""
    torch.manual_seed(0)
    network = new_cnn()
    fit(network, torch.from_numpy(data.train_x), torch.from_numpy(data.train_y))
    w = [parameter.detach().numpy() for parameter in network.parameters()]
    relu, pads = Step("Relu"), {"pads": [1, 1, 1, 1]}
    pool = Step("MaxPool", attributes={"kernel_shape": [2, 2], "strides": [2, 2]})
    images = [Step("Conv", (w[0], w[1]), pads), relu, Step("Conv", (w[2], w[3]), pads), relu, pool]
    dense = [Step("Flatten"), Step("Gemm", (w[4].T, w[5])), relu]
    return [*images, *dense, *last_steps(w[6].T, w[7])]


def export(name: str, data: Data, steps: list[Step]) -> bytes:
    """Return the steps as an ONNX file; the same weights always give the same bytes."""
    nodes, tensors, previous = [], [], data.input
    for index, step in enumerate(steps):
        output = "probabilities" if index == len(steps) - 1 else f"{step.op.lower()}{index}"
        weights = {f"{output}_weight{i}": weight for i, weight in enumerate(step.weights)}
        tensors += [from_array(w.astype(np.float32), key) for key, w in weights.items()]
        nodes.append(helper.make_node(step.op, [previous, *weights], [output], **step.attributes))
        previous = output
    first = helper.make_tensor_value_info(data.input, TensorProto.FLOAT, data.shape)
    last = helper.make_tensor_value_info(previous, TensorProto.FLOAT, [1, len(data.labels)])
    graph = helper.make_graph(nodes, name, [first], [last], tensors)
    versions = {"ir_version": 8, "opset_imports": [helper.make_opsetid("", 13)]}
    model = helper.make_model(graph, producer_name="modelzoo-demo", **versions)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def accuracy(network: bytes, data: Data) -> float:
    """Return the share of test samples an ONNX file classifies correctly."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    guesses = [session.run(None, {data.input: x[None]})[0].argmax() for x in data.test_x]
    return float(np.mean(guesses == data.test_y))


KINDS = {
    "logistic": (train_logistic, "Logistic regression"),
    "mlp": (train_mlp, "Multilayer perceptron with ReLU"),
    "cnn": (train_cnn, "Convolutional network of two convolutions and two dense layers"),
}


def description(architecture: str, data: Data, score: float) -> str:
    """Return what the model is and how good, folded for YAML."""
    text = (
        f"{architecture}, trained on the {data.name} data set that ships with scikit-learn. "
        f"Input {data.input} of shape {data.shape}: {SUBJECTS[data.name]}. "
        f"Output: the probabilities of {len(data.labels)} classes. Test accuracy "
        f"{100 * score:.1f} % on a quarter of the data held out ({len(data.test_y)} samples)."
    )
    return textwrap.indent(textwrap.fill(text, 96), "  ")


def model_yml(name: str, data: Data, score: float, files: dict[str, bytes]) -> str:
    """Return the text of model.yml, in the format of Open Model Zoo."""
    kind, is_image = name.rpartition("-")[2], data.input == "image"
    digests = [(file, len(b), hashlib.sha384(b).hexdigest()) for file, b in files.items()]
    return MODEL_YML.substitute(
        name=name,
        description=description(KINDS[kind][1], data, score),
        tags=f"{'image' if is_image else 'tabular'}, {kind}",
        files="\n".join(FILE_ENTRY.format(*digest) for digest in digests),
        input=data.input,
        shape=str(data.shape).replace(" ", ""),
        layout="NCHW" if is_image else "NC",
        scale=f"  - --scale_values={data.input}[255]\n" if is_image else "",
        quantizable="quantizable: true\n" if name in QUANTIZABLE else "",
    )


def build(name: str, folder: Path) -> float:
    """Train a model, write its folder and return its test accuracy."""
    data, (train, _) = load(name), KINDS[name.rpartition("-")[2]]
    network = export(name, data, train(data))
    score = accuracy(network, data)
    labels = "".join(f"{label}\n" for label in data.labels).encode()
    files = {f"{name}.onnx": network, "labels.txt": labels}
    files["model.yml"] = model_yml(name, data, score, files).encode()
    if name in QUANTIZABLE:
        text = ACCURACY_CHECK_YML.substitute(name=name, score=f"{score:.4f}")
        files["accuracy-check.yml"] = text.encode()
    folder.mkdir(exist_ok=True)
    for file, content in files.items():
        (folder / file).write_bytes(content)
    print(f"{name}: {len(network)} bytes, test accuracy {100 * score:.1f} %", flush=True)
    return score


def check(name: str) -> bool:
    """Train a model anew; return whether the committed one is about as accurate."""
    with tempfile.TemporaryDirectory() as temporary:
        score = build(name, Path(temporary))
        for file in sorted(Path(temporary).iterdir()):
            there = HERE / name / file.name
            same = there.is_file() and there.read_bytes() == file.read_bytes()
            print(f"  {file.name}: {'same bytes' if same else 'differs'}")
    network = HERE / name / f"{name}.onnx"
    before = accuracy(network.read_bytes(), load(name)) if network.is_file() else 0.0
    return abs(score - before) <= TOLERANCE


def main() -> int | str:
    """Train all models, or those named; return what `sys.exit` takes."""
    parser = argparse.ArgumentParser(description="Train the demo models and write their folders.")
    parser.add_argument("--check", action="store_true", help="compare with what is committed")
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all models")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(NAMES)):
        parser.error(f"no such model: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    threadpool_limits(1)
    names = options.names or NAMES
    if options.check:
        failed = [name for name in names if not check(name)]
        return f"Missing, or not as accurate: {', '.join(failed)}" if failed else 0
    for name in names:
        build(name, HERE / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
