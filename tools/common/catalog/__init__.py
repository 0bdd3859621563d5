"""The catalog: models of all active sources, in one list of values.

One module in this folder is one format. It offers `FORMAT`, `recognises(path)` and
`load(path, source, warn)`, and `shelve(source, warn)` where the models are not all to be read at once;
nothing else has to be changed to add one.
"""

from __future__ import annotations

import fnmatch
import itertools
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from ..errors import CatalogError, SelectionError
from ..model import Model
from ..selection import Filters, idle_exclusions, select
from ..variants import EVERY_VARIANT, Variants, alternatives
from ..versions import base_name
from . import omz
from .index import Entry, Index, listing, locate, open_index
from .source import BUILTIN as BUILTIN
from .source import NAMED as NAMED
from .source import SOURCE_VARIABLE as SOURCE_VARIABLE
from .source import URL_SOURCE as URL_SOURCE
from .source import Source as Source
from .source import Warn as Warn
from .source import active_sources as active_sources
from .source import builtin_tree as builtin_tree
from .source import format_of
from .source import formats as formats
from .source import plain_name as plain_name
from .source import wanted_sources as wanted_sources
from .stamps import stamp

# A checkout can change between versions.
_READERS = [stamp(os.path.join(omz.__path__[0], name)) for name in ("config.py", "origins.py")]


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
    entries = _listed(shelf.index.entries for shelf in shelves.values() if shelf.index)
    left_out = [name for shelf in shelves.values() for name in shelf.left_out]
    for doubt in idle_exclusions(entries, filters, left_out) if filters else ():
        warn(doubt)
    try:
        return Choice(shelves, select(entries, filters) if filters else entries)
    except SelectionError as error:
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
    return SelectionError(f"{error.message} No files for the backend {variants}: {names}.")


def _choose_quickly(shelves: Mapping[str, _Shelf], filters: Filters, warn: Warn) -> Choice | None:
    """The same from indexes alone, when few models have to be looked at.

    None where it takes more, and where there is an error: what is missing may have come meanwhile.
    """
    indexes = [shelf.index for shelf in shelves.values() if shelf.index]
    if len(indexes) < len(shelves) or not all(index.has_shape() for index in indexes):
        return None
    listed = [found for i in indexes if (found := _asked_for(i, filters)) is not None]
    if len(listed) < len(indexes):
        return None
    entries = _listed(listed)
    try:
        choice = Choice(shelves, select(entries, filters))
    except SelectionError:
        return None
    if any(idle_exclusions(entries, filters)) or not choice.is_right():
        return None
    for shelf in shelves.values():
        shelf.repeat_doubts(warn)
    return choice


def _asked_for(index: Index, filters: Filters) -> list[Entry] | None:
    """The entries that decide about these filters; None when they are damaged."""
    if filters.exclude:  # whether a pattern excludes nothing, all of them tell
        return index.entries if index.is_whole() else None
    return index.named(filters.patterns or ())


def _listed(lists: Iterable[list[Entry]]) -> list[Entry]:
    """The entries of all sources; where a name is not unique, their ids say the source."""
    several = list(lists)
    if len(several) == 1:
        return several[0]
    entries = list(itertools.chain.from_iterable(several))
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

    def __init__(self, source: Source, variants: Variants) -> None:
        self._source, self._root, self._variants = source, source.path.resolve(), variants
        self.left_out: list[str] = []
        key: tuple[Path | str | bytes, ...] = (self._root, source.name, *source.folders, *_READERS)
        known = source.format or source.models  # only trees have an index
        self._keep = None if known else locate(*key)
        reader = omz.reader(self._root, strict=bool(source.folders))
        self.index = self._keep and open_index(*self._keep, str(self._root), reader)

    def refresh(self, warn: Warn) -> None:
        """Bring the index up to date, which reads what has changed; raises CatalogError."""
        if self.index and not self.index.is_whole():
            self.index = None
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
        if source.models:
            self.index = listing(source.models)
            return
        module = omz if strict else format_of(source)
        if module is omz:
            tree = omz.Tree(self._root, source.folders, strict, warn)
            self.index = tree.read(source.name, index, self._keep)
        elif hasattr(module, "shelve"):
            self.index = module.shelve(source, warn)
        else:
            models = self._narrowed(module.load(source.path, source.name, warn), warn)
            if source.home:
                models = [msgspec.structs.replace(model, home=source.home) for model in models]
            self.index = listing(models)

    def _narrowed(self, models: Sequence[Model], warn: Warn) -> list[Model]:
        """The models with the files that are wanted; that there are none may be a slip of the pen."""
        narrowed = self._variants.narrowed(models)
        kept = {model.name for model in narrowed}
        self.left_out = [model.name for model in models if model.name not in kept]
        if models and not narrowed:
            known = ", ".join(alternatives(models, self._variants.backend))
            wanted = f"the backend {self._variants}"
            warn(f"{self._root}: no model is for {wanted}; its models are for {known}")
        return narrowed

    def repeat_doubts(self, warn: Warn) -> None:
        """Say again what there was to say when the config files were read."""
        for doubt in self.index.doubts() if self.index else ():
            warn(doubt)
