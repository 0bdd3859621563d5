"""Where an archive is made before it is sent: a temporary folder, removed even after killed runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..files.disk import storage_errors
from ..files.locks import lock, still_named

_PREFIX = "modelzoo-publish-"
_LOCK = "lock"


@contextlib.contextmanager
def workspace(root: Path | None = None) -> Iterator[Path]:
    """A new folder in `root` (the system's folder for temporary files), removed at the end."""
    base = Path(tempfile.gettempdir()) if root is None else root
    with storage_errors(base):
        base.mkdir(parents=True, exist_ok=True)
        _clear_away(base)
        folder, handle = _new_folder(base)
    try:
        yield folder
    finally:
        os.close(handle)
        shutil.rmtree(folder, ignore_errors=True)


def _new_folder(base: Path) -> tuple[Path, int]:
    """A new folder and its open lock. Until it is locked, others may take it for a killed process's."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        try:
            handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if _locked(handle) and still_named(handle, folder / _LOCK):
            return folder, handle
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        return lock(handle)
    except OSError:  # without locks nobody clears away, and what a killed run leaves stays
        return True


def _clear_away(base: Path) -> None:
    """Remove the folders of processes of this user that were killed."""
    for folder in base.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if hasattr(os, "getuid") and folder.lstat().st_uid != os.getuid():
                continue
            handle = os.open(folder / _LOCK, os.O_RDWR)
            try:
                if lock(handle):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)
