"""The catalog: models of all active sources, in one list of values.

One module in this folder is one format. It offers `recognises(path)` and `load(path, source, warn)`;
nothing else has to be changed to add one.
"""

from __future__ import annotations

import fnmatch
import importlib
import itertools
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..errors import CatalogError, SelectionError
from ..model import Model
from ..selection import Filters, select
from ..variants import EVERY_VARIANT, Variants, backends_of
from . import omz
from .index import Entry, Index, listing, locate, open_index, stamp

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


_READER = stamp(os.path.join(omz.__path__[0], "config.py"))  # a checkout can change between versions


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


def formats() -> list[Any]:
    """The modules that read a catalog format each."""
    modules = map(_module, _module_names())
    return [module for module in modules if hasattr(module, "recognises")]


def _module_names() -> list[str]:
    # pkgutil would list them too, but imports a lot for that.
    return sorted(path.stem for path in Path(__path__[0]).iterdir() if path.name[0] not in "_.")


def _module(name: str) -> Any:
    return importlib.import_module(f".{name}", __name__)


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
        own = [name for variable, name in OWN_MODELS.items() if environ.get(variable, "").strip()]
        names = ["builtin", *own] if own else list(BUILTIN)
    sources: dict[str, Source] = {}
    for source in dict.fromkeys(_source(name, environ) for name in names):
        name, number = source.name, 2
        while name in sources:
            name, number = f"{source.name}-{number}", number + 1
        sources[name] = msgspec.structs.replace(source, name=name)
    return tuple(sources.values())


def _source(name: str, environ: Mapping[str, str]) -> Source:
    """A source by its name: ours, one whose place its format knows, or a folder."""
    if name in BUILTIN:
        return Source(name, builtin_tree(), BUILTIN[name])
    if name in _module_names() and hasattr(module := _module(name), "default_folder"):
        return Source(name, module.default_folder(environ).resolve(), format=name)
    return _place(name)


def _place(text: str) -> Source:
    if not text or not os.path.exists(path := os.path.expanduser(text)):
        raise SelectionError(
            f'No such source: "{text}". A source is a folder with models, a list of URLs, or '
            f"{' or '.join(NAMED)}."
        )
    real = Path(path).resolve()
    # The name is part of qualified model names, which are patterns and lines of listings too.
    return Source(re.sub(r"[^\w.-]+", "-", real.name if real.is_dir() else real.stem) or "root", real)


def load_catalog(sources: Sequence[Source], warn: Warn) -> list[Model]:
    """The models of these sources, in their order; raises CatalogError.

    Each one's `id` is its bare name, or `<source>:<name>` where another source has that name too.
    """
    return list(choose(sources, None, warn).models())


def choose(
    sources: Sequence[Source],
    filters: Filters | None,
    warn: Warn,
    variants: Variants = EVERY_VARIANT,
) -> Choice:
    """The models that the filters mean, None: all; raises CatalogError or SelectionError.

    Those whose files are all of other variants are not there.
    """
    shelves = {source.name: _Shelf(source, variants) for source in sources}
    if filters and filters.by_name_alone and (choice := _choose_quickly(shelves, filters, warn)):
        return choice
    for shelf in shelves.values():
        shelf.refresh(warn)
    entries = _listed(shelves.values())
    try:
        return Choice(shelves, select(entries, filters) if filters else entries)
    except SelectionError as error:
        left_out = [name for shelf in shelves.values() for name in shelf.left_out]
        raise _explained(error, filters, left_out, variants) from None


def _explained(
    error: SelectionError, filters: Filters | None, left_out: Sequence[str], variants: Variants
) -> SelectionError:
    """The error, and that a model was meant which has files, but not for this backend."""
    patterns = (filters.patterns if filters else None) or ()
    meant = [name for name in left_out if any(fnmatch.fnmatchcase(name, p) for p in patterns)]
    if not meant:
        return error
    names = f"{', '.join(meant[:3])}{' …' if len(meant) > 3 else ''}"
    return SelectionError(f"{error.message} No files for the backend {variants.backend}: {names}.")


