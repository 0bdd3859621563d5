"""PyTorch models on their way to IR, with real PyTorch."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tests.conftest import tool
from tests.programs import Programs
from tests.zoo import add_local_model

pytestmark = pytest.mark.interop

NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self, hidden, activation):
        super().__init__()
        self.a, self.b = torch.nn.Linear(3, hidden), torch.nn.Linear(hidden, 2)
        self.activation = getattr(torch, activation)

    def forward(self, x):
        return self.b(self.activation(self.a(x)))
"""
ARGS = [
    "--model-path=$dl_dir/code", "--import-module=converter", "--model-name=Net",
    "--model-param=hidden=4", "--model-param=activation='relu'", "--weights=$dl_dir/net.pth",
    "--input-shape=1,3", "--input-names=x", "--output-names=y", "--output-file=$conv_dir/net.onnx",
]  # fmt: skip
WEIGHTS = """
import sys, torch
sys.path.insert(0, "code")
from converter import Net
torch.manual_seed(1)
net = Net(4, "relu")
torch.save(net.state_dict(), "net.pth")
print(net(torch.tensor([[1.0, 2.0, 3.0]])).tolist())
"""


@pytest.fixture
def python() -> Path:
    """The Python that `make interop` has put PyTorch in."""
    return Path(os.environ["PYTORCH_PYTHON"])


def test_a_model_becomes_onnx(python: Path, programs: Programs, tmp_path: Path) -> None:
    """Its module is called like a tool of ours, which must not be taken for it."""
    files = {"code/converter.py": NET.encode()}
    add_local_model(
        tmp_path / "zoo", "net", files, framework="pytorch", conversion_to_onnx_args=ARGS,
        model_optimizer_args=["--input_model=$conv_dir/net.onnx"],
    )  # fmt: skip
    folder = tmp_path / "dl" / "net"
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "converter.py").write_text(NET)
    command = [str(python), "-c", WEIGHTS]
    expected = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    run = [
        "converter",
        "--source",
        tmp_path / "zoo",
        "-d",
        tmp_path / "dl",
        "--all",
        "--mo",
        programs.mo,
    ]
    done = tool(*run, "--python", python)
    assert "The ONNX file is valid.\n" in done.stdout
    assert done.stderr == ""
    session = onnxruntime.InferenceSession(folder / "net.onnx")
    (found,) = session.run(["y"], {"x": np.array([[1, 2, 3]], np.float32)})
    np.testing.assert_allclose(found, json.loads(expected), rtol=1e-5)
    assert tool(*run, "--python", python).stdout.count("(up to date)") == 3
    (folder / "net.pth").write_bytes(b"no weights")
    failed = tool(*run, "--python", python, check=1)
    assert "net.pth: the weights cannot be loaded" in failed.stderr
