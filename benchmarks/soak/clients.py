"""The downloader as processes that are killed at random and started again."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..environments import ROOT
from ..programs import Task

ENOUGH = 90.0  # seconds without an end after which a run counts as hanging
RESTARTS = 3  # how often a run may fail before nobody tries again
INTERRUPTED = 130  # Ctrl-C reached the run too
_FAILED = b'"successful":false'
_PROGRESS = b'"model_file_download_progress"'


@dataclass(frozen=True)
class Kill:
    """When a run is killed: after some seconds, or by the n-th event that tells of bytes."""

    seconds: float = ENOUGH
    progress: int = sys.maxsize

    @classmethod
    def drawn(cls, draw: random.Random, seconds: float, progress: int) -> Kill:
        """One or the other, at random up to these limits."""
        if draw.random() < 0.5:
            return cls(seconds=draw.uniform(0.1, seconds))
        return cls(progress=draw.randint(1, progress))


NEVER = Kill()


@dataclass(frozen=True)
class Run:
    """One run that has ended; without a status it was killed."""

    status: int | None
    lines: Sequence[bytes]
    errors: str
    hung: bool = False

    def problems(self, expected: int = 0) -> list[str]:
        """What no run may do, however its server behaves."""
        found = []
        if self.hung:
            found.append(f"a run had no end within {ENOUGH:.0f} s")
        if "Traceback" in self.errors:
            found.append(f"a run showed a traceback: {self.errors}")
        if self.status not in (None, expected):
            told = "; ".join(self.failures[:3]) or self.errors
            found.append(f"a run ended with {self.status}: {told[:1000]}")
        return found

    def told_of(self, reason: str) -> bool:
        """Whether an event gives this reason."""
        return any(f'"{reason}"'.encode() in line for line in self.lines)

    @property
    def failures(self) -> list[str]:
        """What its events say about files that failed."""
        ends = (json.loads(line) for line in self.lines if _FAILED in line)
        return [
            f"{end.get('model_file', 'run')}: {end.get('message')}" for end in ends if "message" in end
        ]


@dataclass
class Journal:
    """What became of the runs of a round; one for each client."""

    runs: list[Run] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(self, run: Run, expected: int = 0) -> None:
        """One more run, whose exit status should have been this."""
        self.runs.append(run)
        self.problems += run.problems(expected)

    @property
    def kills(self) -> int:
        """Runs that were killed."""
        return sum(run.status is None for run in self.runs)


def run(
    task: Task,
    options: Sequence[object],
    kill: Kill = NEVER,
    on_progress: Callable[[int], None] = lambda count: None,
) -> Run:
    """Run the downloader on the task's catalog, output and cache, and read its events as they come."""
    lines: list[bytes] = []
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        process.kill()

    with _start(task, options) as process:
        errors: list[bytes] = []
        reader = threading.Thread(target=lambda: errors.extend(process.stderr or ()))
        timer = threading.Timer(kill.seconds, expire)
        reader.start()
        timer.start()
        count = 0
        for line in process.stdout or ():
            if line.endswith(b"\n"):  # what a kill cut off is no event
                lines.append(line)
            if _PROGRESS in line:
                count += 1
                on_progress(count)
                if count == kill.progress:
                    process.kill()
        reader.join()
        timer.cancel()
    status = None if process.returncode == -9 else process.returncode
    hung = expired.is_set() and kill.seconds >= ENOUGH
    return Run(status, lines, b"".join(errors).decode(), hung)


def _start(task: Task, options: Sequence[object]) -> subprocess.Popen[bytes]:
    command = task.command(
        sys.executable, ROOT / "tools" / "downloader.py", "--all", "--source", task.inputs / "catalog",
        "-o", task.output, "--cache_dir", task.folder / "cache", f"-j{task.jobs}",
        "--progress_format=json", "--progress_interval=0.05", *options,
    )  # fmt: skip
    return subprocess.Popen(
        command.argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=task.folder,
        env=dict(command.environ),
    )


def persist(
    task: Task,
    options: Sequence[object],
    kills: Sequence[Kill],
    check: Callable[[], list[str]],
    stop: threading.Event,
) -> Journal:
    """Run and be killed, so often; then run until it has succeeded. `check` looks after each kill."""
    journal = Journal()
    for kill in kills:
        journal.add(run(task, options, kill))
        if stop.is_set() or journal.runs[-1].status == INTERRUPTED:
            return journal
        journal.problems += check()
    for _ in range(RESTARTS):
        last = run(task, options)
        journal.add(last)
        if last.status in (None, 0, INTERRUPTED):
            break
    return journal
