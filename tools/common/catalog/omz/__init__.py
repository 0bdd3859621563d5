"""Open Model Zoo's format: a tree of folders with model.yml and composite-model.yml.

The format is described in docs/catalog.md; trees of the releases 2021.4 to 2024.6 load unchanged.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ...errors import CatalogError
from ...model import Model
from ..index import Entry, Index
from ..stamps import Stamp, stamp

if TYPE_CHECKING:
    from ..builder import Builder

FORMAT = "Open Model Zoo tree"
MODEL_CONFIG = "model.yml"
COMPOSITE_CONFIG = "composite-model.yml"

Warn = Callable[[str], None]
Parts = tuple[str, ...]


def recognises(path: Path) -> bool:
    """Whether the folder is a tree of this format."""
    return path.is_dir() and any(folder.configs for folder in _walk(str(path)))


def load(
    path: Path, source: str, warn: Warn, folders: Sequence[str] = (), strict: bool = False
) -> list[Model]:
    """The models of a tree, sorted by the paths of their config files.

    `folders` restricts the tree to some of its top folders; `strict` makes values that are not in
    the format's lists an error instead of a warning. Raises CatalogError.
    """
    index = Tree(path, folders, strict, warn).read(source)
    return list(index.models(index.entries))


def reader(root: Path, strict: bool) -> Callable[[Entry], Model]:
    """What reads a model of a tree from its config file once more."""

    def read(entry: Entry) -> Model:
        from .config import ConfigReader

        folder = os.path.dirname(entry.config)
        return ConfigReader(root, folder, entry.source, _ignore, strict, entry.composite).read()

    return read


def _ignore(message: str) -> None:
    """It has been told already."""


class _Stages(msgspec.Struct):
    stages_order: list[str] = []


def _read_stages(path: str, name: str) -> list[str]:
    """The order of its stages in a composite's config file; raises CatalogError."""
    from ...files.documents import read_yaml
    from .config import convert

    document = read_yaml(path, path, name)
    stages: _Stages = convert({} if document is None else document, _Stages, path, name)
    return stages.stages_order


class _Folder(NamedTuple):
    """One folder: its path, also in parts below the root, and how it looked before it was listed."""

    parts: Parts
    path: str
    looked: Stamp
    configs: set[str]
    folders: list[str]


def _walk(
    root: str, tops: Sequence[str] = (), unreadable: Callable[[OSError], None] | None = None
) -> Iterator[_Folder]:
    """The folders of a tree; those that are hidden, and links to folders, are passed over."""
    rest: list[Parts] = [(top,) for top in reversed(tops)] or [()]
    while rest:
        parts = rest.pop()
        path = os.path.join(root, *parts)
        looked = stamp(path)
        try:
            with os.scandir(path) as entries:
                found = [(e.name, e.is_dir(follow_symlinks=False)) for e in entries if e.name[0] != "."]
        except OSError as error:
            if unreadable:
                unreadable(error)
            continue
        configs = {MODEL_CONFIG, COMPOSITE_CONFIG}.intersection(
            n for n, is_folder in found if not is_folder
        )
        folders = sorted(name for name, is_folder in found if is_folder)
        yield _Folder(parts, path, looked, configs, folders)
        rest += [(*parts, name) for name in reversed(folders)]


class Tree:
    """A tree as it is now: where its config files are. Raises CatalogError."""

    def __init__(self, path: Path, tops: Sequence[str], strict: bool, warn: Warn) -> None:
        self.root = path.resolve()  # so that origins and the catalog's root have one spelling
        self._strict, self._warn, self._whole = strict, warn, True
        found = _walk(str(self.root), tops, self._unreadable)
        self._folders = {folder.parts: folder for folder in found}
        # Of each composite, the folders below it that have a config file.
        self._inside: dict[Parts, list[Parts]] = {
            parts: [] for parts, folder in self._folders.items() if COMPOSITE_CONFIG in folder.configs
        }
        for parts in (parts for parts, folder in self._folders.items() if folder.configs):
            for above in (parts[:n] for n in range(len(parts))):
                if above in self._inside:
                    self._inside[above].append(parts)
        self._composites: dict[str, Stamp] = {}

    def _unreadable(self, error: OSError) -> None:
        problem = CatalogError(f"cannot be read: {error.strerror}", file=str(error.filename))
        if self._strict or Path(error.filename) == self.root:
            raise problem
        self._whole = False  # who may read it can change without a trace
        self._warn(str(problem))  # a disk's lost+found, say

    def read(
        self, source: str, old: Index | None = None, keep: tuple[bytes, Path] | None = None
    ) -> Index:
        """Read the config files, but for those that an old index knows; `keep` says where to save."""
        from ..builder import Builder

        declared: dict[str, str] = {}
        configs = sorted((*f.parts, name) for f in self._folders.values() for name in f.configs)
        with Builder(old, keep if self._whole else None) as builder:
            for *parts, config in configs:
                folder = self._folders[tuple(parts)]
                path, name = os.path.join(folder.path, config), self._name(folder)
                if config == COMPOSITE_CONFIG:
                    self._read_composite(folder, path, name)
                if other := declared.get(name):
                    raise CatalogError(f"is also declared in {other}", file=path, model=name)
                declared[name] = path
                if config == MODEL_CONFIG:
                    self._read_model(folder, path, source, builder)
            return builder.finish(str(self.root), self._shape(), reader(self.root, self._strict))

    def _name(self, folder: _Folder) -> str:
        return folder.parts[-1] if folder.parts else self.root.name

    def _shape(self) -> dict[str, Stamp]:
        """The composites' config files, and the folders but for those of a model and no more."""
        shape = dict(self._composites)
        for parts, folder in self._folders.items():
            if folder.folders or folder.configs != {MODEL_CONFIG}:
                shape["/".join(parts)] = folder.looked
        return shape

    def _read_model(self, folder: _Folder, path: str, source: str, builder: Builder) -> None:
        above = folder.parts[:-1]
        is_stage = folder.parts and above in self._inside
        composite = self._name(self._folders[above]) if is_stage else None
        config, looked = "/".join((*folder.parts, MODEL_CONFIG)), stamp(path)
        if known := builder.reuse(config, composite, looked, folder.looked):
            for doubt in known.doubts:
                self._warn(doubt)
            return
        from .config import ConfigReader

        relative = "/".join(folder.parts)
        file = ConfigReader(self.root, relative, source, self._warn, self._strict, composite)
        builder.add(file.read(), config, looked, folder.looked, file.doubts)

    def _read_composite(self, folder: _Folder, path: str, name: str) -> None:
        """The rules that keep a composite's folder unambiguous."""
        inside = self._inside[folder.parts]
        stages = {below[-1] for below in inside if below[:-1] == folder.parts}
        if MODEL_CONFIG in folder.configs:
            raise CatalogError(f"the folder must not hold {MODEL_CONFIG} too", file=path, model=name)
        if deeper := min((below for below in inside if below[:-1] != folder.parts), default=None):
            problem = f"stages must be direct children, found {self._folders[deeper].path}"
            raise CatalogError(problem, file=path, model=name)
        if odd := next((s for s in sorted(stages) if not s.startswith(f"{name}-")), None):
            problem = f'expected stage names to start with "{name}-", got "{odd}"'
            raise CatalogError(problem, file=path, model=name)
        self._composites["/".join((*folder.parts, COMPOSITE_CONFIG))] = stamp(path)
        order = _read_stages(path, name)
        if missing := [stage for stage in order if stage not in stages]:
            problem = f"no such stage: {', '.join(missing)}"
            raise CatalogError(problem, file=path, model=name, key="stages_order")
