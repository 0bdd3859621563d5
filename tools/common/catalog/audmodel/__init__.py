"""audmodel's repositories as sources: every published version is a model, whose archive is unpacked.

The format is described in docs/catalog.md.
"""

from __future__ import annotations

import os
from pathlib import Path

from ...model import Model
from ..index import Index
from ..source import Source, Warn

FORMAT = "audmodel repository"

# What reads repositories is imported for them alone: every tool asks whether a source is one.


def recognises(path: Path) -> bool:
    """Whether the folder is a repository with a model in it."""
    from ...registry.layout import ROOTS

    return any(os.path.isdir(path / folder) for folder in ROOTS)


def load(path: Path, source: str, warn: Warn) -> list[Model]:
    """The models of a folder, by name and version. Broken headers are warned about and left out."""
    from . import shelf

    return shelf.load(path, source, warn)


def shelve(source: Source, warn: Warn) -> Index:
    """The models of a repository anywhere; what proves an archive is only asked for with the model.

    Where nobody answers, or nobody may be asked, it is what was known before.
    """
    from . import shelf

    return shelf.shelve(source, warn)
