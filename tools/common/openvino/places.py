"""Where models come from and go to: a folder, or the URL of one in object storage.

Programs work on files of this machine. A directory in object storage has a mirror here: a folder of the
user's cache with what was needed of it. To lose the mirror costs nothing but fetching it again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..errors import ModelZooError, Reason
from ..user_folders import cache_folder


def is_url(place: str) -> bool:
    """Whether a directory is in object storage."""
    return "://" in place


def here(place: str) -> Path:
    """The directory of this machine in which programs work: itself, or its mirror."""
    if not is_url(place):
        return Path(place)
    mirrors = cache_folder("mirrors")
    if mirrors is None:
        raise ModelZooError("there is no folder for caches: set XDG_CACHE_HOME", Reason.DISK_ERROR)
    return mirrors / hashlib.sha256(place.rstrip("/").encode()).hexdigest()[:32]
