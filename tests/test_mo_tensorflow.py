"""TensorFlow models become IR: what TensorFlow answered (tests/data/tensorflow/make.py) is answered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from modelzoo.openvino.conversion.arguments import parse
from modelzoo.openvino.conversion.program import convert
from modelzoo.openvino.program import Failure

from tests.conftest import ROOT
from tests.onnx_models import Array, ir_answer

DATA = ROOT / "tests" / "data" / "tensorflow"
EXPECTED = {k: np.float32(v) for k, v in json.loads((DATA / "expected.json").read_text()).items()}
IMAGE = EXPECTED["image"]
"""As TensorFlow takes it: the channels last."""
FIRST = IMAGE.transpose(0, 3, 1, 2)
FROZEN = f"--input_model={DATA / 'frozen.pb'}"
USE = "--freeze_placeholder_with_value=phase_train->False"
SAVED = f"--saved_model_dir={DATA / 'saved'}"
META = f"--input_meta_graph={DATA / 'model.ckpt.meta'}"


def answer(folder: Path, image: Array, *arguments: str) -> Array:
    """Convert, and run on one input."""
    xml = convert(parse(["--framework=tf", f"--output_dir={folder}", "--model_name=it", *arguments]))
    (found,) = ir_answer(xml, [image])
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        [FROZEN, USE],
        [FROZEN, USE, "--output=probabilities", "--input=image", "--input_shape=[1,8,8,3]"],
        [FROZEN, USE, "--input=image,phase_train", "--input_shape=[1,8,8,3],[1]"],
        [FROZEN, "--input=image[1 8 8 3],phase_train->False"],
        [FROZEN, USE, "--input_shape=[1,8,8,3]"],
        [META, USE, "--output=probabilities"],
        [META.replace("_graph", ""), USE, "--input=image", "--input_shape=[1,8,8,3]"],
        [SAVED],
        [SAVED, "--saved_model_tags=serve", "--input=image", "--input_shape=[1,8,8,3]"],
        [SAVED, "--output=StatefulPartitionedCall/softmax"],
    ],
)
def test_each_format_answers_with_its_channels_first(tmp_path: Path, arguments: list[str]) -> None:
    for precision, tolerance in (("FP32", 1e-6), ("FP16", 2e-3)):
        found = answer(tmp_path, FIRST, *arguments, f"--data_type={precision}")
        assert found.shape == (1, 5)
        assert np.abs(found - EXPECTED["probabilities"]).max() < tolerance


@pytest.mark.parametrize("told", ["--disable_nhwc_to_nchw", "--layout=image(NHWC)"])
def test_the_layout_stays_where_that_is_told(tmp_path: Path, told: str) -> None:
    found = answer(tmp_path, IMAGE, FROZEN, "--output=features", told)
    assert np.abs(found - EXPECTED["features"]).max() < 1e-5


def test_images_that_come_out_have_their_channels_first_too(tmp_path: Path) -> None:
    for model in (FROZEN, META):
        found = answer(tmp_path, FIRST, model, "--output=features:0", "--input_shape=[1,8,8,3]")
        assert np.abs(found - EXPECTED["features"].transpose(0, 3, 1, 2)).max() < 1e-5


@pytest.mark.parametrize("name", ["pooled", "pooled:0", "0:matmul"])
@pytest.mark.parametrize("model", [FROZEN, META])
def test_an_inner_tensor_becomes_the_input(tmp_path: Path, model: str, name: str) -> None:
    cut = [f"--input={name}", "--input_shape=[1,4]", "--output=probabilities"]
    found = answer(tmp_path, EXPECTED["pooled"], model, *cut)
    assert np.abs(found - EXPECTED["probabilities"]).max() < 1e-6


@pytest.mark.parametrize(
    "arguments", [[FROZEN, USE, "--output=pooled"], [SAVED, "--output=StatefulPartitionedCall/pooled"]]
)
def test_an_inner_tensor_becomes_the_output(tmp_path: Path, arguments: list[str]) -> None:
    assert np.abs(answer(tmp_path, FIRST, *arguments) - EXPECTED["pooled"]).max() < 1e-5


@pytest.mark.parametrize("model", [[FROZEN, USE], [SAVED]])
def test_preprocessing(tmp_path: Path, model: list[str]) -> None:
    options = ["--reverse_input_channels", "--mean_values=image[10,20,30]", "--scale_values=[4,5,6]"]
    mean, scale = (np.float32(values).reshape(1, 3, 1, 1) for values in ([10, 20, 30], [4, 5, 6]))
    reversed_image = (FIRST * scale + mean)[:, ::-1]
    found = answer(tmp_path, reversed_image, *model, *options, "--input_shape=[1,8,8,3]")
    assert np.abs(found - EXPECTED["probabilities"]).max() < 1e-5
    kept = [*options, "--input_shape=[1,8,8,3]", "--disable_nhwc_to_nchw"]
    found = answer(tmp_path, reversed_image.transpose(0, 2, 3, 1), *model, *kept)
    assert np.abs(found - EXPECTED["probabilities"]).max() < 1e-5


def test_names_are_there_with_and_without_their_port(tmp_path: Path) -> None:
    import openvino

    xml = convert(parse([FROZEN, f"--output_dir={tmp_path}", "--model_name=it", "--input=image"]))
    model = openvino.Core().read_model(xml)
    assert [{"image", "image:0"} <= i.names for i in model.inputs] == [True, False]
    assert {"phase_train", "phase_train:0"} <= model.inputs[1].names
    assert {"probabilities", "probabilities:0"} <= model.outputs[0].names


def test_names_that_are_not_there_are_told(tmp_path: Path) -> None:
    for arguments in (["--output=probability"], ["--input=imag"], [USE.replace("phase_", "")]):
        with pytest.raises(Failure, match="no tensor or operation"):
            answer(tmp_path, IMAGE, FROZEN, *arguments)
    with pytest.raises(Failure, match="no tensor or operation"):
        answer(tmp_path, IMAGE, SAVED, "--output=probability")
