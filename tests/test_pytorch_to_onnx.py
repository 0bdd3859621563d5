"""What the PyTorch step makes of its arguments; tests/interop has the step with real PyTorch."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.openvino.pytorch_to_onnx import parameter, shapes

from tests.conftest import TOOLS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,3,8,8", [(1, 3, 8, 8)]),
        ("[1,3,8,8]", [(1, 3, 8, 8)]),
        ("[1,128],[1,64]", [(1, 128), (1, 64)]),
        ("[[1, 2]]", [(1, 2)]),
    ],
)
def test_shapes(text: str, expected: list[tuple[int, ...]]) -> None:
    assert shapes(text) == expected


@pytest.mark.parametrize(
    "text", ["", "1", "[]", "x,y", "[1,-1]", "1,2.5", "__import__('os')", "[1,True]"]
)
def test_what_is_no_shape(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected shapes of whole numbers"):
        shapes(text)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_parameters_are_literals(value: Any) -> None:
    assert parameter(f"name={value!r}") == ("name", value)


@pytest.mark.parametrize("text", ["name", "name=", "name=open('x')", "name=word"])
def test_what_is_no_parameter(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="Python literal"):
        parameter(text)


def test_without_anything_installed(tmp_path: Path) -> None:
    """The program needs nothing for its help, and says in one line what a model's module lacks."""
    program = [sys.executable, "-I", "-S", str(TOOLS / "pytorch_to_onnx.py")]
    done = subprocess.run([*program, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "--import-module" in done.stdout
    needed = ["--import-module=converter", "--model-name=N", "--input-shape=1,3", "--input-names=x"]
    command = [*program, *needed, "--output-names=y", "--output-file=x.onnx"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "pytorch_to_onnx: the module converter cannot be imported: No module named 'converter'\n"
    )
