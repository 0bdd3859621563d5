"""Around every tool: signals, errors as one line, a closed pipe, and the exit status."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import Interrupted, ModelZooError, UsageError
from ..reporting.stream import OutputClosed, require_output, silence, warn

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

Main = Callable[[list[str], str], int]


def run(main: Main, arguments: Sequence[str], program: str) -> int:
    """Run a tool's `main`; whatever a user can cause becomes one line and an exit status."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        require_output()
        return main(list(arguments), program)
    except OutputClosed as error:
        if sys.stdout is not None:
            silence(sys.stdout)
        if problem := str(error):
            warn(f"{program}: {problem}")
        return FAILED
    except UsageError as error:
        warn(f"{program}: error: {error}")
        return USAGE
    except (Interrupted, KeyboardInterrupt):
        warn(f"{program}: interrupted")
        return INTERRUPTED
    except ModelZooError as error:
        warn(f"{program}: {error}")
        return FAILED
    except OSError as error:  # the last resort: who knows more about it says more
        warn(f"{program}: {_in_words(error)}")
        return FAILED


def _in_words(error: OSError) -> str:
    try:
        os.getcwd()
    except FileNotFoundError:
        return "the current folder has been removed"
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    return f"{where}{error.strerror or error}"


def _interrupt(number: int, frame: Any) -> None:
    """SIGTERM is what CI systems and schedulers send: end as after Ctrl-C."""
    raise KeyboardInterrupt
