"""A round of a scene: its files are made, served badly, fetched by killed clients, and judged."""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from ..corpus import File, make_files, write_inputs
from ..programs import CACHE, HOME, OUTPUT, Task
from .clients import Journal, Kill, persist, run
from .disk import SmallDisk, small_disk
from .scenes import Scene
from .server import FailingServer
from .verdict import judge_cache, judge_events, judge_finished, judge_output

_OPTIONS = ("--num_attempts=100", "--timeout=2")
_SAMPLE = 20  # files that are read after each kill


@dataclass(frozen=True)
class Round:
    """What came of a round."""

    scene: Scene
    seed: int
    runs: int
    kills: int
    faults: Counter[str]
    sent: int
    """Bytes of bodies that the server sent."""
    events: int
    seconds: float
    problems: tuple[str, ...]

    @property
    def factor(self) -> float:
        """How many times the bytes of the files went out."""
        return self.sent / self.scene.size


def soak_once(scene: Scene, seed: int, base: Path) -> Round:
    """One round. The same seed means the same faults and plans of kills; raises NotHere."""
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="modelzoo-soak-", dir=base) as name,
        _serve(scene, seed, Path(name)) as (server, task),
    ):
        if scene.small_disk:
            journals, problems = _soak_small_disk(scene, seed, server, task)
        else:
            journals, problems = _persist(scene, seed, task), _judge(task)
        return _conclude(scene, seed, journals, server, problems, time.monotonic() - started)


@contextlib.contextmanager
def _serve(scene: Scene, seed: int, folder: Path) -> Iterator[tuple[FailingServer, Task]]:
    served, inputs = folder / "served", folder / "inputs"
    inputs.mkdir()
    files = make_files(served, scene.shape)
    bodies = {f"/{file.path}": (served / file.path).read_bytes() for file in files}
    older = {f"/{file.path}": os.urandom(file.size) for file in _changing(files)}
    server = FailingServer(bodies, older, scene.odds, str(seed))
    with server:
        write_inputs(inputs, files, server.url)
        task = Task(inputs, folder, url=server.url, files=files, jobs=8)
        _make_folders(task)
        yield server, task


def _make_folders(task: Task) -> None:
    for name in (OUTPUT, HOME):
        (task.folder / name).mkdir()


def _changing(files: Sequence[File]) -> list[File]:
    """The files that change midway: the largest one, and one of the smaller ones."""
    by_size = sorted(files, key=lambda file: file.size)
    return [by_size[-1], by_size[len(by_size) * 2 // 3]]


def _persist(scene: Scene, seed: int, task: Task) -> list[Journal]:
    """All clients at once, until each has had a run that nobody killed."""

    def client(number: int) -> Journal:
        draw = random.Random(f"{seed} client {number}")
        limits = scene.kill_seconds, scene.kill_progress
        kills = [Kill.drawn(draw, *limits) for _ in range(scene.kills)]
        return persist(task, _OPTIONS, kills, lambda: judge_finished(task.output, sample(draw)), stop)

    def sample(draw: random.Random) -> list[File]:
        return draw.sample(task.files, min(_SAMPLE, len(task.files)))

    stop = threading.Event()
    with ThreadPoolExecutor(scene.clients) as pool:
        try:
            return list(pool.map(client, range(scene.clients)))
        finally:
            stop.set()  # who wants to exit waits for the runs at hand, and for no more


def _judge(task: Task) -> list[str]:
    problems = judge_output(task.output, task.files)
    return problems + judge_cache(task.folder / CACHE, task.files)


def _soak_small_disk(
    scene: Scene, seed: int, server: FailingServer, task: Task
) -> tuple[list[Journal], list[str]]:
    """Output and cache do not fit; then somebody fills the disk; then there is room."""
    with small_disk(task.folder / "disk", int(1.5 * scene.size)) as disk:
        task = replace(task, folder=disk.folder)
        _make_folders(task)
        journals = [_refused(server, task)]
        disk.resize(3 * scene.size)
        journals.append(_stopped(task, disk))
        disk.free()
        journals += _persist(scene, seed, task)
        return journals, _judge(task)


def _refused(server: FailingServer, task: Task) -> Journal:
    """What cannot fit is not begun."""
    journal = Journal()
    journal.add(run(task, _OPTIONS), expected=1)
    if server.requests or not journal.runs[-1].told_of("no_space"):
        journal.problems.append("what does not fit on the disk was begun")
    return journal


def _stopped(task: Task, disk: SmallDisk) -> Journal:
    """The disk is full when some files are there."""
    journal = Journal()

    def fill(count: int) -> None:
        if count == len(task.files) // 6:
            disk.fill()

    journal.add(run(task, _OPTIONS, on_progress=fill), expected=1)
    if not journal.runs[-1].told_of("no_space"):
        journal.problems.append("nobody was told of the full disk")
    return journal


def _conclude(
    scene: Scene,
    seed: int,
    journals: Sequence[Journal],
    server: FailingServer,
    problems: list[str],
    seconds: float,
) -> Round:
    runs = [run for journal in journals for run in journal.runs]
    lines = [line for run in runs for line in run.lines]
    kills = sum(journal.kills for journal in journals)
    problems += [problem for journal in journals for problem in journal.problems]
    problems += judge_events(lines)
    problems += [f"the server had an error of its own: {error!r}" for error in server.errors]
    if server.sent > scene.limit * scene.size:
        problems.append(f"{server.sent} bytes went out for {scene.size}")
    told = tuple(problems)
    return Round(scene, seed, len(runs), kills, server.faults, server.sent, len(lines), seconds, told)
