"""The catalog: models of all active sources, in one list of values.

One module in this folder is one format. It offers `recognises(path)` and `load(path, source, warn)`;
nothing else has to be changed to add one.
"""

from __future__ import annotations

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
from ..versions import base_name
from . import omz
from .index import Entry, Index, listing, locate, open_index, stamp

Warn = Callable[[str], None]

BUILTIN = {"builtin": ("public", "intel"), "demo": ("demo",)}
"""The sources that come with the tools, and their folders in the built-in tree."""

SOURCE_VARIABLE = "MODELZOO_SOURCE"
"""Holds the default for `--source`, one source a line."""

OWN_MODELS = ("TVAI_MODEL_DIR",)
"""Variables that say that the user has models of their own; the demo steps aside then."""


_READER = stamp(os.path.join(omz.__path__[0], "config.py"))  # a checkout can change between versions


class Source(msgspec.Struct, frozen=True):
    """A place that declares models: its name in qualified model names, and the folder."""

    name: str
    path: Path
    folders: tuple[str, ...] = ()
    """Only these of its top folders; such a source is ours, and held to the format's lists."""
    home: str = ""
    """The `home` of its models."""
    lenient: bool = False
    """Whether its errors are only warned about: it was not asked for, and others can do without it."""


def formats() -> list[Any]:
    """The modules that read a catalog format each."""
    # pkgutil would list them too, but imports a lot for that.
    names = sorted(path.stem for path in Path(__path__[0]).iterdir() if path.name[0] not in "_.")
    modules = [importlib.import_module(f".{name}", __name__) for name in names]
    return [module for module in modules if hasattr(module, "recognises")]


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
        found = [_builtin(n) if n in BUILTIN else known.get(n) or _folder(n) for n in names]
    else:
        ours = ["builtin"] if any(map(environ.get, OWN_MODELS)) else list(BUILTIN)
        found = [_builtin(name) for name in ours]
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


def _builtin(name: str) -> Source:
    return Source(name, builtin_tree(), BUILTIN[name])


def _folder(text: str) -> Source:
    if not text or not os.path.isdir(path := os.path.expanduser(text)):
        raise SelectionError(
            f'No such source: "{text}". A source is a folder with models, one that sources.py has '
            f"registered, or {' or '.join(BUILTIN)}."
        )
    real = Path(path).resolve()
    # The name is part of qualified model names, which are patterns and lines of listings too.
    return Source(re.sub(r"[^\w.-]+", "-", real.name) or "root", real)


def load_catalog(sources: Sequence[Source], warn: Warn) -> list[Model]:
    """The models of these sources, in their order; raises CatalogError.

    Each one's `id` is its bare name, or `<source>:<name>` where another source has that name too.
    """
    return list(choose(sources, None, warn).models())


def choose(sources: Sequence[Source], filters: Filters | None, warn: Warn) -> Choice:
    """The models that the filters mean, None: all; raises CatalogError or SelectionError."""
    shelves = {source.name: _Shelf(source) for source in sources}
    if filters and filters.by_name_alone and (choice := _choose_quickly(shelves, filters, warn)):
        return choice
    for shelf in shelves.values():
        shelf.refresh(warn)
    entries = _listed(shelves.values())
    return Choice(shelves, select(entries, filters) if filters else entries)


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
    # A name that is another source's without a version means both.
    count.update({base_name(entry.name, entry.version) for entry in entries if "@" in entry.name})
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

    def __init__(self, source: Source) -> None:
        self._source, self._root = source, source.path.resolve()
        self._keep = locate(self._root, source.name, *source.folders, _READER)
        reader = omz.reader(self._root, strict=bool(source.folders))
        self.index = self._keep and open_index(*self._keep, str(self._root), reader)

    def refresh(self, warn: Warn) -> None:
        """Bring the index up to date, which reads what has changed; raises CatalogError."""
        index = self.index
        if index and index.has_shape() and index.holds(index.entries):
            self.repeat_doubts(warn)
            return
        try:
            self._read(warn)
        except CatalogError as error:
            if not self._source.lenient:
                raise
            warn(f"the source {self._source.name} is left out: {error}")
            self.index = None

    def _read(self, warn: Warn) -> None:
        source, strict, index = self._source, bool(self._source.folders), self.index
        module = omz if strict else _format_of(source.path)
        if module is omz:
            tree = omz.Tree(self._root, source.folders, strict, warn)
            self.index = tree.read(source.name, index, self._keep)
        else:
            models = module.load(source.path, source.name, warn)
            self.index = listing(msgspec.structs.replace(m, home=source.home) for m in models)

    def repeat_doubts(self, warn: Warn) -> None:
        """Say again what there was to say when the config files were read."""
        for doubt in self.index.doubts() if self.index else ():
            warn(doubt)


def _format_of(path: Path) -> Any:
    modules = formats()
    if found := next((module for module in modules if module.recognises(path)), None):
        return found
    known = ", ".join(module.FORMAT for module in modules)
    raise CatalogError(f"holds no models of a known format ({known})", file=str(path))
