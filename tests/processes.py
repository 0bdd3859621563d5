"""The downloader as a process whose events are read while it runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.conftest import TOOLS


def children(pid: int) -> list[int]:
    """The processes that this one has started, from any of its threads."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(number) for listed in lists for number in listed.read_text().split()]


class Downloader:
    """A running `downloader.py --progress_format=json`; killed, if need be, at the end."""

    def __init__(self, *arguments: str | Path, all: bool = True) -> None:  # noqa: A002
        command = [sys.executable, str(TOOLS / "downloader.py"), "--progress_format=json"]
        command += ["--all"] * all + [str(argument) for argument in arguments]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)
        )

    def events(self) -> Iterator[dict[str, Any]]:
        """The events as they come; a line that a kill cut off is left out."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith(b"\n"):
                yield json.loads(line)

    def until(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """Read until `count` events of this type have come; returns all that were read."""
        seen = []
        for event in self.events():
            seen.append(event)
            count -= event["$type"] == kind
            if count <= 0:
                return seen
        raise AssertionError(f"the run ended before {kind} came: {self.errors()}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def errors(self) -> str:
        """What was written to standard error, once the process has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def wait(self) -> int:
        """The exit status; what is still to be read must be little."""
        return self.process.wait(timeout=60)

    def __enter__(self) -> Downloader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        self.process.wait()
