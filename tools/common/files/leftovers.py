"""What killed runs left in flight, where nobody would go on with it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Container
from pathlib import Path

from ..errors import StorageError
from .paths import PARTIAL_SUFFIX


def clear_away(folder: Path, names: Container[str] | None = None) -> None:
    """Remove the files in flight in a folder: those of files with these names, or all.

    What a process works on is left to it.
    """
    try:
        found = os.listdir(folder)
    except OSError:
        return
    for name in found:
        final = name.removesuffix(PARTIAL_SUFFIX)
        if final != name and (names is None or final in names):
            _remove(folder / final)


def _remove(destination: Path) -> None:
    from .claiming import claim  # not before something is found, which is rare

    with contextlib.suppress(StorageError):
        if (partial := claim(destination)) is not None:
            with partial:
                partial.discard()
