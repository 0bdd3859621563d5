"""Open Model Zoo's own converter and quantizer beside ours: the same commands, byte for byte."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import tool
from tests.zoo import tree

pytestmark = pytest.mark.interop

CONVERSION_SCRIPT = re.compile(r"\S+/(\w+_to_onnx\.py)")
SCRATCH = re.compile(r"ANNOTATIONS_DIR=\S+/annotations")


@pytest.fixture(scope="module")
def peer() -> Path:
    """The folder that `make interop` has put the package `open_model_zoo` of release 2021.4.2 in."""
    return Path(os.environ["OPEN_MODEL_ZOO"])


def theirs(peer: Path, name: str, *options: str, cwd: Path) -> str:
    """What their tool prints."""
    module = [sys.executable, "-m", f"open_model_zoo.model_tools.{name}"]
    environ = {**os.environ, "PYTHONPATH": str(peer)}
    done = subprocess.run([*module, *options], env=environ, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def ours(peer: Path, name: str, *options: str, cwd: Path) -> str:
    """What our tool prints about their models."""
    models = peer / "open_model_zoo" / "model_tools" / "models"
    return tool(name, "--source", models, *options, cwd=cwd).stdout


@pytest.mark.parametrize(
    "options",
    [
        ["--all", "-d", "some dir", "-o", "out/"],
        ["--all", "--precisions=FP16,FP32-INT8", "--python", "my/python", "--add_mo_arg=--a b"],
        ["--name", "yolo*,mtcnn,vgg19-caffe2", "--dry-run", "-j4", "--add-mo-arg=--silent"],
    ],
    ids=["all", "options", "names"],
)
def test_conversions(options: list[str], peer: Path, tmp_path: Path) -> None:
    options = ["--dry_run", "--mo", "/my tools/mo.py", *options]
    expected = theirs(peer, "converter", *options, cwd=tmp_path)
    found = ours(peer, "converter", *options, cwd=tmp_path)
    assert expected.count("Conversion command: ") > 10
    assert CONVERSION_SCRIPT.sub(r"\1", found) == CONVERSION_SCRIPT.sub(r"\1", expected)


@pytest.mark.parametrize("options", [[], ["--target_device", "CPU", "--precisions=FP16-INT8"]])
def test_quantizations(options: list[str], peer: Path, tmp_path: Path) -> None:
    """The same configurations are written, too."""
    options = ["--all", "--dry_run", "--pot", "pot/main.py", "--dataset_dir", "data sets", *options]
    printed, written = [], []
    for run, name in ((theirs, "theirs"), (ours, "ours")):
        output = run(peer, "quantizer", *options, "-o", str(tmp_path / name), cwd=tmp_path)
        printed.append(SCRATCH.sub("", output.replace(str(tmp_path / name), "OUT")))
        files = tree(tmp_path / name)
        written.append({path: data for path, data in files.items() if data != "folder"})
    assert printed[0].count("Quantization command: ") > 50
    assert printed[1] == printed[0]
    assert len(written[0]) > 50
    assert written[1] == written[0]
