"""Open Model Zoo's format: a tree of folders with model.yml and composite-model.yml.

The format is described in docs/catalog.md; trees of the releases 2021.4 to 2024.6 load unchanged.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
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
    return path.is_dir() and next(_configs(path, ()), None) is not None


def load(
    path: Path, source: str, warn: Warn, folders: Sequence[str] = (), strict: bool = False
) -> list[Model]:
    """The models of a tree, sorted by the paths of their config files.

    `folders` restricts the tree to some of its top folders; `strict` makes values that are not in
    the format's lists an error instead of a warning. Raises CatalogError.
    """
    models: dict[str, Model] = {}
    for folder in sorted(_configs(path, folders), key=lambda f: f.relative_to(path).parts):
        if (folder / COMPOSITE_CONFIG).is_file():
            _check_composite(folder)
        if (folder / MODEL_CONFIG).is_file():
            model = ConfigReader(path, folder, source, warn, strict).read()
            if other := models.get(model.name):
                problem = f"is also declared in {Path(other.config_dir) / MODEL_CONFIG}"
                raise CatalogError(problem, file=str(folder / MODEL_CONFIG), model=model.name)
            models[model.name] = model
    return list(models.values())


def _configs(root: Path, folders: Sequence[str]) -> Iterator[Path]:
    """The folders below `root` that hold a config file; hidden ones are passed over."""
    for top in [root / folder for folder in folders] or [root]:
        for folder, names, files in os.walk(top):
            names[:] = sorted(n for n in names if not n.startswith("."))
            if MODEL_CONFIG in files or COMPOSITE_CONFIG in files:
                yield Path(folder)


def _check_composite(folder: Path) -> None:
    """The rules that keep a composite's folder unambiguous."""
    shown, name = str(folder / COMPOSITE_CONFIG), folder.name
    stages = {f.name for f in _configs(folder, ()) if f.parent == folder}
    if (folder / MODEL_CONFIG).is_file():
        raise CatalogError(f"the folder must not hold {MODEL_CONFIG} too", file=shown, model=name)
    if deeper := next((f for f in _configs(folder, ()) if folder not in (f, f.parent)), None):
        raise CatalogError(f"stages must be direct children, found {deeper}", file=shown, model=name)
    if odd := next((s for s in sorted(stages) if not s.startswith(f"{name}-")), None):
        raise CatalogError(f'expected stage names to start with "{name}-", got "{odd}"', file=shown)
    document = read_yaml(folder / COMPOSITE_CONFIG, shown)
    order = convert(document if document is not None else {}, _Composite, shown, name).stages_order
    if missing := [stage for stage in order if stage not in stages]:
        problem = f"no such stage: {', '.join(missing)}"
        raise CatalogError(problem, file=shown, model=name, key="stages_order")
