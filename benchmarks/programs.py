"""What a program is to the benchmarks, and the tools of this project as programs."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from . import environments
from .corpus import File, differing_files
from .environments import ROOT
from .measure import Command

OURS = "modelzoo"
_TOOLS = ROOT / "tools"

# The folders of a program. They are emptied before each run, but for those that it keeps.
OUTPUT, CACHE, HOME = "output", "cache", "home"


@dataclass(frozen=True)
class Task:
    """What one program has to do, and the folders that it has for itself."""

    inputs: Path
    folder: Path
    served: Path = Path()
    url: str = ""
    files: tuple[File, ...] = ()
    names: Mapping[str, tuple[str, ...]] | None = None  # of a catalog's folder: what it declares
    jobs: int = 1
    connections: int = 1
    cached: bool = False

    @property
    def output(self) -> Path:
        """Where the files have to be in the end."""
        return self.folder / OUTPUT

    def environ(self, **more: str) -> dict[str, str]:
        """An environment with nothing of this machine's user in it."""
        home = self.folder / HOME
        places = {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(home), **places, **more}

    def command(self, *argv: object, **environ: str) -> Command:
        """A command of this task, started in the output folder."""
        return Command(tuple(map(str, argv)), self.output, self.environ(**environ))


def files_are_right(task: Task) -> list[str]:
    """The files of the task that are missing or wrong."""
    return differing_files(task.output, task.served, task.files)


@dataclass(frozen=True)
class Program:
    """One line of a table: how to start it and how to know that it did its work.

    `command` gives None where the program is not installed. `verifies`: checksums are compared within
    the measured time. `keeps`: the folders that survive from a first, unmeasured run. `most_rounds`:
    for what takes long and hardly varies.
    """

    name: str
    command: Callable[[Task], Command | None]
    verifies: bool = True
    keeps: frozenset[str] = frozenset()
    most_rounds: int = 1000
    wrong: Callable[[Task], list[str]] = files_are_right

    @property
    def ours(self) -> bool:
        """Whether it is of this project."""
        return self.name.startswith(OURS)


def _python() -> str:
    """The interpreter of an environment with what these tools need and no more."""
    return str(environments.python(environments.OURS) or sys.executable)


def downloader(form: str = "json", piped: bool = False) -> Callable[[Task], Command]:
    """The downloader; `form` is the progress format."""

    def command(task: Task) -> Command:
        argv = [_python(), _TOOLS / "downloader.py", "--all", "--source", task.inputs / "catalog"]
        argv += ["-o", task.output, f"-j{task.jobs}", f"--progress_format={form}", *_optional(task)]
        return replace(task.command(*argv), piped=piped)

    return command


def _optional(task: Task) -> list[str]:
    cache = [f"--cache_dir={task.folder / CACHE}"] if task.cached else []
    several = task.connections > 1 and "--connections" in _help()
    # It is a budget for all files together; that of the others is for each file.
    return cache + [f"--connections={task.jobs * task.connections}"] * several


@functools.cache
def _help() -> str:
    command = [_python(), str(_TOOLS / "downloader.py"), "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def silent(task: Task) -> Command:
    """The downloader's work through the Python API, where nobody listens to events."""
    driver = ROOT / "benchmarks" / "drivers" / "silent.py"
    return task.command(_python(), driver, task.inputs / "catalog", task.output, task.jobs)


def info_dumper(catalog: str, name: str | None = None) -> Callable[[Task], Command]:
    """info_dumper on one of the task's catalogs, for all models or for one."""

    def command(task: Task) -> Command:
        select = ["--name", name] if name else ["--all"]
        argv = [_python(), _TOOLS / "info_dumper.py", *select, "--source", task.inputs / catalog]
        return replace(task.command(*argv), stdout=task.folder / OUTPUT / "info.json")

    return command


def listing_is_right(catalog: str, name: str | None = None) -> Callable[[Task], list[str]]:
    """The names that info_dumper should have printed and did not, or printed and should not have."""

    def wrong(task: Task) -> list[str]:
        assert task.names is not None
        expected = {name} if name else set(task.names[catalog])
        try:
            printed = {model["name"] for model in json.loads((task.output / "info.json").read_bytes())}
        except (ValueError, KeyError, TypeError):
            return ["what it printed is no list of models"]
        return sorted(expected ^ printed)

    return wrong
