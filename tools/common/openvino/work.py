"""One model's job, wherever it runs: as a value that can be sent, and the doing of it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from ..cancel import Cancel
from ..errors import Interrupted, ModelZooError
from . import converting, quantizing
from .output import Output
from .quantizing import Quantization
from .steps import Conversion

Task = Conversion | Quantization

DECODER = msgspec.json.Decoder(Task)
"""Reads what `msgspec.json.encode` makes of a task."""


def perform(task: Task, output: Output, cancel: Cancel, allowed: Callable[[Task], None]) -> bool:
    """Do a model's job; whether all went well, and why not is said. Raises Interrupted.

    `allowed` raises what keeps the model's own code from being run.
    """
    return explained(task, output, lambda: _perform(task, output, cancel, allowed))


def explained(task: Task, output: Output, act: Callable[[], bool]) -> bool:
    """What `act` returns; an error is said and False."""
    try:
        return act()
    except Interrupted:
        raise
    except ModelZooError as error:
        output.warn(f"{task.subject.name}: {error}")
        return False


def _perform(task: Task, output: Output, cancel: Cancel, allowed: Callable[[Task], None]) -> bool:
    if isinstance(task, Conversion):
        allowed(task)
        return converting.convert(task, output, cancel)
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "annotations").mkdir()
        return quantizing.quantize(task, output, cancel, Path(scratch))
