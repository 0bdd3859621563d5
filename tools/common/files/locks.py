"""Locks on open files, which the kernel releases when their process dies."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import sys
from pathlib import Path

_HELD = (errno.EAGAIN, errno.EACCES)  # some file systems say the latter


def lock(handle: int) -> bool:
    """Lock an open file for this process alone; False while another one has it.

    Raises OSError where the file system knows no locks.
    """
    if sys.platform == "win32":
        import filelock

        return filelock.lock_descriptor(handle, blocking=False)
    # What filelock does here as well; to import it takes as long as to fetch fifty small files.
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise
    return True


def still_named(handle: int, path: Path) -> bool:
    """Whether an open file has this name still: who held it before may have renamed or removed it."""
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except FileNotFoundError:
        return False


@functools.cache
def machine() -> str:
    """What all processes that see each other's locks have in common; empty where nobody knows.

    It is the id of this start of the kernel (random(4)), so that others do not have it.
    """
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id") as boot:
        return boot.read().strip()
    return ""
