"""Conversions on a Dask cluster: a real scheduler and two workers, on loopback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TOOLS, tool
from tests.processes import children
from tests.programs import Programs, gone, make_tree, wait_until
from tests.servers.s3 import S3, objects, put, s3_server
from tests.test_quantizer import quantize
from tests.zoo import files_of

STARTED = re.compile(rb"Scheduler at:\s*(tcp://[\d.:]+)")


class DaskProcess:
    """A scheduler or a worker."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        self.log, self.cache = folder / f"{name}.log", folder / f"{name}.cache"
        command = [sys.executable, "-m", "distributed.cli.dask_" + name.partition("-")[0], *arguments]
        command += ["--host", "127.0.0.1", "--no-dashboard"]
        with self.log.open("wb") as log:
            environ = {**os.environ, "XDG_CACHE_HOME": str(self.cache)}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environ)

    def pids(self) -> list[int]:
        """Its process, and those that it has started."""
        return [self.process.pid, *children(self.process.pid)]

    def end(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()


class Cluster:
    """A scheduler with two workers of one thread each."""

    def __init__(self, folder: Path) -> None:
        self.scheduler = DaskProcess(folder, "scheduler", "--port", "0", "--no-show")
        self.parts = [self.scheduler]
        found = wait_until(lambda: STARTED.search(self.scheduler.log.read_bytes()))
        self.address = found[1].decode()
        options = (self.address, "--nthreads", "1", "--no-nanny", "--death-timeout", "60")
        self.workers = [DaskProcess(folder, f"worker-{n}", *options) for n in range(2)]
        self.parts += self.workers
        wait_until(lambda: self.scheduler.log.read_bytes().count(b"Register worker") == 2)

    def worker_of(self, pid: int) -> DaskProcess:
        """The worker below which a process runs."""
        guards = {guard: w for w in self.workers for guard in children(w.process.pid)}
        return next(w for guard, w in guards.items() if pid in children(guard))


@pytest.fixture(scope="module")
def diary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the programs note down; workers inherit its place when they are started."""
    return tmp_path_factory.mktemp("cluster") / "diary"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    """Object storage that workers, too, know how to reach."""
    with s3_server() as server:
        yield server


@pytest.fixture(scope="module")
def cluster(diary: Path, s3: S3) -> Iterator[Cluster]:
    """A cluster for all tests, started once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIARY", str(diary))
        made = Cluster(diary.parent)
    yield made
    for part in made.parts:
        part.end()


@pytest.fixture
def shared(programs: Programs, diary: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """The programs, with the diary that workers write to."""
    for path in diary.parent.glob("diary*"):
        path.unlink()
    programs.diary = diary
    monkeypatch.setenv("DIARY", str(diary))
    return programs


def options(programs: Programs, root: Path, cluster: Cluster | None) -> list[Any]:
    """A command line of the converter."""
    where = ["--scheduler", cluster.address] if cluster else []
    return ["--source", root / "zoo", "--mo", programs.mo, "-d", root / "dl", "--all", *where]


def test_order_output_and_failures_are_as_here(
    shared: Programs, cluster: Cluster, tmp_path: Path
) -> None:
    make_tree(tmp_path, "a-slow-warns", "b-fails", "c-dies", "d")
    here = tool("converter", *options(shared, tmp_path, None), "-j2", "--force", check=1)
    there = tool("converter", *options(shared, tmp_path, cluster), "--force", check=1)
    assert (there.stdout, there.stderr) == (here.stdout, here.stderr)
    assert there.stdout.endswith("FAILED:\nb-fails\nc-dies\n")
    again = tool("converter", *options(shared, tmp_path, cluster), "-j1", check=1)
    assert again.stdout.count("(up to date)") == 4


def test_quantizations_too(shared: Programs, cluster: Cluster, tmp_path: Path) -> None:
    make_tree(tmp_path, "a", quantizable=True)
    (tmp_path / "images").mkdir()
    done = quantize(shared, tmp_path, "--all", "--scheduler", cluster.address)
    assert done.stdout.count("working on a\n") == 2
    assert (tmp_path / "dl/public/a/FP16-INT8/a.xml").exists()


def test_from_storage_to_storage(shared: Programs, cluster: Cluster, s3: S3, tmp_path: Path) -> None:
    make_tree(tmp_path, "a-slow-warns", "b-fails", "c-slow", "d")
    stored = s3.bucket()
    put(f"{stored}/dl", files_of(tmp_path / "dl"))
    here = tool("converter", *options(shared, tmp_path, None), "-j2", check=1)
    command = [*options(shared, tmp_path, cluster), "-d", f"{stored}/dl", "-o", f"{stored}/ir"]
    there = tool("converter", *command, check=1)
    said = here.stdout.replace(f"--output_dir={tmp_path}/dl", f"--output_dir={stored}/ir")
    assert there.stdout == said.replace(str(tmp_path / "dl"), f"{stored}/dl")
    assert (there.stderr, here.stderr) == ("", "")
    made = [name for name in objects(f"{stored}/ir") if name.endswith(".xml")]
    assert made == [
        f"public/{n}/FP{p}/{n}.xml" for n in ("a-slow-warns", "c-slow", "d") for p in (16, 32)
    ]
    caches = [{p.parent.name for p in w.cache.rglob("model.onnx")} for w in cluster.workers]
    assert all(caches)
    assert caches[0] | caches[1] == {"a-slow-warns", "b-fails", "c-slow", "d"}
    assert not list(Path(os.environ["HOME"]).rglob("model.onnx"))
    ran = len(shared.names())
    assert tool("converter", *command, check=1).stdout.count("(up to date)") == 6
    assert shared.names()[ran:] == ["b-fails"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda n: n.name)
def test_a_stopped_run_leaves_no_process_on_the_workers(
    number: signal.Signals, shared: Programs, cluster: Cluster, tmp_path: Path
) -> None:
    make_tree(tmp_path, "a-hangs", "b-hangs")
    command = [sys.executable, TOOLS / "converter.py", *options(shared, tmp_path, cluster)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        pids = wait_until(lambda: len(shared.pids()) == 4 and shared.pids())
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGTERM else -number)
    wait_until(lambda: gone(pids))
    wait_until(lambda: not any(children(w.process.pid) for w in cluster.workers))
    assert not list((tmp_path / "dl/public").glob("*/FP16"))


def test_the_job_of_a_killed_worker_is_done_again(
    shared: Programs, cluster: Cluster, tmp_path: Path
) -> None:
    """The last test of the cluster, which has one worker afterwards."""
    make_tree(tmp_path, "a-hangs", "b", "c")
    command = [sys.executable, TOOLS / "converter.py", *options(shared, tmp_path, cluster)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        pids = wait_until(shared.pids)
        worker = cluster.worker_of(pids[0])
        shared.let_go()
        os.kill(worker.process.pid, signal.SIGKILL)
        wait_until(lambda: gone(pids))
        printed, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert re.findall(r"Converting (\S+) to IR \(FP32\)", printed) == ["a-hangs", "b", "c"]
    assert sorted(p.stem for p in (tmp_path / "dl/public").glob("*/FP32/*.xml")) == [
        "a-hangs",
        "b",
        "c",
    ]
    assert not (tmp_path / "dl/.modelzoo/staging").exists()


def test_nobody_answers(shared: Programs, tmp_path: Path) -> None:
    make_tree(tmp_path, "a")
    arguments = options(shared, tmp_path, None)
    done = tool("converter", *arguments, "--scheduler", "bogus://127.0.0.1:1", check=1)
    assert done.stderr.startswith(
        "converter.py: --scheduler: no scheduler answers at bogus://127.0.0.1:1"
    )
    assert done.stderr.count("\n") == 1
