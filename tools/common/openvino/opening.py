"""Opening a model's folder, whether that is on this machine or in object storage."""

from __future__ import annotations

from pathlib import Path

from ..cancel import Cancel
from .folders import LocalFolder, ModelFolder
from .output import Output
from .places import here, is_url


def open_folder(place: str, subdirectory: str, output: Output, cancel: Cancel) -> ModelFolder:
    """A model's folder in this directory; raises ModelZooError where that cannot be reached."""
    if not is_url(place):
        return LocalFolder(Path(place), subdirectory)
    from .mirroring import MirroredFolder

    return MirroredFolder(place, here(place), subdirectory, output, cancel)
