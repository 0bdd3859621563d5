"""ONNX models become IR: every argument of Model Optimizer does what ONNX Runtime says it should."""

from __future__ import annotations

from pathlib import Path

import modelzoo
import numpy as np
import pytest
from modelzoo.openvino.conversion.arguments import parse
from modelzoo.openvino.conversion.program import convert, main
from modelzoo.openvino.program import Failure

from tests.onnx_models import (
    Array,
    ir_answer,
    onnx_answer,
    pixels,
    random,
    write,
    write_images,
    write_sum,
)

IMAGE = pixels(1, 3, 8, 8)
FP32, FP16 = 1e-6, 5e-5


def mo(file: Path, *arguments: str) -> Path:
    """Convert into a folder beside the file."""
    out = file.parent / "out"
    return convert(parse([f"--input_model={file}", f"--output_dir={out}", *arguments]))


def close(found: Array, expected: Array, tolerance: float = FP32) -> bool:
    return found.shape == expected.shape and float(np.abs(found - expected).max()) <= tolerance


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("images") / "images.onnx")


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    return write_sum(tmp_path / "sum.onnx")


@pytest.mark.parametrize(
    ("arguments", "tolerance"),
    [
        (["--data_type=FP32"], FP32),
        (["--data_type=float"], FP32),
        (["--data_type=FP16"], FP16),
        (["--compress_to_fp16=True"], FP16),
        (["--compress_to_fp16"], FP16),
        (["--data_type=FP16", "--compress_to_fp16=False"], FP32),
    ],
)
def test_precisions(images: Path, arguments: list[str], tolerance: float) -> None:
    xml = mo(images, *arguments)
    (expected,) = onnx_answer(images, {"image": IMAGE / 255}, ["answers"])
    assert close(ir_answer(xml, {"image": IMAGE / 255})[0], expected, tolerance)
    is_half = 'element_type="f16"' in xml.read_text()
    assert is_half == (tolerance == FP16)


@pytest.mark.parametrize("output", ["features", "relu", "relu:0", "0:pool", '"features"'])
def test_an_inner_tensor_becomes_the_output(images: Path, output: str) -> None:
    xml = mo(images, f"--output={output}")
    (expected,) = onnx_answer(images, {"image": IMAGE}, ["features"])
    assert close(ir_answer(xml, {"image": IMAGE})[0], expected, 1e-4)


def test_several_outputs_in_their_order(images: Path) -> None:
    found = ir_answer(mo(images, "--output=pooled,answers,convolved"), {"image": IMAGE})
    expected = onnx_answer(images, {"image": IMAGE}, ["pooled", "answers", "convolved"])
    assert all(close(*both, 1e-4) for both in zip(found, expected, strict=True))


def test_an_inner_tensor_becomes_the_input(images: Path) -> None:
    features, expected = onnx_answer(images, {"image": IMAGE}, ["features", "answers"])
    for name in ("features", "relu", "0:pool"):
        xml = mo(images, f"--input={name}", "--input_shape=[1,4,8,8]")
        assert close(ir_answer(xml, [features])[0], expected)


def test_what_is_cut_off_need_not_be_known(tmp_path: Path) -> None:
    file = write_images(tmp_path / "odd.onnx", end="Oddity")
    with pytest.raises(Exception, match="Oddity"):
        mo(file)
    with pytest.raises(Failure, match="no conversion for these operations: answers"):
        mo(file, "--output=logits,answers")
    known = write_images(tmp_path / "known.onnx")
    (expected,) = onnx_answer(known, {"image": IMAGE / 255}, ["logits"])
    assert close(ir_answer(mo(file, "--output=logits"), {"image": IMAGE / 255})[0], expected)


