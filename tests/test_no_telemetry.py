"""Nothing that the tools start tells anybody about its use: seen by the kernel, with real OpenVINO."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from modelzoo.openvino.locate import quiet

from tests.conftest import TOOLS, require, tool
from tests.digits import whole_way
from tests.programs import Programs, make_tree

CALLS = "trace=connect,sendto,sendmsg,sendmmsg,bind"
INTERNET = re.compile("AF_INET")

TELEMETRY = """
import contextlib, socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found, contextlib.suppress(OSError):
    found.connect(("127.0.0.1", 9))
"""


def traced(folder: Path, command: list[str | Path]) -> list[str]:
    """The calls by which a command, or what it starts, reaches out, where there is no network."""
    log = folder / "strace"
    trace = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", CALLS, "-e", "signal=none", "-o", str(log)]
    isolated = ["unshare", "--net"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*isolated, *trace, *map(str, command)], capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    return [line for line in log.read_text().splitlines() if INTERNET.search(line)]


@pytest.fixture(autouse=True)
def strace() -> None:
    require(shutil.which("strace"), "strace")


def test_the_trace_would_show_it(tmp_path: Path) -> None:
    code = tmp_path / "tell.py"
    code.write_text(TELEMETRY)
    assert traced(tmp_path, [sys.executable, code])


def test_converting_and_quantizing_with_the_bundled_programs(tmp_path: Path) -> None:
    name = "prob-digits-mlp"
    tool("downloader", "--name", name, "-o", tmp_path)
    whole_way.write_images(tmp_path / "datasets" / "digits", 3)
    converter = [sys.executable, TOOLS / "converter.py", "--name", name, "-d", tmp_path]
    quantizer = [sys.executable, TOOLS / "quantizer.py", "--name", name, "--model_dir", tmp_path]
    assert traced(tmp_path, [*converter, "--precisions=FP16"]) == []
    images = ["--dataset_dir", tmp_path / "datasets"]
    assert traced(tmp_path, [*quantizer, *images, "--precisions=FP16-INT8"]) == []
    for precision in ("FP16", "FP16-INT8"):
        assert (tmp_path / "demo" / name / precision / f"{name}.xml").exists()
    assert sorted(os.listdir(os.environ["HOME"])) in ([], [".cache"])


def test_a_program_that_would_tell(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Model Optimizer of any release does, and a process that it starts."""
    folder = tmp_path / "packages" / "openvino_telemetry"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(TELEMETRY)
    monkeypatch.setenv("PYTHONPATH", str(folder.parent))
    telling = "try:\n    import openvino_telemetry\nexcept ImportError:\n    pass\n"
    child = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {telling!r}])\n"
    programs.mo.write_text(telling + child + programs.mo.read_text())
    make_tree(tmp_path, "a")
    command = [TOOLS / "converter.py", "--all", "--source", tmp_path / "zoo", "-d", tmp_path / "dl"]
    assert traced(tmp_path, [sys.executable, *command, "--mo", programs.mo]) == []
    assert len(traced(tmp_path, [sys.executable, "-c", child])) == 1
    assert str(folder.parent) in quiet(os.environ)["PYTHONPATH"].split(os.pathsep)
