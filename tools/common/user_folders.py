"""Where the user's system wants programs to keep what they can make again."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

INDEX_VARIABLE = "MODELZOO_INDEX"
"""Turns what is kept of catalogs off when it is `off`, `0`, `no` or `false`."""


def cache_folder(below: str) -> Path | None:
    """A folder of the user's cache for these tools, where one is known."""
    if sys.platform == "linux":  # what platformdirs would say; to import it takes as long as the rest
        for variable, inside in (("XDG_CACHE_HOME", ""), ("HOME", ".cache")):
            if os.path.isabs(home := os.environ.get(variable, "")):
                return Path(home, inside, "modelzoo", below)
    import platformdirs

    with contextlib.suppress(RuntimeError):
        return Path(platformdirs.user_cache_dir("modelzoo", appauthor=False), below)
    return None


def index_folder(below: str) -> Path | None:
    """The same for what is kept of catalogs; None where the user wants nothing kept."""
    if os.environ.get(INDEX_VARIABLE, "").strip().lower() in ("off", "0", "no", "false"):
        return None
    return cache_folder(below)
