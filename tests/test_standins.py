"""The programs that are run by path: they tell nobody, and they tell what is missing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.digits import Zoo, make_zoo
from tests.onnx_models import write_images as write_network

DEMO = ROOT / "models" / "demo"
DIGITS = ("prob-digits-cnn", "prob-digits-mlp")


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return make_zoo(tmp_path_factory.mktemp("zoo"))


WATCH = """
import sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        open({log!r}, "a").write(event)
sys.addaudithook(watch)
"""


def run_by_path(program: str, folder: Path, *arguments: str, **environ: str) -> Any:
    """Run a stand-in as the tools do, and see that it opens no connection and leaves HOME alone."""
    home, log, hooks = folder / "home", folder / "network", folder / "hooks"
    for made in (home, hooks):
        made.mkdir(exist_ok=True)
    (hooks / "sitecustomize.py").write_text(WATCH.format(log=str(log)))
    path = ROOT / "tools" / "common" / "openvino" / program
    environment = {**os.environ, "HOME": str(home), "PYTHONPATH": str(hooks), **environ}
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        environment.pop(name, None)
    command = [sys.executable, str(path), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert not log.exists()
    assert not list(home.iterdir())
    assert "Traceback" not in done.stderr
    return done


def test_the_guard_of_these_tests_notices_a_connection(tmp_path: Path) -> None:
    log = tmp_path / "network"
    (tmp_path / "sitecustomize.py").write_text(WATCH.format(log=str(log)))
    code = "import socket; socket.getaddrinfo('127.0.0.1', 1)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert log.read_text() == "socket.getaddrinfo"


def test_both_programs_run_by_path_and_tell_nobody(zoo: Zoo, tmp_path: Path) -> None:
    source = write_network(tmp_path / "it.onnx")
    done = run_by_path("mo.py", tmp_path, f"--input_model={source}", f"--output_dir={tmp_path}")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "it.xml").is_file()
    configuration = zoo.configure("prob-digits-mlp", "FP16", {"stat_subset_size": 3})
    arguments = [f"--config={configuration}", "--direct-dump", f"--output-dir={tmp_path / 'out'}"]
    done = run_by_path("pot.py", tmp_path, *arguments, DATA_DIR=str(zoo.datasets))
    assert (done.returncode, done.stderr) == (0, "")
    assert "calibrating on 3 images" in done.stdout
    assert (tmp_path / "out" / "optimized" / "prob-digits-mlp.xml").is_file()


@pytest.mark.parametrize(("program", "missing"), [("mo.py", "openvino"), ("pot.py", "nncf")])
def test_what_is_missing_is_told(zoo: Zoo, tmp_path: Path, program: str, missing: str) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / f"{missing}.py").write_text(f"raise ModuleNotFoundError(name={missing!r})")
    source = write_network(tmp_path / "it.onnx")
    arguments = {
        "mo.py": [f"--input_model={source}", f"--output_dir={tmp_path}"],
        "pot.py": [f"--config={zoo.configure('prob-digits-mlp', 'FP16')}", f"--output-dir={tmp_path}"],
    }
    path = ROOT / "tools" / "common" / "openvino" / program
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "hidden"), "DATA_DIR": str(zoo.datasets)}
    command = [sys.executable, str(path), *arguments[program]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert (
        f"error: this Python has no {missing}; install it with: {sys.executable} -m pip" in done.stderr
    )


def test_no_module_is_left_out_of_the_contract() -> None:
    """`make check` holds what is run by path against a list of all the rest."""
    contract = (ROOT / "pyproject.toml").read_text().partition('"What runs by path')[2]
    parts = re.findall(r"(?:source|forbidden)_modules = \[(.*?)\]", contract, re.S)
    listed = [set(re.findall(r'"modelzoo\.([\w.]+)"', part)) for part in parts[:2]]
    package = ROOT / "tools" / "common"
    found = {f"{path.stem}" for path in package.glob("[a-z]*") if path.suffix in ("", ".py")}
    found |= {f"openvino.{path.stem}" for path in (package / "openvino").glob("[a-z]*")}
    assert listed[0] & listed[1] == set()
    assert listed[0] | listed[1] == found - {"openvino"}
