"""Who works on a file in flight: one process at a time, in turn, whatever becomes of them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from .disk import storage_errors
from .locks import lock, still_named
from .partial import PLAIN, Partial
from .paths import PARTIAL_SUFFIX

_RACES = 8
"""How often a folder may vanish before it has to be for another reason."""


def claim(destination: Path) -> Partial | None:
    """The file in flight for this destination, or None while another process works on it.

    Where locks do not work the file has a name of its own: it is not resumed, and the rename decides.
    """
    path = Path(f"{destination}{PARTIAL_SUFFIX}")
    with storage_errors(path):
        handle, created = _open_in_folder(path)
        try:
            locked = lock(handle)
        except OSError:
            os.close(handle)
            if created:
                path.unlink(missing_ok=True)
            return _claim_alone(destination)
        # The holder before us may have renamed or removed the file that we have just locked.
        if locked and still_named(handle, path):
            return Partial(destination, path, handle, shared=True)
        os.close(handle)
        return None


def _open_in_folder(path: Path) -> tuple[int, bool]:
    """The same, and its folder, which another process may tidy away just before it is needed."""
    for _ in range(_RACES):
        with contextlib.suppress(FileNotFoundError):
            return _open(path)
        with contextlib.suppress(FileNotFoundError):
            path.parent.mkdir(parents=True, exist_ok=True)
    return _open(path)


def _open(path: Path) -> tuple[int, bool]:
    """The file in flight, and whether it was not there before."""
    flags = os.O_RDWR | os.O_CREAT | PLAIN
    try:
        return os.open(path, flags | os.O_EXCL, 0o666), True
    except FileExistsError:
        return os.open(path, flags, 0o666), False


def _claim_alone(destination: Path) -> Partial:
    alone = destination.with_name(f"{destination.name}.{os.urandom(4).hex()}{PARTIAL_SUFFIX}")
    return Partial(destination, alone, _open(alone)[0], shared=False)


def partial_size(destination: str | Path) -> int:
    """Bytes of this destination that an earlier run left in flight, gaps not counted."""
    try:
        stat = os.stat(f"{destination}{PARTIAL_SUFFIX}")
    except OSError:
        return 0
    return min(stat.st_size, getattr(stat, "st_blocks", stat.st_size) * 512)