def test_shapes(tmp_path: Path, pair: Path) -> None:
    import openvino

    def shapes(*arguments: str) -> list[str]:
        model = openvino.Core().read_model(mo(pair, *arguments))
        return [str(i.partial_shape) for i in model.inputs]

    assert shapes() == ["[?,3,4,4]", "[?,3,4,4]", "[1]"]
    assert shapes("--input=left,right", "--input_shape=[2,3,4,4],[2,3,4,4]") == ["[2,3,4,4]"] * 2 + [
        "[1]"
    ]
    assert shapes("--input=left[2 3 4 4],right[-1 3 4 4],weight")[:2] == ["[2,3,4,4]", "[?,3,4,4]"]
    assert shapes("--input_shape=(1..8,3,4,4),(1..8,3,4,4),(1)")[:2] == ["[1..8,3,4,4]"] * 2
    assert shapes("--batch=3", "--freeze_placeholder_with_value=weight->2") == ["[3,3,4,4]"] * 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--freeze_placeholder_with_value=weight->2.5"],
        ["--freeze_placeholder_with_value=weight->[2.5]"],
        ["--input=left,right,weight->2.5"],
        [
            "--input=left,right,weight",
            "--freeze_placeholder_with_value=weight->2.5",
            "--input_shape=[1,3,4,4],[1,3,4,4]",
        ],
    ],
)
def test_an_input_becomes_a_constant(pair: Path, arguments: list[str]) -> None:
    left, right = pixels(1, 3, 4, 4), random(1, 3, 4, 4)
    (found,) = ir_answer(mo(pair, *arguments), [left, right])
    assert close(found, left + np.float32(2.5) * right, 1e-4)


def preprocessed(image: Array, mean: list[float], scale: list[float], *, reverse: bool) -> Array:
    """The order of Model Optimizer: the channels first, then means, then scales."""
    image = image[:, ::-1] if reverse else image
    return (image - np.reshape(mean, (1, -1, 1, 1)).astype("f")) / np.reshape(
        scale, (1, -1, 1, 1)
    ).astype("f")


@pytest.mark.parametrize(
    ("arguments", "mean", "scale", "reverse"),
    [
        (["--mean_values=[10,20,30]", "--scale_values=[50,60,70]"], [10, 20, 30], [50, 60, 70], False),
        (["--mean_values=image[10,20,30]", "--scale_values=image[50]"], [10, 20, 30], [50], False),
        (
            ["--input=image", "--mean_values=(10, 20, 30)", "--reverse_input_channels"],
            [10, 20, 30],
            [1],
            True,
        ),
        (["--scale=255"], [0], [255], False),
        (["--scale=255", "--scale_values=[5,6,7]"], [0], [5, 6, 7], False),
        (
            ["--reverse_input_channels", "--mean_values=[10,20,30]", "--scale_values=[50,60,70]"],
            [10, 20, 30],
            [50, 60, 70],
            True,
        ),
    ],
)
def test_means_scales_and_channels(
    images: Path, arguments: list[str], mean: list[float], scale: list[float], reverse: bool
) -> None:
    prepared = preprocessed(IMAGE, mean, scale, reverse=reverse)
    (expected,) = onnx_answer(images, {"image": prepared}, ["answers"])
    for precision, tolerance in (("FP32", FP32), ("FP16", 10 * FP16)):
        (found,) = ir_answer(mo(images, *arguments, f"--data_type={precision}"), {"image": IMAGE})
        assert close(found, expected, tolerance)


def test_means_belong_to_inputs_by_name_or_in_order(pair: Path) -> None:
    left, right, one = pixels(1, 3, 4, 4), pixels(1, 3, 4, 4)[:, ::-1], np.ones(1, np.float32)
    expected = (left - 1) + (right - 2) / 4
    for means in ("left[1],right[2]", "[1,1,1],[2,2,2]", "right[2,2,2],left[1,1,1]"):
        (found,) = ir_answer(
            mo(pair, f"--mean_values={means}", "--scale_values=right[4]"), [left, right, one]
        )
        assert close(found, expected, 1e-4)