def _choose_quickly(shelves: Mapping[str, _Shelf], filters: Filters, warn: Warn) -> Choice | None:
    """The same from indexes alone, when few models have to be looked at.

    None where it takes more, and where there is an error: what is missing may have come meanwhile.
    """
    if not all(shelf.index and shelf.index.has_shape() for shelf in shelves.values()):
        return None
    try:
        choice = Choice(shelves, select(_listed(shelves.values()), filters))
    except SelectionError:
        return None
    if not choice.is_right():
        return None
    for shelf in shelves.values():
        shelf.repeat_doubts(warn)
    return choice


def _listed(shelves: Iterable[_Shelf]) -> list[Entry]:
    """The entries of all sources; where a name is not unique, their ids say the source."""
    indexes = [shelf.index for shelf in shelves if shelf.index]
    if len(indexes) == 1:
        return indexes[0].entries
    entries = [entry for index in indexes for entry in index.entries]
    count = Counter(entry.name for entry in entries)
    return [
        e if count[e.name] == 1 else msgspec.structs.replace(e, id=f"{e.source}:{e.name}")
        for e in entries
    ]


class Choice:
    """Models that were chosen: their names, and the rest of them when it is asked for."""

    def __init__(self, shelves: Mapping[str, _Shelf], entries: Sequence[Entry]) -> None:
        self._shelves, self._entries = shelves, entries

    @property
    def ids(self) -> list[str]:
        """What the models are called among the active sources."""
        return [entry.id for entry in self._entries]

    def models(self) -> Iterator[Model]:
        """The models, one by one."""
        for index, entries in self._by_index():
            yield from index.models(entries)

    def is_right(self) -> bool:
        """Whether the indexes are right about these models, whatever else has changed."""
        unique = all(entry.id == entry.name for entry in self._entries)  # or others matter too
        return unique and all(index.holds(entries) for index, entries in self._by_index())

    def _by_index(self) -> Iterator[tuple[Index, Iterator[Entry]]]:
        for source, entries in itertools.groupby(self._entries, lambda entry: entry.source):
            if index := self._shelves[source].index:
                yield index, entries


class _Shelf:
    """One source: the index that was kept of it, if any, until it is brought up to date."""

    def __init__(self, source: Source, variants: Variants) -> None:
        self._source, self._root, self._variants = source, source.path.resolve(), variants
        self.left_out: list[str] = []
        key: tuple[Path | str | bytes, ...] = (self._root, source.name, *source.folders, _READER)
        known = source.format or source.models  # only trees have an index
        self._keep = None if known else locate(*key)
        reader = omz.reader(self._root, strict=bool(source.folders))
        self.index = self._keep and open_index(*self._keep, str(self._root), reader)

    def refresh(self, warn: Warn) -> None:
        """Bring the index up to date, which reads what has changed; raises CatalogError."""
        index = self.index
        if index and index.has_shape() and index.holds(index.entries):
            self.repeat_doubts(warn)
            return
        source, strict = self._source, bool(self._source.folders)
        if source.models:
            self.index = listing(source.models)
            return
        module = omz if strict else _format_of(source)
        if module is omz:
            tree = omz.Tree(self._root, source.folders, strict, warn)
            self.index = tree.read(source.name, index, self._keep)
        else:
            models = module.load(source.path, source.name, warn)
            self.index = listing(self._narrowed(models, warn))

    def _narrowed(self, models: Sequence[Model], warn: Warn) -> list[Model]:
        """The models with the files that are wanted; that there are none may be a slip of the pen."""
        narrowed = self._variants.narrowed(models)
        kept = {model.name for model in narrowed}
        self.left_out = [model.name for model in models if model.name not in kept]
        if models and not narrowed:
            known, backend = ", ".join(backends_of(models)), self._variants.backend
            warn(f"{self._root}: no model is for the backend {backend}; its models are for {known}")
        return narrowed

    def repeat_doubts(self, warn: Warn) -> None:
        """Say again what there was to say when the config files were read."""
        for doubt in self.index.doubts() if self.index else ():
            warn(doubt)


def _format_of(source: Source) -> Any:
    if source.format:
        return _module(source.format)
    path = source.path
    modules = formats()
    if found := next((module for module in modules if module.recognises(path)), None):
        return found
    known = ", ".join(module.FORMAT for module in modules)
    raise CatalogError(f"holds no models of a known format ({known})", file=str(path))
