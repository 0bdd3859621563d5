"""Registered sources: what is in the zoo folder, which FiftyOne may use as well, and from where.

A source is a folder below the zoo folder, named by its path there. What these tools know about one
is in `.modelzoo/sources.json`; of one that FiftyOne has put there its own manifest says enough.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from .catalog import NAMED, Source, Warn, active_sources, choose, plain_name, wanted_sources
from .errors import CatalogError, SelectionError, UnsafePathError, UsageError
from .files.paths import MANIFEST, STATE_DIR, safe_path
from .model import Model

ZOO_VARIABLES = ("MODELZOO_ZOO_DIR", "FIFTYONE_MODEL_ZOO_DIR")
MAX_BYTES = 16 << 20
_FOLLOWED = 10_000  # folders that are looked into; more is no zoo


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """One registered source: `revision` is a commit or a digest, `digest` that of all its files."""

    name: str
    reference: str | None
    revision: str | None = None
    date: str
    digest: str | None = None
    format: str = "fiftyone"

    def path(self, zoo: Path) -> Path:
        """Where it is."""
        return zoo / self.name


class Book(msgspec.Struct, frozen=True):
    """The record of what these tools have registered."""

    schema: int
    sources: tuple[Registered, ...]


def zoo_dir() -> Path:
    """The folder of the registered sources and their models."""
    named = next(filter(None, (os.environ.get(v, "").strip() for v in ZOO_VARIABLES)), None)
    if named:
        return Path(os.path.abspath(os.path.expanduser(named)))
    if sys.platform == "linux":  # what platformdirs would say; to import it takes its time
        for variable, below in (("XDG_DATA_HOME", ""), ("HOME", ".local/share")):
            if os.path.isabs(home := os.environ.get(variable, "")):
                return Path(home, below, "modelzoo", "zoo")
    import platformdirs

    return platformdirs.user_data_path("modelzoo") / "zoo"


def registered(zoo: Path) -> list[Registered]:
    """What is registered, by name; raises CatalogError when the record cannot be read."""
    try:
        with os.scandir(zoo) as entries:
            names = [entry.name for entry in entries]
    except OSError:
        return []
    known = {source.name: source for source in present(zoo)} if STATE_DIR in names else {}
    found = dict.fromkeys(_manifests(zoo, names, known))
    known |= {n: _unrecorded(zoo, n) for n in found if n not in known and _is_safe(n)}
    return sorted(known.values(), key=lambda source: source.name)


def present(zoo: Path) -> Iterator[Registered]:
    """The recorded sources that are there: FiftyOne deletes some, and cannot tell us."""
    for source in _records(zoo):
        if source.path(zoo).is_dir() or replaced(zoo, source.name).is_dir():
            yield source


def replaced(zoo: Path, name: str) -> Path:
    """Where the folder of a source is while another one takes its place."""
    return zoo / STATE_DIR / "replaced" / name


def _records(zoo: Path) -> tuple[Registered, ...]:
    path = book_path(zoo)
    try:
        with path.open("rb") as file:
            book = msgspec.json.decode(file.read(MAX_BYTES), type=Book)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, RecursionError) as error:
        problem = f"cannot be read ({error}); remove it, and register the sources again"
        raise CatalogError(problem, file=str(path)) from None
    for source in book.sources:
        _require_safe(source.name, path)
    return book.sources


def _require_safe(name: str, path: Path) -> None:
    """Whoever shares the folder could have written the record."""
    try:
        safe_path(name)
    except UnsafePathError as error:
        raise CatalogError(str(error), file=str(path)) from None


def book_path(zoo: Path) -> Path:
    """Where the record is."""
    return zoo / STATE_DIR / "sources.json"


def manifests(root: Path) -> list[str]:
    """The folders with a manifest below this one, by their relative paths."""
    try:
        return list(_manifests(root, os.listdir(root), ()))
    except OSError:
        return []


def _manifests(zoo: Path, tops: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    """The folders with a manifest, as FiftyOne finds them; what is known is not looked into."""
    passed = set(known)
    seen: set[tuple[int, int]] = set()
    rest = [name for name in sorted(tops, reverse=True) if name[0] != "."]
    while rest and len(seen) < _FOLLOWED:
        name = rest.pop()
        with contextlib.suppress(OSError):
            path = os.path.join(zoo, name)
            stat = os.stat(path)
            if name in passed or (stat.st_dev, stat.st_ino) in seen:
                continue
            with os.scandir(path) as entries:
                below = {e.name: e.is_dir() for e in entries}
            seen.add((stat.st_dev, stat.st_ino))
            if below.get(MANIFEST) is False:
                yield name
            else:
                folders = sorted((n for n, is_folder in below.items() if is_folder), reverse=True)
                rest += [f"{name}/{folder}" for folder in folders if folder[0] != "."]


def _is_safe(name: str) -> bool:
    with contextlib.suppress(UnsafePathError):
        return bool(safe_path(name))
    return False


def _unrecorded(zoo: Path, name: str) -> Registered:
    """A source that somebody else has put there."""
    from datetime import datetime, timezone

    from .web.credentials import mask

    path, url, changed = zoo / name / MANIFEST, None, 0.0
    with contextlib.suppress(OSError, ValueError, RecursionError):
        changed = path.stat().st_mtime
        with path.open("rb") as file:
            url = msgspec.json.decode(file.read(MAX_BYTES), type=_Origin).url
    date = datetime.fromtimestamp(changed, timezone.utc).isoformat("T", "seconds")
    return Registered(name=name, reference=mask(url) if url else None, date=date)


class _Origin(msgspec.Struct):
    url: str | None = None


def named(sources: Sequence[Registered], text: str) -> list[Registered]:
    """The sources of this name or reference; none where there are none."""
    if found := [source for source in sources if source.name == text]:
        return found
    from .references import parse_reference

    try:
        key = parse_reference(text).key
    except UsageError:
        return []
    return from_reference(sources, key)


def from_reference(sources: Iterable[Registered], key: str) -> list[Registered]:
    """The sources that came from the reference with this key."""
    return [source for source in sources if source.reference and _key(source.reference) == key]


def _key(reference: str) -> str:
    from .references import parse_reference

    try:
        return parse_reference(reference).key
    except UsageError:
        return reference


def require_named(sources: Sequence[Registered], text: str) -> list[Registered]:
    """The same; SelectionError, with names that are near, where there are none."""
    if found := named(sources, text):
        return found
    import difflib

    names = [source.name for source in sources]
    near = difflib.get_close_matches(text, names, n=3) or names[:3]
    raise SelectionError(f'No registered source: "{text}".', near)


def catalog_sources(zoo: Path, sources: Iterable[Registered]) -> tuple[Source, ...]:
    """The sources as the catalog takes them; one whose folder has gone is left out."""
    return tuple(
        _as_fiftyone(zoo, s) if s.format == "fiftyone" else Source(s.name, s.path(zoo))
        for s in sources
        if s.path(zoo).is_dir() and s.name not in NAMED
    )


def _as_fiftyone(zoo: Path, source: Registered) -> Source:
    """A source whose models FiftyOne looks for in its own folder."""
    return Source(source.name, source.path(zoo), format="fiftyone", home=str(zoo))


def active(wanted: Sequence[str] = ()) -> tuple[Source, ...]:
    """The sources that are asked for, registered ones also by their references; else all known ones.

    Raises SelectionError for one that does not exist, CatalogError for a broken record.
    """
    zoo, wanted = zoo_dir(), wanted_sources(wanted)
    sources = registered(zoo)
    known = list(catalog_sources(zoo, sources))
    names: list[str] = []
    for text in wanted:
        found = [] if text in NAMED or os.path.isdir(text) else named(sources, text)
        if not found and not os.path.exists(text) and (repository := as_repository(text)):
            known.append(repository)
            text = repository.name
        names += [source.name for source in found] or [text]
    return active_sources(names, registered=known)


def as_repository(text: str) -> Source | None:
    """The source that a configured repository of this name or URL is; raises CatalogError."""
    if text in NAMED:
        return None
    from .registry.configuration import configured, repositories, resolve

    if text not in {*(entry.name for entry in configured()), *repositories()}:
        return None
    url = resolve(text)
    name = plain_name((text if "://" not in text else url).rstrip("/"))
    if "://" in url:
        return Source(name, Path(), format="audmodel", url=url)
    return Source(name, Path(url).expanduser(), format="audmodel")


def every_model(wanted: Sequence[str], warn: Warn) -> Iterator[Model]:
    """All models of the sources that are asked for, with the files for every backend.

    Raises CatalogError where any cannot be read, registered or not: it may name what is in use.
    """
    sources = (msgspec.structs.replace(source, lenient=False) for source in active(wanted))
    return choose(tuple(sources), None, warn).models()
