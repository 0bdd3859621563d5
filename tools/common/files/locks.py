"""Locks on open files, which the kernel releases when their process dies."""

from __future__ import annotations

import errno
import sys

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
