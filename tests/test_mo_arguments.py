"""Model Optimizer's arguments are understood; what nobody maps today is told before anything runs."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import modelzoo
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.openvino.conversion.arguments import Request, parse
from modelzoo.openvino.conversion.notation import (
    Input,
    Layout,
    Malformed,
    Port,
    parse_frozen,
    parse_input,
    parse_layouts,
    parse_named_lists,
    parse_outputs,
    parse_port,
    parse_shapes,
    parse_value,
)
from modelzoo.openvino.mappable import unmappable

from tests.conftest import ROOT

NAMES = st.text("abcXYZ_/.-09", min_size=1).filter(lambda name: "->" not in name)
DIMENSIONS = st.lists(st.integers(-1, 4096), min_size=1, max_size=5)


@given(NAMES, st.integers(0, 9))
def test_ports(name: str, port: int) -> None:
    assert parse_port(name) == Port(name)
    assert parse_port(f' "{name}" ') == Port(name)
    assert parse_port(f"{port}:{name}") == Port(name, input_port=port)
    assert str(parse_port(f"{port}:{name}")) == f"{port}:{name}"
    if not name.isdecimal():
        assert parse_port(f"{name}:{port}") == Port(name, output_port=port)
        assert str(parse_port(f"{name}:{port}")) == f"{name}:{port}"


@given(st.lists(DIMENSIONS, max_size=4))
def test_shapes(shapes: list[list[int]]) -> None:
    written = ", ".join(str(shape) for shape in shapes)
    assert parse_shapes(written) == tuple(map(tuple, shapes))
    assert parse_shapes(written.replace("[", "(").replace("]", ")")) == tuple(map(tuple, shapes))


@given(st.dictionaries(NAMES, st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=4), max_size=3))
def test_means_with_names(means: dict[str, list[float]]) -> None:
    text = ",".join(f"{name}{values}" for name, values in means.items())
    assert dict(parse_named_lists("--mean_values", text)) == {n: tuple(v) for n, v in means.items()}


@given(st.lists(st.tuples(NAMES, DIMENSIONS), min_size=1, max_size=3))
def test_inputs_with_shapes(inputs: list[tuple[str, list[int]]]) -> None:
    text = ", ".join(f"{name}[{' '.join(map(str, shape))}]" for name, shape in inputs)
    assert parse_input(text) == tuple(Input(parse_port(n), tuple(shape)) for n, shape in inputs)


@given(st.text())
def test_whatever_is_written_is_understood_or_told(text: str) -> None:
    for read in (parse_input, parse_outputs, parse_shapes, parse_frozen, parse_layouts):
        with contextlib.suppress(Malformed):
            read(text)


def test_values_and_layouts() -> None:
    assert parse_frozen("phase_train->False,lengths->[16 2]") == (
        (Port("phase_train"), "False"),
        (Port("lengths"), "[16 2]"),
    )
    assert parse_value("[16 2]") == parse_value("16, 2") == ["16", "2"]
    assert parse_input("a->2,b[1]->[3]")[1] == Input(Port("b"), (1,), "[3]")
    assert parse_shapes("[?,1..8,..8,3]") == ((-1, "1..8", "..8", 3),)
    assert parse_layouts("a(nhwc->nchw),b(NC)") == (
        ("a", Layout("NHWC", "NCHW")),
        ("b", Layout("NC", None)),
    )
    assert parse_layouts("[n,c,...]") == (("", Layout("[N,C,...]", None)),)


@pytest.mark.parametrize(
    "argument",
    [
        "--input=data{i32}",
        "--input_shape=1,2",
        "--input_shape=[1,x]",
        "--input_shape=[..]",
        "--output=a,,b",
        "--mean_values=1,2,3",
        "--mean_values=a[1],[2]",
        "--scale_values=a[x]",
        "--scale=many",
        "--freeze_placeholder_with_value=a",
        "--layout=a(",
        "--layout=NCHW --source_layout=NCHW",
        "--data_type=INT8",
        "--compress_to_fp16=perhaps",
        "--nothing_like_it",
        "--output_dir=a --output_dir=b",
        "--model_name=a -n b",
    ],
)
def test_malformed_arguments_are_told(argument: str) -> None:
    with pytest.raises(Malformed):
        parse(argument.split())
    assert unmappable(argument.split(), "onnx")


def test_the_same_name_may_be_given_twice() -> None:
    assert parse(["--model_name=a", "--output_dir=b", "-n", "a"]) == Request(
        model_name="a", output_dir="b"
    )


def test_defaults() -> None:
    assert parse([]) == Request()
    request = parse(["--silent", "--log_level=DEBUG", "--keep_shape_ops", "-n", "x", "--input_meta=y"])
    assert request == Request(model_name="x", input_meta_graph="y")


@pytest.mark.parametrize(
    ("arguments", "framework", "reason"),
    [
        (["--input_model=$dl_dir/a.onnx", "--mean_values=x[1,2,3]"], "onnx", None),
        (["--input_model=$conv_dir/a.onnx"], "pytorch", None),
        (["--saved_model_dir=$conv_dir/a", "--output=b"], "tf", None),
        (
            ["--input_model=a", "--transformations_config=$mo_dir/b.json"],
            "tf",
            "--transformations_config",
        ),
        (["--input_proto=a", "--input_model=b"], "caffe", "--input_proto"),
        (["--a=b", "--x", "d", "--a"], "tf", "--a, --x"),
        (["--input_model=a.params"], "mxnet", "framework mxnet"),
    ],
)
def test_reasons(arguments: list[str], framework: str, reason: str | None) -> None:
    told = None if reason is None else f"needs the legacy Model Optimizer: {reason}"
    assert unmappable(arguments, framework) == told


def test_every_model_of_the_built_in_catalog_that_is_converted_can_be() -> None:
    models = [
        m for m in modelzoo.find(sources=["builtin", "demo"]) if m.model_optimizer_args is not None
    ]
    reasons = {m.name: unmappable(m.model_optimizer_args or (), m.framework) for m in models}
    assert len(reasons) == 29
    assert not any(reasons.values())
    assert "All 29 models of the built-in catalog" in (ROOT / "docs" / "openvino.md").read_text()


def test_judging_a_model_imports_nothing_heavy() -> None:
    code = "import sys, modelzoo.openvino.mappable; print({'numpy', 'openvino'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
