"""Where a scenario happens: its files or catalogs, the server, and the folder of the programs."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from .corpus import make_files, write_inputs, write_tree
from .programs import HOME, Task
from .scenarios import TREES, Scenario
from .servers import serve

# What is kept in the user's folders does not vouch for catalogs that changed just before, and a user's
# catalog is older than a second run.
_CATALOG_AGE = 2.5


class NotHere(Exception):
    """What a scenario needs is not on this machine."""


def base_folder() -> Path:
    """A folder in memory where there is one, so that no disk is measured."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and os.access(memory, os.W_OK) else Path(tempfile.gettempdir())


@contextlib.contextmanager
def prepare(scenario: Scenario, base: Path) -> Iterator[Task]:
    """The task of a scenario, its files written and served. Raises NotHere or MissingServer."""
    with tempfile.TemporaryDirectory(prefix="modelzoo-bench-", dir=base) as name:
        folder = Path(name)
        _require_space(folder, 4 * scenario.size)
        with _volume(scenario, folder) as place, _contents(scenario, folder, place) as task:
            if any(HOME in program.keeps for program in scenario.programs):
                time.sleep(_CATALOG_AGE)
            yield task


def _require_space(folder: Path, needed: int) -> None:
    if shutil.disk_usage(folder).free < needed:
        raise NotHere(f"it needs {needed >> 20:,} MiB of free space for its files")


@contextlib.contextmanager
def _contents(scenario: Scenario, folder: Path, place: Path) -> Iterator[Task]:
    inputs = folder / "inputs"
    inputs.mkdir()
    if scenario.trees:
        names = {tree: tuple(write_tree(inputs / tree, TREES[tree])) for tree in scenario.trees}
        yield Task(inputs, place, names=names)
        return
    served = folder / "served"
    files = make_files(served, scenario.shape)
    with serve(served, scenario.link) as url:
        write_inputs(inputs, files, url)
        yield Task(
            inputs,
            place,
            served,
            url,
            files,
            jobs=scenario.jobs,
            connections=scenario.connections,
            cached=scenario.cached,
        )


@contextlib.contextmanager
def _volume(scenario: Scenario, folder: Path) -> Iterator[Path]:
    """Where the programs work: beside the served files, or on an XFS of its own."""
    if not scenario.shares_blocks:
        yield folder
        return
    image, place = folder / "image", folder / "volume"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(8 * scenario.size + (1 << 30))
    try:
        _call("mkfs.xfs", "-q", "-m", "reflink=1", str(image))
        _call("mount", "-o", "loop,discard", str(image), str(place))
    except (OSError, subprocess.CalledProcessError):
        raise NotHere("making and mounting an XFS needs mkfs.xfs and root") from None
    try:
        yield place
    finally:
        _call("umount", str(place))


def _call(*argv: str) -> None:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    subprocess.run(argv, check=True, capture_output=True, env={"PATH": path})
