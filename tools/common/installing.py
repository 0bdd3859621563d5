"""Registering, refreshing and deleting sources: all of it is there at once, or nothing has changed."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from . import consent
from .catalog import BUILTIN, formats
from .catalog import fiftyone as fiftyone_format
from .catalog.manifest import MANIFEST, ManifestFile
from .claiming import claim
from .credentials import mask
from .disk import storage_errors, write_whole
from .engine import Engine
from .errors import CatalogError, ModelZooError, UnsafePathError
from .events import Notice
from .fetching import Fetched, fetch
from .model import Model
from .paths import STATE_DIR, clash, safe_path
from .receipts import Receipts
from .references import Reference, parse_reference
from .sources import Registered, from_reference, record, registered, replaced, require_named

_BUSY_POLL = 0.2  # seconds between looks at what another process holds
_NOT_IN_NAMES = frozenset("@,[]")


class Removed(msgspec.Struct, frozen=True):
    """A source that was taken away, and its models whose files went with it."""

    source: Registered
    models: tuple[str, ...]


class Change(msgspec.Struct, frozen=True):
    """What a registration did: sources that are there now, and those that are not any more."""

    sources: tuple[Registered, ...]
    removed: tuple[Removed, ...] = ()
    fetched: bool = True


class _Candidate(msgspec.Struct, frozen=True):
    """A source that was found in what came, under the name that it will have."""

    name: str
    folder: Path
    format: str
    models: tuple[Model, ...]


def register(text: str, zoo: Path, engine: Engine, *, refresh: bool, replace: bool) -> Change:
    """Register what a reference refers to; raises ModelZooError, and then nothing has changed.

    Known already it is only fetched again to `refresh` it; `replace` lets it take the names of
    sources that came from elsewhere.
    """
    reference = parse_reference(text)
    known = from_reference(registered(zoo), reference.key)
    if known and not refresh:
        return Change(tuple(known), fetched=False)
    with _alone(zoo, engine) as staging:
        sources = registered(zoo)
        known = from_reference(sources, reference.key)
        if known and not refresh:  # whoever changed them before us has registered it
            return Change(tuple(known), fetched=False)
        fetched = fetch(reference, staging, engine)
        found = _candidates(reference, fetched)
        old = [source for source in sources if source in known]
        _require_names(found, sources, old, zoo, replace)
        return _install(zoo, reference, fetched, found, old)


def refresh(text: str, zoo: Path, engine: Engine) -> Change:
    """Fetch the sources of a name or reference again; raises ModelZooError."""
    source = require_named(registered(zoo), text)[0]
    if source.reference is None:
        raise ModelZooError(f'nobody knows where the source "{source.name}" is from: register it again')
    if "***" in source.reference:
        raise ModelZooError(
            f"{source.reference}: what is secret in it was not kept; "
            "refresh it with register --refresh and the whole reference"
        )
    return register(source.reference, zoo, engine, refresh=True, replace=False)


def delete(text: str, zoo: Path, engine: Engine) -> tuple[Removed, ...]:
    """Remove the sources of a name or reference with all that is in their folders."""
    with _alone(zoo, engine):
        return tuple(_remove(zoo, source) for source in require_named(registered(zoo), text))


@contextlib.contextmanager
def _alone(zoo: Path, engine: Engine) -> Iterator[Path]:
    """A new folder to work in, while no other process changes the sources."""
    state = zoo / STATE_DIR
    with storage_errors(state):
        state.mkdir(parents=True, exist_ok=True)
    told = False
    while (reservation := claim(state / "sources")) is None:
        if not told:
            engine.report(Notice(message="another process changes the registered sources"))
            told = True
        engine.cancel.sleep(_BUSY_POLL)
    with reservation:
        try:
            _put_back(zoo)
            shutil.rmtree(state / "incoming", ignore_errors=True)  # of a run that was killed
            yield state / "incoming" / secrets.token_hex(4)
        finally:
            shutil.rmtree(state / "incoming", ignore_errors=True)
            reservation.discard()


def _candidates(reference: Reference, fetched: Fetched) -> list[_Candidate]:
    """The sources in what came, all of them read; raises CatalogError for any that is broken."""
    manifests = list(_find_manifests(fetched.folder))
    names = [_name_of(folder, reference, fetched) for folder in manifests]
    if two := clash(names):
        raise CatalogError(
            f'two manifests are called "{two[0]}" and "{two[1]}", which cannot both be there',
            file=reference.url,
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
        elif name.casefold() in BUILTIN:
            problem = f'"{name}" is one of the sources that come with the tools'
    except UnsafePathError as error:
        problem = str(error)
    if problem:
        raise CatalogError(problem, file=str(file), key="name")
    return name


def _read(name: str, folder: Path, reference: Reference, fetched: Fetched) -> _Candidate:
    with _as_fetched(reference, fetched):
        models = fiftyone_format.load(folder, name, _ignore)
    return _Candidate(name, folder, "fiftyone", tuple(models))


def _other_format(reference: Reference, fetched: Fetched) -> _Candidate:
    root, modules = fetched.folder, formats()
    module = next((m for m in modules if m is not fiftyone_format and m.recognises(root)), None)
    if module is None:
        problem = f"holds no {MANIFEST}, nor models of another known format"
        raise CatalogError(problem, file=reference.url)
    with _as_fetched(reference, fetched):
        name = _checked(reference.default_name, root)
        models = module.load(root, name, _ignore)
    return _Candidate(name, root, module.__name__.rpartition(".")[2], tuple(models))


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


def _require_names(
    found: Sequence[_Candidate],
    sources: Sequence[Registered],
    old: Sequence[Registered],
    zoo: Path,
    replace: bool,
) -> None:
    """Raise ModelZooError where a name is taken."""
    for candidate in found:
        name = candidate.name
        taken = next((s for s in sources if s.name == name), None)
        if taken and taken not in old and not replace:
            raise ModelZooError(
                f'a source called "{name}" is registered from {taken.reference or "elsewhere"}; '
                f"to replace it register this one with --replace, or delete the other one first"
            )
        others = [s.name for s in sources if s is not taken and s not in old]
        if two := clash([*others, name]):
            raise ModelZooError(f'a source "{two[1]}" cannot be beside the source "{two[0]}"')
        if taken is None and os.path.lexists(zoo / name):
            raise ModelZooError(f"{zoo / name} is there already, and is no source: move it away")


def _install(
    zoo: Path,
    reference: Reference,
    fetched: Fetched,
    found: Sequence[_Candidate],
    old: Sequence[Registered],
) -> Change:
    """Put everything in place; what came from the same reference before and is gone is removed."""
    now = datetime.now(timezone.utc).isoformat("T", "seconds")
    made = []
    for candidate in found:
        with storage_errors(candidate.folder):
            if candidate.format == "fiftyone":
                _complete_manifest(candidate, mask(reference.url))
            digest = consent.tree_digest(candidate.folder)
        made.append(
            Registered(
                name=candidate.name,
                reference=mask(reference.url),
                revision=fetched.revision or f"sha256:{digest}",
                date=now,
                digest=digest,
                format=candidate.format,
            )
        )
    before = {source.name: source for source in registered(zoo)}
    for candidate, source in zip(found, made, strict=True):
        _put(zoo, candidate, before.get(source.name), source)
    record(zoo, add=made)
    gone = [s for s in old if s.name not in {source.name for source in made}]
    return Change(tuple(made), tuple(_remove(zoo, source) for source in gone))


def _complete_manifest(candidate: _Candidate, url: str) -> None:
    """Write name and URL into the manifest, which is how FiftyOne knows a source; the rest stays."""
    path = candidate.folder / MANIFEST
    document = msgspec.json.decode(path.read_bytes().removeprefix(b"\xef\xbb\xbf"), type=_MEMBERS)
    wanted = {"name": candidate.name, "url": url}
    encoded = {key: msgspec.Raw(msgspec.json.encode(value)) for key, value in wanted.items()}
    if any(document.get(key) != value for key, value in encoded.items()):
        write_whole(path, msgspec.json.encode(document | encoded))


_MEMBERS = dict[str, msgspec.Raw]


def _put(zoo: Path, candidate: _Candidate, before: Registered | None, now: Registered) -> None:
    """Put one source in the place of its predecessor, and the weights that are still described back."""
    target, aside = zoo / now.name, replaced(zoo, now.name)
    models = candidate.models if candidate.format == "fiftyone" else ()
    with storage_errors(target):
        if before is not None:
            _forget_changed(zoo, before, models)
            if before.digest != now.digest:
                consent.revoke(target.resolve())
            kept = _kept(zoo, models)
            if target.is_dir():
                aside.parent.mkdir(parents=True, exist_ok=True)
                target.rename(aside)
        target.parent.mkdir(parents=True, exist_ok=True)
        candidate.folder.rename(target)
        if before is not None:
            _carry_over(aside, target, kept)
            shutil.rmtree(zoo / STATE_DIR / "replaced", ignore_errors=True)


def _put_back(zoo: Path) -> None:
    """Undo or end what a killed run has begun: weights are nowhere else."""
    if not (everything := zoo / STATE_DIR / "replaced").is_dir():
        return
    for source in registered(zoo):
        aside, target = replaced(zoo, source.name), zoo / source.name
        with storage_errors(target):
            if aside.is_dir() and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                aside.rename(target)
            elif aside.is_dir():
                with contextlib.suppress(CatalogError):
                    _carry_over(
                        aside, target, _kept(zoo, fiftyone_format.load(target, source.name, _ignore))
                    )
    shutil.rmtree(everything, ignore_errors=True)


def _kept(zoo: Path, models: Iterable[Model]) -> list[str]:
    """What may be there of these models, as paths in their source's folder."""
    receipts, places = Receipts(zoo, foreign=True), []
    for model in models:
        places += fiftyone_format.weights(model)
        if receipt := receipts.load(model):
            places += [model.name_of(output.path) for output in receipt.outputs]
    return places