def test_layouts(images: Path) -> None:
    (expected,) = onnx_answer(images, {"image": IMAGE[:, ::-1] / 255}, ["answers"])
    last = IMAGE.transpose(0, 2, 3, 1)
    for told in (
        ["--layout=image(nchw->nhwc)"],
        ["--layout=NCHW->NHWC"],
        ["--source_layout=image(NCHW)", "--target_layout=image(NHWC)"],
    ):
        xml = mo(images, *told, "--reverse_input_channels", "--scale_values=[255,255,255]")
        assert close(ir_answer(xml, {"image": last})[0], expected)
    xml = mo(images, "--layout=image(NCHW)", "--reverse_input_channels", "--scale=255")
    assert close(ir_answer(xml, {"image": IMAGE})[0], expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output=feature"], 'no tensor or operation "feature"; similar: features'),
        (["--output=conv:1"], 'the operation "conv" has no output 1'),
        (["--input=nothing"], 'no tensor or operation "nothing"'),
        (["--mean_values=nothing[1,2,3]"], 'no input "nothing"; it has: image'),
        (["--mean_values=image[1,2]"], '--mean_values: 2 numbers for the 3 channels of "image"'),
        (["--scale_values=[1],[2]"], "values for 2 inputs, the model has 1"),
        (["--output=logits", "--input=pooled", "--reverse_input_channels"], "no input is an image"),
        (["--input_shape=[1,3,8,8],[1]"], "2 shapes for 1 inputs: image"),
        (["--input=image[1 3 8 8]", "--input_shape=[1,3,8,8]"], "give them once"),
        (["--freeze_placeholder_with_value=image->cat"], "'cat' is no value"),
        (["--framework=caffe"], "need the legacy Model Optimizer"),
        (["--saved_model_dir=."], "give one of"),
        (["--model_name=../it"], "'../it' is not the name of a file"),
    ],
)
def test_what_does_not_fit_is_told(images: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(Failure, match=message.replace("(", r"\(").replace("[", r"\[")):
        mo(images, *arguments)


def test_exit_status_and_messages(
    tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = f"--output_dir={tmp_path}"
    assert main([f"--input_model={images}", out]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[0] == f"[ SUCCESS ] XML file: {tmp_path / 'images.xml'}"
    assert main([f"--input_model={tmp_path / 'none.onnx'}", out]) == 1
    assert capsys.readouterr().err == f"mo.py: error: there is no {tmp_path / 'none.onnx'}\n"
    (tmp_path / "bad.onnx").write_bytes(b"not a model")
    assert main([f"--input_model={tmp_path / 'bad.onnx'}", out]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert main([f"--input_model={images}", out, "--transformations_config=x.json"]) == 2
    assert (
        capsys.readouterr().err
        == "mo.py: error: unrecognized arguments: --transformations_config=x.json\n"
    )


@pytest.mark.parametrize("name", modelzoo.list_models(sources=["demo"]))
def test_demo_models(tmp_path: Path, name: str) -> None:
    (model,) = modelzoo.find(name, sources=["demo"])
    assert model.model_optimizer_args
    arguments = [a.replace("$dl_dir", model.config_dir) for a in model.model_optimizer_args]
    info = model.input_info[0]
    is_image = len(info["shape"]) == 4
    given = pixels(*info["shape"]) if is_image else np.abs(random(*info["shape"])) * 10
    source = Path(model.config_dir) / f"{name}.onnx"
    scale = np.float32(255 if is_image else 1)
    (expected,) = onnx_answer(source, {info["name"]: given / scale}, ["probabilities"])
    for precision, tolerance in (("FP32", FP32), ("FP16", 10 * FP16)):
        base = [f"--output_dir={tmp_path}", f"--model_name={name}", f"--data_type={precision}"]
        xml = convert(parse([*base, *arguments]))
        assert close(ir_answer(xml, {info["name"]: given})[0], expected, tolerance)


def test_a_failure_leaves_what_was_there(tmp_path: Path, images: Path) -> None:
    file = write_images(tmp_path / "images.onnx")
    xml = mo(file)
    before = xml.read_bytes(), xml.with_suffix(".bin").read_bytes()
    with pytest.raises(Failure):
        mo(file, "--output=nothing")
    assert before == (xml.read_bytes(), xml.with_suffix(".bin").read_bytes())
    assert sorted(p.name for p in xml.parent.iterdir()) == ["images.bin", "images.xml"]


def test_inputs_that_are_no_images_take_means_too(tmp_path: Path) -> None:
    nodes = [("MatMul", ["x", "w"], ["y"], {"name": "mm"})]
    file = write(tmp_path / "rows.onnx", nodes, {"x": [1, 4]}, ["y"], {"w": random(4, 2)})
    x = random(1, 4)
    xml = mo(file, "--mean_values=x[1,2,3,4]", "--scale=2")
    (expected,) = onnx_answer(file, {"x": (x - np.float32([1, 2, 3, 4])) / 2}, ["y"])
    assert close(ir_answer(xml, {"x": x})[0], expected)
