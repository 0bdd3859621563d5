"""Standard output as the tools use it: one write per piece, and a closed pipe ends the run."""

from __future__ import annotations

import os
import sys


class OutputClosed(Exception):
    """Whoever read our standard output has gone; there is nobody to work for."""


def write_all(data: bytes) -> None:
    """Write to standard output, in one system call as a rule; raises OutputClosed."""
    view = memoryview(data)
    try:
        sys.stdout.flush()
        descriptor = sys.stdout.fileno()
        while view:
            view = view[os.write(descriptor, view) :]
    except (BrokenPipeError, ConnectionResetError):
        raise OutputClosed from None


def warn(message: str) -> None:
    """A line on standard error; one that nobody can read any more is dropped."""
    try:
        print(_printable(message), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        pass


def _printable(text: str) -> str:
    """The text without control characters: what a server sends must not steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)