def _carry_over(old: Path, new: Path, places: Iterable[str]) -> None:
    for place in places:
        if os.path.lexists(old / place) and not os.path.lexists(new / place):
            (new / place).parent.mkdir(parents=True, exist_ok=True)
            (old / place).rename(new / place)


def _forget_changed(zoo: Path, before: Registered, models: Iterable[Model]) -> None:
    """Where a model comes from elsewhere now, no receipt vouches for what came from there before."""
    old = {model.name: model for model in _models(zoo, before)}
    receipts = Receipts(zoo, foreign=True)
    for model in models:
        same = old.get(model.name)
        if same and same.model_info.get("manager") != model.model_info.get("manager"):
            receipts.forget(model)


def _models(zoo: Path, source: Registered) -> list[Model]:
    """The models of a source that is there, as far as it can be read."""
    if source.format == "fiftyone":
        with contextlib.suppress(CatalogError):
            return fiftyone_format.load(source.path(zoo), source.name, _ignore)
    return []


def _remove(zoo: Path, source: Registered) -> Removed:
    """Take a source away: at once, then file by file."""
    folder, aside = source.path(zoo), replaced(zoo, source.name)
    models, receipts = _models(zoo, source), Receipts(zoo, foreign=True)
    here = [
        m.name for m in models if any(os.path.lexists(folder / p) for p in fiftyone_format.weights(m))
    ]
    with storage_errors(folder):
        consent.revoke(folder.resolve())
        for model in models:
            receipts.forget(model)
        if folder.is_symlink():
            folder.unlink()
        elif folder.is_dir():
            aside.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(aside)
        record(zoo, remove=[source.name])
        shutil.rmtree(zoo / STATE_DIR / "replaced", ignore_errors=True)
        _remove_empty(folder.parent, zoo)
    return Removed(source, tuple(here))


def _remove_empty(folder: Path, zoo: Path) -> None:
    """Remove the folders above that hold nothing else."""
    with contextlib.suppress(OSError):
        while folder != zoo:
            folder.rmdir()
            folder = folder.parent
