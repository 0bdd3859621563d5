"""Stand-ins for Model Optimizer and POT: they do little, and what the model's name says."""

from __future__ import annotations

import importlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from unittest import mock

import pytest
from modelzoo.commands import session

from tests.zoo import add_local_model

_COMMON = """
import json, os, signal, subprocess, sys, time

def options(*names):
    found = dict(word[2:].partition("=")[::2] for word in sys.argv[1:] if word.startswith("--"))
    return [found[name] for name in names]

def say(**facts):
    with open(os.environ["DIARY"], "a") as diary:
        diary.write(json.dumps({"argv": sys.argv[1:], **facts}) + "\\n")

def behave(name):
    print("working on", name, flush=True)
    if "warns" in name:
        print("a warning about", name, file=sys.stderr, flush=True)
    if "fails" in name:
        sys.exit(3)
    if "dies" in name:
        os.kill(os.getpid(), signal.SIGKILL)
    if "hangs" in name and not os.path.exists(os.environ["DIARY"] + ".go"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        say(pids=[os.getpid(), child.pid])
        time.sleep(600)
    if "slow" in name:
        time.sleep(0.3)

def write(folder, name, text):
    if "silent" not in name:
        os.makedirs(folder, exist_ok=True)
        for suffix in (".bin", ".xml"):
            with open(os.path.join(folder, name + suffix), "w") as file:
                file.write(text)
"""

MO = f"""{_COMMON}
folder, name = options("output_dir", "model_name")
say(name=name)
behave(name)
write(folder, name, "IR of " + name)
"""

POT = f"""{_COMMON}
config, folder = options("config", "output-dir")
with open(config) as file:
    config = json.load(file)
name = config["model"]["model_name"]
variables = ("ANNOTATIONS_DIR", "DATA_DIR", "DEFINITIONS_FILE", "MODELS_DIR")
say(name=name, config=config, environ={{v: os.environ[v] for v in variables}})
behave(name)
write(os.path.join(folder, "optimized"), name, "INT8 of " + name)
"""


class Programs:
    """The two programs in a folder, and what they have noted down about their runs."""

    def __init__(self, folder: Path, output: pytest.CaptureFixture[str]) -> None:
        self._output = output
        self.diary = folder / "diary"
        self.mo, self.pot = folder / "mo.py", folder / "pot.py"
        self.mo.write_text(MO)
        self.pot.write_text(POT)

    def tool(
        self, name: str, *arguments: str | Path, check: int | None = 0, **environ: str
    ) -> CompletedProcess[str]:
        """Run a tool as `conftest.tool` does, but in this process: half a second less for each run."""
        self._output.readouterr()
        main = importlib.import_module(f"modelzoo.commands.{name}").main
        handler = signal.getsignal(signal.SIGTERM)
        try:
            with mock.patch.dict(os.environ, environ):
                status = session.run(main, [*map(str, arguments)], f"{name}.py")
        finally:
            signal.signal(signal.SIGTERM, handler)
        done = CompletedProcess(arguments, status, *self._output.readouterr())
        if check is not None:
            assert status == check, (status, done.stdout[-2000:], done.stderr[-2000:])
        return done

    def runs(self) -> list[dict[str, Any]]:
        """What the programs have noted, in order."""
        lines = self.diary.read_text().splitlines() if self.diary.exists() else []
        return [json.loads(line) for line in lines]

    def names(self) -> list[str]:
        """The models that they worked on, in order."""
        return [run["name"] for run in self.runs() if "name" in run]

    def pids(self) -> list[int]:
        """The processes of the program that hangs, and of its child."""
        return [pid for run in self.runs() for pid in run.get("pids", [])]

    def let_go(self) -> None:
        """What would hang goes through from now on."""
        Path(f"{self.diary}.go").touch()


def wait_until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    """What the condition says once that is true; it is asked again and again."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it has not come true"
        time.sleep(0.01)
    return found


def is_running(pid: int) -> bool:
    """Whether there is such a process that is more than its exit status."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int]) -> bool:
    """Whether none of these processes is there."""
    return not any(map(is_running, pids))


def make_tree(root: Path, *names: str, **extra: Any) -> Path:
    """A catalog of ONNX models, and a folder with their files, as downloaded."""
    for name in names:
        add_local_model(root / "zoo", f"public/{name}", {"model.onnx": name.encode()}, **extra)
        folder = root / "dl" / "public" / name
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(name.encode())
    return root / "zoo"
