"""Processes that the tools start: each in a group of its own, which is killed as a whole."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from .cancel import Cancel

_GUARD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guard.py")


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that leads a group, with whatever it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def wait_for(process: subprocess.Popen[bytes], cancel: Cancel) -> int:
    """The exit status of a process that leads a group; raises Interrupted when it was stopped.

    What it has left running is killed.
    """
    try:
        with cancel.waking(lambda: kill_group(process)):
            return process.wait()
    finally:
        kill_group(process)
        process.wait()


def run(
    command: Sequence[str],
    environ: Mapping[str, str],
    cancel: Cancel,
    take: Callable[[str], None] | None = None,
) -> int:
    """Run a command that ends with us, however we end; its exit status, negative for a signal.

    `take` is given the lines of its output and errors; without, they go where ours go. Raises
    Interrupted.
    """
    guarded = [sys.executable, "-I", "-S", _GUARD, *command] if os.name == "posix" else [*command]
    process = subprocess.Popen(  # noqa: S603 - what a model's configuration says, shown to the user
        guarded,
        stdin=subprocess.PIPE,  # see guard.py
        stdout=subprocess.PIPE if take else None,
        stderr=subprocess.STDOUT if take else None,
        env=dict(environ),
        start_new_session=True,
    )
    with process:
        reader = None
        if take and process.stdout:
            reader = threading.Thread(target=_read, args=(process.stdout, take), daemon=True)
            reader.start()
        try:
            status = wait_for(process, cancel)
        finally:
            if reader:
                reader.join()
    cancel.check()
    return status


def _read(stream: IO[bytes], take: Callable[[str], None]) -> None:
    for line in stream:
        take(line.decode("utf-8", "surrogateescape"))


def signal_name(number: int) -> str:
    """A signal as people know it: `SIGKILL (9)`."""
    with contextlib.suppress(ValueError):
        return f"{signal.Signals(number).name} ({number})"
    return str(number)
