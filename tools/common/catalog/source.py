"""The places that declare models: which of them are active, and which format each has."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..errors import CatalogError, SelectionError
from ..model import Model

Warn = Callable[[str], None]

BUILTIN = {"builtin": ("public", "intel"), "demo": ("demo",)}
"""The sources that come with the tools, and their folders in the built-in tree."""

NAMED = (*BUILTIN, "topaz")
"""Sources that need no path."""

SOURCE_VARIABLE = "MODELZOO_SOURCE"
"""Holds the default for `--source`, one source a line."""

URL_SOURCE = "urls"
"""What the source of models is called that are given as URLs."""

OWN_MODELS = {"TVAI_MODEL_DIR": "topaz"}
"""Variables that say that the user has models of their own, and the format that knows where.

Its source is active then, and the demo steps aside.
"""


class Source(msgspec.Struct, frozen=True):
    """A place that declares models: its name in qualified model names, and the folder or file."""

    name: str
    path: Path
    folders: tuple[str, ...] = ()
    """Only these of its top folders; such a source is ours, and held to the format's lists."""
    format: str = ""
    """The module that reads it, where that is certain; otherwise the modules are asked."""
    models: tuple[Model, ...] = ()
    """The models themselves, where nothing has to be read to know them."""
    home: str = ""
    """The `home` of its models, where the format does not say it."""
    url: str = ""
    """Where it is, when that is no path."""
    offline: bool = False
    """Whether nobody may be asked for it over the network."""
    lenient: bool = False
    """Whether its errors are only warned about: it was not asked for, and others can do without it."""


def formats() -> list[Any]:
    """The modules that read a catalog format each."""
    modules = map(_module, _module_names())
    return [module for module in modules if hasattr(module, "recognises")]


def format_of(source: Source) -> Any:
    """The module that reads this source; raises CatalogError where none can."""
    if source.format:
        return _module(source.format)
    path = source.path
    modules = formats()
    if found := next((module for module in modules if module.recognises(path)), None):
        return found
    _require_readable(path)
    known = ", ".join(module.FORMAT for module in modules)
    raise CatalogError(f"holds no models of a known format ({known})", file=str(path))


def _require_readable(root: Path) -> None:
    """Raise CatalogError where a folder cannot be looked into: nobody knows what it holds."""
    from ..files.disk import walk

    try:
        for _, folders, _ in walk(root):
            folders[:] = [name for name in folders if name[0] != "."]
    except (NotADirectoryError, FileNotFoundError):
        pass  # a list, or gone meanwhile
    except OSError as error:
        raise CatalogError(
            f"cannot be read: {error.strerror}", file=str(Path(error.filename))
        ) from None


def _module_names() -> list[str]:
    # pkgutil would list them too, but imports a lot for that.
    here = Path(__file__).parent
    return sorted(path.stem for path in here.iterdir() if path.name[0] not in "_.")


def _module(name: str) -> Any:
    return importlib.import_module(f".{name}", __package__)


def builtin_tree() -> Path:
    """The built-in tree: in the installed package, else beside the checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "models"
    return inside if inside.is_dir() else package.parent.parent / "models"


def active_sources(
    wanted: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
    registered: Sequence[Source] = (),
) -> tuple[Source, ...]:
    """The sources named by `--source`, else by the environment, else the built-in and registered ones.

    Raises SelectionError for one that does not exist.
    """
    known = {source.name: source for source in registered}
    if names := wanted_sources(wanted, environ):
        found = [_source(name, environ, known) for name in names]
    else:
        own = [name for variable, name in OWN_MODELS.items() if environ.get(variable, "").strip()]
        ours = ["builtin", *own] if own else list(BUILTIN)
        found = [_source(name, environ, {}) for name in ours]
        found += [msgspec.structs.replace(source, lenient=True) for source in registered]
    sources: dict[str, Source] = {}
    for source in dict.fromkeys(found):
        name, number = source.name, 2
        while name in sources:
            name, number = f"{source.name}-{number}", number + 1
        sources[name] = msgspec.structs.replace(source, name=name)
    return tuple(sources.values())


def wanted_sources(wanted: Sequence[str] = (), environ: Mapping[str, str] = os.environ) -> list[str]:
    """What was asked for by `--source`, else by the environment; nothing where nothing was."""
    lines = map(str.strip, environ.get(SOURCE_VARIABLE, "").splitlines())
    return list(wanted) or list(filter(None, lines))


def _is_repository(text: str) -> bool:
    """Whether this is the URL of a place that only repositories can be at."""
    scheme, found, _ = text.partition("://")
    if not found or scheme.lower() in ("http", "https", "file"):
        return False
    from ..registry.storage import schemes

    return scheme.lower() in schemes()


def _source(name: str, environ: Mapping[str, str], registered: Mapping[str, Source]) -> Source:
    """A source by its name: ours, one whose place its format knows, a registered one, or a path."""
    if name in BUILTIN:
        return Source(name, builtin_tree(), BUILTIN[name])
    if name in _module_names() and hasattr(module := _module(name), "default_folder"):
        return Source(name, module.default_folder(environ).resolve(), format=name)
    if name not in registered and _is_repository(name):
        return Source(plain_name(name.rstrip("/")), Path(), format="audmodel", url=name)
    return registered.get(name) or _place(name)


def plain_name(text: str) -> str:
    """The end of a path as the name of a source: part of patterns, and of lines of listings."""
    return re.sub(r"[^\w.-]+", "-", text.rpartition("/")[2]) or "root"


def _place(text: str) -> Source:
    if not text or not os.path.exists(path := os.path.expanduser(text)):
        raise SelectionError(
            f'No such source: "{text}". A source is a folder with models, a list of URLs, one that '
            f"sources.py has registered, or {' or '.join(NAMED)}."
        )
    real = Path(path).resolve()
    return Source(plain_name(real.name if real.is_dir() else real.stem), real)
