"""Make the TensorFlow models beside this script, and what TensorFlow says of them.

    python3 -m venv build/tensorflow && build/tensorflow/bin/pip install tensorflow-cpu==2.*
    build/tensorflow/bin/python tests/data/tensorflow/make.py

TensorFlow is too large for the environment of the tests, so what it writes is kept: one network as a
frozen graph and as a meta graph with its checkpoint, and a SavedModel of a similar one.
`expected.json` holds an image and the networks' answers.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

HERE = Path(__file__).resolve().parent
v1 = tf.compat.v1


def weights() -> list[Any]:
    """The filters of a convolution, its bias, and a matrix."""
    draw = np.random.default_rng(0).normal
    return [draw(0, 0.5, shape).astype(np.float32) for shape in ((3, 3, 3, 4), (4,), (4, 5))]


def network(variables: list[Any]) -> None:
    """Convolution, a switch between training and use, and five probabilities."""
    image = v1.placeholder(tf.float32, [None, 8, 8, 3], name="image")
    training = v1.placeholder(tf.bool, [], name="phase_train")
    filters, bias, matrix = variables
    convolved = tf.nn.conv2d(image, filters, 1, "SAME", name="convolved")
    features = tf.nn.relu(convolved + bias, name="features")
    switched = v1.cond(training, lambda: features * 2.0, lambda: features + 0.25, name="switch")
    pooled = tf.reduce_mean(switched, [1, 2], name="pooled")
    tf.nn.softmax(pooled @ matrix, name="probabilities")


def answers(session: Any, image: Any) -> dict[str, Any]:
    """What the network says of the image, inside and at its end."""
    feed = {"image:0": image, "phase_train:0": False}
    names = ("features", "pooled", "probabilities")
    return {name: session.run(f"{name}:0", feed).tolist() for name in names}


def write_graphs(image: Any) -> dict[str, Any]:
    """Write the network with variables in a checkpoint, and frozen."""
    v1.disable_control_flow_v2()
    with tf.Graph().as_default(), v1.Session() as session:
        variables = [v1.get_variable(f"w{i}", initializer=w) for i, w in enumerate(weights())]
        network(variables)
        session.run(v1.global_variables_initializer())
        saver = v1.train.Saver(variables)
        saver.save(session, str(HERE / "model.ckpt"), write_state=False)
        definition = session.graph.as_graph_def()
        frozen = v1.graph_util.convert_variables_to_constants(session, definition, ["probabilities"])
        (HERE / "frozen.pb").write_bytes(frozen.SerializeToString(deterministic=True))
        return answers(session, image)


class Saved(tf.Module):
    """The same without the switch, as a function with a signature."""

    def __init__(self) -> None:
        super().__init__()
        self.filters, self.bias, self.matrix = map(tf.Variable, weights())

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32, name="image")])
    def __call__(self, image: Any) -> dict[str, Any]:
        features = tf.nn.relu(tf.nn.conv2d(image, self.filters, 1, "SAME") + self.bias, name="features")
        pooled = tf.reduce_mean(features + 0.25, [1, 2], name="pooled")
        return {"probabilities": tf.nn.softmax(pooled @ self.matrix, name="softmax")}


def write_saved_model() -> None:
    """Write it in version 2 of the format."""
    shutil.rmtree(HERE / "saved", ignore_errors=True)
    module = Saved()
    tf.saved_model.save(module, str(HERE / "saved"), signatures=module.__call__)
    (HERE / "saved" / "fingerprint.pb").unlink(missing_ok=True)


def main() -> None:
    """Write everything."""
    image = np.random.default_rng(1).integers(0, 256, (1, 8, 8, 3)).astype(np.float32) / 255
    expected = {"image": image.tolist(), **write_graphs(image)}
    v1.enable_control_flow_v2()
    write_saved_model()
    (HERE / "expected.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()
