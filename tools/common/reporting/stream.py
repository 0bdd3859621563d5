"""Standard output and error as the tools use them: whole pieces, and nothing that steers a terminal."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from typing import TextIO

ATTENTION = "\033[33m{}\033[0m"


class OutputClosed(Exception):
    """Standard output takes no more, so there is nobody to work for.

    The text says why; it is empty when the reader has just gone, which is nobody's mistake.
    """


def require_output() -> None:
    """Raise OutputClosed when the tool was started without a standard output.

    Its descriptor would then go to the first file that is opened, and be written to.
    """
    if sys.stdout is None:
        raise OutputClosed("standard output is closed")


def write_all(data: bytes) -> None:
    """Write to standard output, in one system call as a rule; raises OutputClosed."""
    require_output()
    view = memoryview(data)
    try:
        sys.stdout.flush()
        descriptor = sys.stdout.fileno()
        while view:
            view = view[_write(descriptor, view) :]
    except (BrokenPipeError, ConnectionResetError):
        raise OutputClosed from None
    except OSError as error:
        raise OutputClosed(f"cannot write to standard output: {error.strerror}") from None


def _write(descriptor: int, view: memoryview) -> int:
    try:
        return os.write(descriptor, view)
    except BlockingIOError:  # whoever started us has made the pipe non-blocking, and reads slowly
        select.select([], [descriptor], [])
        return 0


def write_text(text: str) -> None:
    """Write text to standard output; file names that are no Unicode keep their bytes."""
    write_all(text.encode("utf-8", "surrogateescape"))


def warn(message: str) -> None:
    """A line on standard error; one that nobody can read any more is dropped."""
    line = printable(message)
    _say(ATTENTION.format(line) if _coloured() else line)


def note(message: str) -> None:
    """The same for what nobody has to worry about."""
    _say(printable(message))


def _say(line: str) -> None:
    if sys.stderr is None:  # print() would take standard output instead
        return
    try:
        print(line, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        silence(sys.stderr)


def silence(stream: TextIO) -> None:
    """Keep the interpreter from complaining about a closed pipe when it flushes at the end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def printable(text: str) -> str:
    """The text as one line without control characters, which a server could steer a terminal with."""
    return "".join(c if c.isprintable() else " " if c == "\n" else "\ufffd" for c in text)


def is_terminal(stream: object) -> bool:
    """Whether somebody looks at this stream on a terminal that can do more than print lines."""
    isatty = getattr(stream, "isatty", None)
    shown = os.environ.get("TERM") not in ("dumb", "unknown") and not _flag("CI")
    return shown and isatty is not None and bool(isatty())


def _coloured() -> bool:
    """Whether standard error gets colours: see no-color.org and force-color.org."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or is_terminal(sys.stderr)


def _flag(variable: str) -> bool:
    return os.environ.get(variable, "").lower() not in ("", "0", "false")
