"""A folder beside the results in which they are made, so that each appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ..cancel import Cancel
from ..files.claiming import claim
from ..files.disk import storage_errors, sync
from ..files.paths import PARTIAL_SUFFIX, STATE_DIR

POLL = 0.1  # seconds between looks at a model that another process has


@contextlib.contextmanager
def alone(path: Path, cancel: Cancel) -> Iterator[bool]:
    """Have a model alone, whose record this is; whether locks work there. Raises Interrupted."""
    while (reservation := claim(path)) is None:
        cancel.sleep(POLL)
    with reservation:
        try:
            yield reservation.path.name == path.name + PARTIAL_SUFFIX  # else it has a name of its own
        finally:
            reservation.discard()


@contextlib.contextmanager
def staging(output_dir: Path, name: str, is_alone: bool) -> Iterator[Path]:
    """An empty folder for one job; what killed jobs of that name have left is removed.

    Where locks do not work, only what is old enough is: another process may be at work.
    """
    parent = output_dir / STATE_DIR / "staging"
    with storage_errors(parent):
        _clear(parent, name, is_alone)
        folder = _new_folder(parent, name)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # another job is at work beside us
            parent.rmdir()


_OLD = 7 * 86400  # seconds


def _clear(parent: Path, name: str, is_alone: bool) -> None:
    for old in parent.glob(f"{name}.*"):
        with contextlib.suppress(FileNotFoundError):
            if is_alone or old.stat().st_mtime < time.time() - _OLD:
                shutil.rmtree(old, ignore_errors=True)


def _new_folder(parent: Path, name: str) -> Path:
    while True:
        parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # the last other job has just removed the parent
            return Path(tempfile.mkdtemp(prefix=f"{name}.", dir=parent))


LAST = ".xml"
"""How the names of files end that are to be there only when all others are."""


def publish(folder: Path, target: Path) -> list[str]:
    """Move everything in a folder to another one, LAST files after all others.

    Returns their paths. An `.xml` that is there has its weights: an old one goes first. Raises
    StorageError.
    """
    with storage_errors(target):
        names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
        ordered = sorted(names, key=lambda name: (name.endswith(LAST), name))
        sync(folder / name for name in ordered)
        for name in ordered:
            if name.endswith(LAST):
                (target / name).unlink(missing_ok=True)
        for name in ordered:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(folder / name, target / name)
    return ordered
