"""Where the words of one model's job go: the terminal, a queue, or back from another machine."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Protocol

from .. import processes
from ..cancel import Cancel
from .locate import quiet
from .places import here, is_url
from .steps import command_text


class Output(Protocol):
    """Takes what a job says."""

    @property
    def captures(self) -> bool:
        """Whether it wants the output of child processes handed over."""

    def write(self, text: str) -> None:
        """Text for standard output."""

    def warn(self, message: str) -> None:
        """A line for standard error."""


class Collected:
    """Keeps everything, in its order, to be said elsewhere."""

    captures = True

    def __init__(self) -> None:
        self.said: list[tuple[bool, str]] = []
        """Whether it is for standard error, and the text."""

    def write(self, text: str) -> None:
        """See Output."""
        self.said.append((False, text))

    def warn(self, message: str) -> None:
        """See Output."""
        self.said.append((True, message))


class Renaming:
    """Another output, which calls the mirrors of these places by the URLs of the places.

    Where a mirror is differs from machine to machine, and so would what is said.
    """

    def __init__(self, output: Output, *places: str) -> None:
        self._output, self.captures = output, output.captures
        self._names = {str(here(place)): place.rstrip("/") for place in places if is_url(place)}

    def write(self, text: str) -> None:
        """See Output."""
        for mirror, place in self._names.items():
            text = text.replace(mirror, place)
        self._output.write(text)

    def warn(self, message: str) -> None:
        """See Output; a full disk, say, is one of this machine."""
        self._output.warn(message)


def heading(output: Output, text: str) -> None:
    """Begin a section, as Open Model Zoo's tools do."""
    output.write(f"========== {text}\n")


def skip(output: Output, what: str, why: str) -> None:
    """A section of nothing else."""
    heading(output, f"Skipping {what} ({why})")
    output.write("\n")


def say_command(output: Output, label: str, command: Sequence[str]) -> None:
    """A command, ready to be copied."""
    output.write(f"{label}: {command_text(command)}\n")


def run(
    output: Output, cancel: Cancel, command: Sequence[str], variables: Mapping[str, str] | None = None
) -> bool:
    """Run a command whose output belongs to the job; whether it has succeeded. Raises Interrupted."""
    environ = quiet({**os.environ, **(variables or {})})
    status = processes.run(command, environ, cancel, output.write if output.captures else None)
    if status < 0:
        output.warn(f"Terminated by signal {processes.signal_name(-status)}")
    return status == 0
