"""Around every tool: signals, errors as one line, a closed pipe, and the exit status."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import Interrupted, ModelZooError, UsageError
from ..reporting.stream import OutputClosed, warn

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

Main = Callable[[list[str], str], int]


def run(main: Main, arguments: Sequence[str], program: str) -> int:
    """Run a tool's `main`; whatever a user can cause becomes one line and an exit status."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        status = main(list(arguments), program)
        sys.stdout.flush()
        return status
    except (OutputClosed, BrokenPipeError):
        _silence()
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


def _interrupt(number: int, frame: Any) -> None:
    """SIGTERM is what CI systems and schedulers send: end as after Ctrl-C."""
    raise KeyboardInterrupt


def _silence() -> None:
    """Keep the interpreter from complaining about the closed pipe when it flushes at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
