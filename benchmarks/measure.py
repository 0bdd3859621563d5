"""Run a command as a user would and say what it cost: time, processor time, memory."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

LAUNCHER = Path(__file__).with_name("drivers") / "launch.py"
_LOOK_SECONDS = 0.02  # between looks whether it has ended
_SAMPLE_SECONDS = 0.2  # between looks at the memory of several processes, which makes them wait
_MESSAGE_BYTES = 600


@dataclass(frozen=True)
class Command:
    """What to run, where, and where its standard output goes (`piped`: to a process that reads it)."""

    argv: tuple[str, ...]
    cwd: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    stdout: Path = Path(os.devnull)
    piped: bool = False


@dataclass(frozen=True)
class Measurement:
    """The costs of one run; `problem` is empty when it ended as it should."""

    seconds: float
    cpu: float  # user and system seconds, of all processes
    memory: int  # bytes; of all processes together, as far as samples can tell
    problem: str = ""


def run(command: Command, timeout: float) -> Measurement:
    """Run it in a session of its own; what is left of it after `timeout` seconds is killed."""
    with _output(command) as stdout, tempfile.TemporaryFile() as stderr:
        receiver, sender = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LAUNCHER), str(sender), *command.argv],
            cwd=command.cwd,
            env=dict(command.environ),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=[sender],
            start_new_session=True,
        )
        os.close(sender)
        try:
            together = _sample_until_end(process, time.monotonic() + timeout)
            line = os.read(receiver, 200).decode() if together is not None else ""
        finally:
            os.close(receiver)
            _end(process)
        return _judge(line, together or 0, _tail(stderr), timeout)


@contextlib.contextmanager
def _output(command: Command) -> Iterator[IO[bytes]]:
    if not command.piped:
        with command.stdout.open("wb") as file:
            yield file
        return
    # The reader is outside of the measured session: its costs are not the command's.
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as reader:
        assert reader.stdin is not None
        yield reader.stdin


def _sample_until_end(process: subprocess.Popen[bytes], deadline: float) -> int | None:
    """The most memory that several processes had together; None when the deadline came first."""
    most, due = 0, time.monotonic()
    while True:
        # waitid leaves the process to be reaped later: until then nobody else can get its id.
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return most
        if (now := time.monotonic()) > deadline:
            return None
        if now >= due:
            due = now + _SAMPLE_SECONDS
            processes = _descendants(process.pid)
            if len(processes) > 1:  # of a single one, the launcher knows the exact peak
                most = max(most, sum(map(_memory, processes)))
        time.sleep(_LOOK_SECONDS)


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            children = Path(f"/proc/{pid}/task/{task}/children").read_text().split()
            for child in map(int, children):
                found += [child, *_descendants(child)]
    except OSError:
        pass  # it has ended meanwhile
    return found


def _memory(pid: int) -> int:
    """The memory of a process in bytes, with its part of what it shares with others."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _tail(stderr: IO[bytes]) -> str:
    size = stderr.seek(0, os.SEEK_END)
    stderr.seek(max(0, size - _MESSAGE_BYTES))
    return " ".join(stderr.read().decode(errors="replace").split())


def _judge(line: str, together: int, message: str, timeout: float) -> Measurement:
    if not line:
        return Measurement(0, 0, 0, f"did not end within {timeout:.0f} s, or did not start: {message}")
    seconds, cpu, largest, code = line.split()
    problem = "" if code == "0" else f"exit status {code}: {message}"
    return Measurement(float(seconds), float(cpu), max(together, int(largest) * 1024), problem)
