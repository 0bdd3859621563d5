"""What `input_info` says of a model's inputs reaches Model Optimizer, unless its arguments say it."""

from __future__ import annotations

import modelzoo
import pytest
from modelzoo.openvino.conversion.arguments import parse
from modelzoo.openvino.described import input_arguments
from modelzoo.openvino.mappable import unmappable

from tests.conftest import tool

IMAGE = {"name": "0:sub", "shape": [1, 224, 224, 3], "layout": "NHWC"}
SIZE = {"name": "size", "shape": [1, 2], "layout": "NC"}


def test_names_layouts_and_shapes() -> None:
    model = ["--input_model=$dl_dir/it.pb", "--reverse_input_channels"]
    assert input_arguments(model, [IMAGE, SIZE], layouts=True) == (
        "--input=0:sub,size",
        "--layout=0:sub(NHWC),size(NC)",
        "--input_shape=[1,224,224,3],[1,2]",
    )
    assert input_arguments(model, [IMAGE], layouts=False) == (
        "--input=0:sub",
        "--input_shape=[1,224,224,3]",
    )
    assert input_arguments(model, [IMAGE, {"name": "x"}], layouts=True) == (
        "--input=0:sub,x",
        "--layout=0:sub(NHWC)",
    )
    assert input_arguments(model, [], layouts=True) == ()


@pytest.mark.parametrize("told", ["--input=x", "--input_shape=[1]", "--layout=NC", "--batch=1"])
def test_arguments_that_speak_of_inputs_have_said_it_all(told: str) -> None:
    assert input_arguments([told], [IMAGE], layouts=True) == ()


def test_the_built_in_catalogs_descriptions_are_understood() -> None:
    described = [m for m in modelzoo.find(sources=["builtin"]) if m.model_optimizer_args is not None]
    for model in described:
        args = [*(model.model_optimizer_args or ())]
        args += input_arguments(args, model.input_info, layouts=True)
        assert unmappable(args, model.framework) is None
        names = [str(entry.port) for entry in parse(args).inputs]
        assert names == [entry["name"] for entry in model.input_info]


def test_they_are_in_the_command() -> None:
    done = tool("converter", "--name=deeplabv3", "--precisions=FP16", "--dry_run")
    (line,) = [x for x in done.stdout.splitlines() if x.startswith("Conversion command")]
    assert " --input=1:mul_1 '--layout=1:mul_1(NHWC)' '--input_shape=[1,513,513,3]'" in line
