"""The catalog: models of all active sources, in one list of values.

One module in this folder is one format. It offers `recognises(path)` and `load(path, source, warn)`;
nothing else has to be changed to add one.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..errors import CatalogError, SelectionError
from ..model import Model
from . import omz

Warn = Callable[[str], None]

BUILTIN = {"builtin": ("public", "intel"), "demo": ("demo",)}
"""The sources that come with the tools, and their folders in the built-in tree."""

SOURCE_VARIABLE = "MODELZOO_SOURCE"
"""Holds the default for `--source`, one source a line."""

OWN_MODELS = ("TVAI_MODEL_DIR",)
"""Variables that say that the user has models of their own; the demo steps aside then."""


class Source(msgspec.Struct, frozen=True):
    """A place that declares models: its name in qualified model names, and the folder."""

    name: str
    path: Path
    folders: tuple[str, ...] = ()
    """Only these of its top folders; such a source is ours, and held to the format's lists."""


def formats() -> list[Any]:
    """The modules that read a catalog format each."""
    return [importlib.import_module(f".{m.name}", __name__) for m in pkgutil.iter_modules(__path__)]


def builtin_tree() -> Path:
    """The built-in tree: in the installed package, else beside the checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "models"
    return inside if inside.is_dir() else package.parent.parent / "models"


def active_sources(
    wanted: Sequence[str] = (), environ: Mapping[str, str] = os.environ
) -> tuple[Source, ...]:
    """The sources named by `--source`, else by the environment, else the built-in ones.

    Raises SelectionError for one that does not exist.
    """
    lines = map(str.strip, environ.get(SOURCE_VARIABLE, "").splitlines())
    if not (names := list(wanted) or list(filter(None, lines))):
        names = ["builtin"] if any(map(environ.get, OWN_MODELS)) else list(BUILTIN)
    sources: dict[str, Source] = {}
    for source in dict.fromkeys(_builtin(n) if n in BUILTIN else _folder(n) for n in names):
        name, number = source.name, 2
        while name in sources:
            name, number = f"{source.name}-{number}", number + 1
        sources[name] = msgspec.structs.replace(source, name=name)
    return tuple(sources.values())


def _builtin(name: str) -> Source:
    return Source(name, builtin_tree(), BUILTIN[name])


def _folder(text: str) -> Source:
    if not text or not os.path.isdir(path := os.path.expanduser(text)):
        raise SelectionError(
            f'No such source: "{text}". A source is a folder with models, or {" or ".join(BUILTIN)}.'
        )
    real = Path(path).resolve()
    # The name is part of qualified model names, which are patterns and lines of listings too.
    return Source(re.sub(r"[^\w.-]+", "-", real.name) or "root", real)


def load_catalog(sources: Sequence[Source], warn: Warn) -> list[Model]:
    """The models of these sources, in their order; raises CatalogError.

    Each one's `id` is its bare name, or `<source>:<name>` where another source has that name too.
    """
    models = [model for source in sources for model in _load(source, warn)]
    count = Counter(model.name for model in models)
    return [
        model if count[model.name] == 1 else msgspec.structs.replace(model, id=model.qualified)
        for model in models
    ]


def _load(source: Source, warn: Warn) -> list[Model]:
    if source.folders:
        return omz.load(source.path, source.name, warn, source.folders, strict=True)
    for module in formats():
        if module.recognises(source.path):
            models: list[Model] = module.load(source.path, source.name, warn)
            return models
    known = ", ".join(module.FORMAT for module in formats())
    raise CatalogError(f"holds no models of a known format ({known})", file=str(source.path))
