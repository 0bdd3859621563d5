"""The process that the code of a source runs in: its output, its end, and two of them at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import modelzoo
import pytest
from modelzoo.concurrency import processors
from modelzoo.source_code import consent

from tests.conftest import TOOLS, tool
from tests.processes import Downloader, children
from tests.remote import code, entry, files_of, write
from tests.servers.nginx import Nginx
from tests.zoo import make_zoo, tree

Register = Callable[[str], Path]

shares = pytest.mark.skipif(
    sys.platform != "linux" or processors() < 2, reason="one process does all the work here"
)


@pytest.fixture
def register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Register:
    """Registers a source with a model `m` that this code brings; returns the folder of the source."""
    monkeypatch.setenv("MODELZOO_ZOO_DIR", str(tmp_path / "zoo"))

    def make(body: str) -> Path:
        files = files_of("me/src", entry("m", "w.bin")) | {"__init__.py": code(body)}
        modelzoo.register_source(str(write(tmp_path / "origin", files)))
        return tmp_path / "zoo" / "me/src"

    return make


def test_standard_output_stays_ours(register: Register) -> None:
    noisy = "import os\nprint('from python')\nos.system('echo from a child')\n"
    noisy += "open(model_path, 'w').write('w')"
    register(noisy)
    done = tool("downloader", "--name", "m", "--trust_remote_code", "--progress_format=json")
    kinds = [json.loads(line)["$type"] for line in done.stdout.splitlines()]
    assert (kinds[0], kinds[-1]) == ("run_begin", "run_end")
    assert "model_postprocessing_end" in kinds
    assert "from python" in done.stderr
    assert "from a child" in done.stderr


SLEEPER = """
import os, subprocess, sys, time
started = {path!r}
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(started + ".new", "w") as file:
    file.write(str(os.getpid()) + " " + str(child.pid))
os.rename(started + ".new", started)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=str)
def test_it_ends_with_us(register: Register, tmp_path: Path, number: signal.Signals) -> None:
    """Also what it has started, and also when there is nobody left to end it."""
    started = tmp_path / "started"
    source = register(SLEEPER.format(path=str(started)).strip())
    command = [sys.executable, str(TOOLS / "downloader.py"), "--name", "m", "--trust_remote_code"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_until(started.exists)
        process.send_signal(number)
        process.communicate(timeout=20)
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
    for pid in map(int, started.read_text().split()):
        wait_until(lambda pid=pid: not is_alive(pid))  # type: ignore[misc]
    assert not (source / "w.bin").exists()


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


WAITER = """
import os, time
with open({log!r}, "a") as file:
    file.write("ran ")
while not os.path.exists({go!r}):
    time.sleep(0.01)
with open(model_path, "w") as file:
    file.write("weights")
"""


def test_two_processes_run_it_once(register: Register, tmp_path: Path) -> None:
    log, go = tmp_path / "log", tmp_path / "go"
    source = register(WAITER.format(log=str(log), go=str(go)).strip())
    command = [sys.executable, str(TOOLS / "downloader.py"), "--name", "m", "--trust_remote_code"]
    pipe = subprocess.PIPE
    first = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
    wait_until(log.exists)
    second = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
    assert second.stderr is not None
    assert "another process works on m" in second.stderr.readline()
    go.touch()
    for process in (first, second):
        process.communicate(timeout=20)
        assert process.returncode == 0
    assert log.read_text() == "ran "
    assert (source / "w.bin").read_text() == "weights"
    assert not [name for name in tree(tmp_path / "zoo" / ".modelzoo") if name != "sources.json"]


def shared(tmp_path: Path, nginx: Nginx) -> list[str | Path]:
    """A run that processes share: small files in great number, and models that code brings."""
    make_zoo(tmp_path / "many", nginx.root, nginx.url, models=40, files=10, size=1000)
    return [
        *("--source", "me/src", "--source", tmp_path / "many"),
        *("-o", tmp_path / "out", "-j8", "--trust_remote_code"),
    ]


@shares
def test_processes_that_share_a_run_share_the_consent(
    tmp_path: Path, nginx: Nginx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELZOO_ZOO_DIR", str(tmp_path / "zoo"))
    models = [entry(name, f"{name}.bin") for name in "abcdefgh"]
    modelzoo.register_source(str(write(tmp_path / "origin", files_of("me/src", *models))))
    with Downloader(*shared(tmp_path, nginx)) as run:
        run.until("run_begin")
        assert len(children(run.process.pid)) > 1
        assert list(run.events())[-1]["models"] == 48
        assert run.wait() == 0
    source = tmp_path / "zoo" / "me/src"
    for name in "abcdefgh":
        brought = tmp_path / "out" / "me/src" / f"{name}.bin"
        assert brought.read_text() == f"weights of {name}"
        brought.rename(source / brought.name)
    consent.require(source, "me/src")  # which knows them all


@shares
def test_code_ends_with_the_process_that_started_it(
    register: Register, tmp_path: Path, nginx: Nginx
) -> None:
    started = tmp_path / "started"
    register(SLEEPER.format(path=str(started)).strip())
    with Downloader(*shared(tmp_path, nginx)) as run:
        run.until("model_postprocessing_begin")
        wait_until(started.exists)
        pids = list(map(int, started.read_text().split()))
        (member,) = [pid for pid in children(run.process.pid) if pids[0] in children(pid)]
        os.kill(member, signal.SIGKILL)
        for pid in pids:
            wait_until(lambda pid=pid: not is_alive(pid))  # type: ignore[misc]
        assert list(run.events())[-1]["models_failed"] >= 1
        assert run.wait() == 1
    assert not (tmp_path / "out" / "me/src/w.bin").exists()
