"""Where an archive is made before it is sent: a temporary folder, removed even after killed runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import filelock

from ..files.disk import storage_errors

_PREFIX = "modelzoo-publish-"
_LOCK = "lock"


@contextlib.contextmanager
def workspace(root: Path | None = None) -> Iterator[Path]:
    """A new folder in `root` (the system's folder for temporary files), removed at the end."""
    base = Path(tempfile.gettempdir()) if root is None else root
    with storage_errors(base):
        base.mkdir(parents=True, exist_ok=True)
        _clear_away(base)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with contextlib.suppress(OSError):  # without locks, what a killed run leaves stays
            filelock.lock_descriptor(handle, blocking=False)
        yield folder
    finally:
        os.close(handle)
        shutil.rmtree(folder, ignore_errors=True)


def _clear_away(base: Path) -> None:
    """Remove the folders of processes of this user that were killed."""
    for folder in base.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if hasattr(os, "getuid") and folder.lstat().st_uid != os.getuid():
                continue
            handle = os.open(folder / _LOCK, os.O_RDWR)
            try:
                if filelock.lock_descriptor(handle, blocking=False):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)
