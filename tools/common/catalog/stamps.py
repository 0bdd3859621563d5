"""Stamps: how files and folders looked, to see later whether they have changed."""

from __future__ import annotations

import os
import struct

_STAMP = struct.Struct("<qqQQ")
_RACY = 2 * 10**9  # ns: the coarsest time of change that a file system keeps (FAT)

Stamp = bytes


def stamp(path: str | bytes) -> Stamp:
    """What changes when a file or folder does: both times, inode and size."""
    try:
        found = os.stat(path)
        return _STAMP.pack(found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size)
    except (OSError, ValueError, struct.error):
        return b"gone"


def settled(looked: Stamp, now: int) -> Stamp:
    """The stamp; none if that is so young at `now` that there can be another change with the same."""
    times = _STAMP.unpack(looked)[:2] if len(looked) == _STAMP.size else (now,)
    return looked if max(times) < now - _RACY else b""
