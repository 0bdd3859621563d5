"""Open Model Zoo's format: a tree of folders with model.yml and composite-model.yml.

The format is described in docs/catalog.md; trees of the releases 2021.4 to 2024.6 load unchanged.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from ...documents import read_yaml
from ...errors import CatalogError
from ...model import Model
from .config import COMPOSITE_CONFIG, MODEL_CONFIG, ConfigReader, Warn, convert

FORMAT = "Open Model Zoo tree"


class _Composite(msgspec.Struct):
    stages_order: list[str] = []


def recognises(path: Path) -> bool:
    """Whether the folder is a tree of this format."""
    return path.is_dir() and next(_configs(path), None) is not None


def load(
    path: Path, source: str, warn: Warn, folders: Sequence[str] = (), strict: bool = False
) -> list[Model]:
    """The models of a tree, sorted by the paths of their config files.

    `folders` restricts the tree to some of its top folders; `strict` makes values that are not in
    the format's lists an error instead of a warning. Raises CatalogError.
    """
    root = path.resolve()  # so that origins and the catalog's root have one spelling

    def unreadable(error: OSError) -> None:
        problem = CatalogError(f"cannot be read: {error.strerror}", file=str(error.filename))
        if strict or Path(error.filename) == root:
            raise problem
        warn(str(problem))  # a disk's lost+found, say

    declared: dict[str, Path] = {}
    models = []
    found = _configs(root, folders, unreadable)
    for config in sorted(found, key=lambda c: c.relative_to(root).parts):
        folder = config.parent
        if config.name == COMPOSITE_CONFIG:
            _check_composite(folder)
        if other := declared.get(folder.name):
            problem = f"is also declared in {other}"
            raise CatalogError(problem, file=str(config), model=folder.name)
        declared[folder.name] = config
        if config.name == MODEL_CONFIG:
            models.append(ConfigReader(root, folder, source, warn, strict).read())
    return models


def _configs(
    root: Path, folders: Sequence[str] = (), unreadable: Callable[[OSError], None] | None = None
) -> Iterator[Path]:
    """The config files below `root`; hidden folders are passed over."""
    for top in [root / folder for folder in folders] or [root]:
        for folder, names, files in os.walk(top, onerror=unreadable):
            names[:] = sorted(n for n in names if not n.startswith("."))
            for name in {COMPOSITE_CONFIG, MODEL_CONFIG}.intersection(files):
                yield Path(folder, name)


def _check_composite(folder: Path) -> None:
    """The rules that keep a composite's folder unambiguous."""
    shown, name = str(folder / COMPOSITE_CONFIG), folder.name
    inside = {config.parent for config in _configs(folder) if config.parent != folder}
    stages = {f.name for f in inside if f.parent == folder}
    if (folder / MODEL_CONFIG).exists():
        raise CatalogError(f"the folder must not hold {MODEL_CONFIG} too", file=shown, model=name)
    if deeper := min((f for f in inside if f.parent != folder), default=None):
        raise CatalogError(f"stages must be direct children, found {deeper}", file=shown, model=name)
    if odd := next((s for s in sorted(stages) if not s.startswith(f"{name}-")), None):
        problem = f'expected stage names to start with "{name}-", got "{odd}"'
        raise CatalogError(problem, file=shown, model=name)
    document = read_yaml(folder / COMPOSITE_CONFIG, shown, name)
    order = convert(document if document is not None else {}, _Composite, shown, name).stages_order
    if missing := [stage for stage in order if stage not in stages]:
        problem = f"no such stage: {', '.join(missing)}"
        raise CatalogError(problem, file=shown, model=name, key="stages_order")
