"""The sources in what a reference has brought: found, named, and read before anything is installed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ..catalog import NAMED, formats
from ..catalog import fiftyone as fiftyone_format
from ..catalog.manifest import ManifestFile
from ..errors import CatalogError, UnsafePathError
from ..files.paths import MANIFEST, clash, safe_path
from ..model import Model
from ..references import Reference
from ..web.credentials import mask
from .fetching import Fetched

_NOT_IN_NAMES = frozenset("@,[]")


class Candidate(msgspec.Struct, frozen=True):
    """A source that was found in what came, under the name that it will have."""

    name: str
    folder: Path
    format: str
    models: tuple[Model, ...]


def candidates(reference: Reference, fetched: Fetched) -> list[Candidate]:
    """The sources in what came, all of them read; raises CatalogError for any that is broken."""
    manifests = list(_find_manifests(fetched.folder))
    names = [_name_of(folder, reference, fetched) for folder in manifests]
    if two := clash(names):
        raise CatalogError(
            f'two manifests are called "{two[0]}" and "{two[1]}", which cannot both be there',
            file=mask(reference.url),
        )
    found = [
        _read(name, folder, reference, fetched) for name, folder in zip(names, manifests, strict=True)
    ]
    return found or [_other_format(reference, fetched)]


def _find_manifests(root: Path) -> Iterator[Path]:
    for path, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        if MANIFEST in files:
            folders.clear()
            yield Path(path)


def _name_of(folder: Path, reference: Reference, fetched: Fetched) -> str:
    with _as_fetched(reference, fetched):
        name = ManifestFile(folder / MANIFEST).name or reference.default_name
        return _checked(name, folder / MANIFEST)


def _checked(name: str, file: Path) -> str:
    """The name, if a source can have it; raises CatalogError."""
    problem = None
    try:
        parts = safe_path(name).parts
        if any(part[0] == "." for part in parts):
            problem = "no part of it may begin with a dot"
        elif not _NOT_IN_NAMES.isdisjoint(name):
            problem = "must not hold any of @ , [ ]"
        elif name.casefold() in NAMED:
            problem = f'"{name}" is the name of a source that the tools know already'
    except UnsafePathError as error:
        problem = str(error)
    if problem:
        raise CatalogError(problem, file=str(file), key="name")
    return name


def _read(name: str, folder: Path, reference: Reference, fetched: Fetched) -> Candidate:
    with _as_fetched(reference, fetched):
        models = fiftyone_format.load(folder, name, _ignore)
    return Candidate(name, folder, "fiftyone", tuple(models))


def _other_format(reference: Reference, fetched: Fetched) -> Candidate:
    root, modules = fetched.folder, formats()
    module = next((m for m in modules if m is not fiftyone_format and m.recognises(root)), None)
    if module is None:
        problem = f"holds no {MANIFEST}, nor models of another known format"
        raise CatalogError(problem, file=mask(reference.url))
    with _as_fetched(reference, fetched):
        name = _checked(reference.default_name, root)
        models = module.load(root, name, _ignore)
    return Candidate(name, root, module.__name__.rpartition(".")[2], tuple(models))


def _ignore(message: str) -> None:
    """Doubts are told whenever the source is used."""


@contextlib.contextmanager
def _as_fetched(reference: Reference, fetched: Fetched) -> Iterator[None]:
    """Name the reference in errors, instead of the folder that nobody will see."""
    try:
        yield
    except CatalogError as error:
        file = error.file.replace(str(fetched.folder.resolve()), mask(reference.url))
        file = file.replace(str(fetched.folder), mask(reference.url))
        raise CatalogError(error.problem, file=file, model=error.model, key=error.key) from None
