"""The demo models as real models: run on the held-out data, they are as good as they say."""

from __future__ import annotations

import re
from pathlib import Path

import modelzoo
import pytest

from tests.conftest import require


def held_out(name: str, shape: list[int]) -> tuple[object, object]:
    """The test part of the model's data set, one batch of one sample each, and the classes."""
    from sklearn import datasets, model_selection

    kind = name.removeprefix("prob-").rpartition("-")[0].replace("-", "_")
    features, classes = getattr(datasets, f"load_{kind}")(return_X_y=True)
    split = model_selection.train_test_split(
        features, classes, test_size=0.25, random_state=0, stratify=classes
    )
    scale = 16.0 if kind == "digits" else 1.0
    return (split[1] / scale).astype("float32").reshape(-1, *shape), split[3]


@pytest.mark.parametrize("name", modelzoo.list_models(sources=["demo"]))
def test_accuracy_is_what_the_description_says(name: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    require(pytest.importorskip("sklearn"), "scikit-learn")
    (model,) = modelzoo.find(name, sources=["demo"])
    shape = model.input_info[0]["shape"]
    samples, classes = held_out(name, shape)
    session = runtime.InferenceSession(f"{model.config_dir}/{name}.onnx")
    right = 0
    for sample, expected in zip(samples, classes, strict=True):  # type: ignore[call-overload]
        (probabilities,) = session.run(["probabilities"], {model.input_info[0]["name"]: sample})
        assert probabilities.shape[0] == 1
        assert abs(probabilities.sum() - 1) < 1e-4
        right += int(probabilities.argmax()) == expected
    stated = re.search(r"accuracy ([\d.]+) %", model.description)
    assert stated
    assert f"{100 * right / len(classes):.1f}" == stated[1]  # type: ignore[arg-type]


def test_labels_fit_the_output() -> None:
    runtime = pytest.importorskip("onnxruntime")
    for model in modelzoo.find(sources=["demo"]):
        session = runtime.InferenceSession(f"{model.config_dir}/{model.name}.onnx")
        labels = (Path(model.config_dir) / "labels.txt").read_text().splitlines()
        assert session.get_outputs()[0].shape == [1, len(labels)]
