"""Putting sources into the zoo folder, and taking them away, without losing weights on the way."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from ..catalog import fiftyone as fiftyone_format
from ..errors import CatalogError
from ..files.disk import storage_errors, write_whole
from ..files.paths import MANIFEST, STATE_DIR
from ..installation.receipts import Receipts
from ..model import Model
from ..source_code import consent
from ..sources import Book, Registered, book_path, manifests, present, registered, replaced
from .candidates import Candidate


class Removed(msgspec.Struct, frozen=True):
    """A source that was taken away, and its models whose files went with it."""

    source: Registered
    models: tuple[str, ...]


def record(zoo: Path, *, add: Sequence[Registered] = (), remove: Iterable[str] = ()) -> None:
    """Write down what has been put there or taken away; raises StorageError."""
    known = {source.name: source for source in present(zoo)}
    for name in remove:
        known.pop(name, None)
    known |= {source.name: source for source in add}
    with storage_errors(path := book_path(zoo)):
        write_whole(path, msgspec.json.encode(Book(1, tuple(known.values()))))


def complete_manifest(candidate: Candidate, url: str) -> None:
    """Write name and URL into the manifest, which is how FiftyOne knows a source; the rest stays."""
    path = candidate.folder / MANIFEST
    document = msgspec.json.decode(path.read_bytes().removeprefix(b"\xef\xbb\xbf"), type=_MEMBERS)
    wanted = {"name": candidate.name, "url": url}
    encoded = {key: msgspec.Raw(msgspec.json.encode(value)) for key, value in wanted.items()}
    if any(document.get(key) != value for key, value in encoded.items()):
        write_whole(path, msgspec.json.encode(document | encoded))


_MEMBERS = dict[str, msgspec.Raw]


def put(zoo: Path, candidate: Candidate, before: Registered | None, now: Registered) -> None:
    """Put one source in the place of its predecessor, and the weights that are still described back."""
    target, aside = zoo / now.name, replaced(zoo, now.name)
    models = candidate.models if candidate.format == "fiftyone" else ()
    with storage_errors(target):
        if before is not None:
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


def put_back(zoo: Path) -> None:
    """Undo or end what a killed run has begun: the weights may be nowhere else."""
    shutil.rmtree(_removed(zoo), ignore_errors=True)
    if not (everything := zoo / STATE_DIR / "replaced").is_dir():
        return
    for name in {*manifests(everything), *(source.name for source in registered(zoo))}:
        aside, target = replaced(zoo, name), zoo / name
        with storage_errors(target):
            if aside.is_dir() and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                aside.rename(target)
            elif aside.is_dir():
                with contextlib.suppress(CatalogError):
                    models = fiftyone_format.load(target, name, _ignore)
                    _carry_over(aside, target, _kept(zoo, models))
    shutil.rmtree(everything, ignore_errors=True)


def _removed(zoo: Path) -> Path:
    """Where folders go to be deleted file by file."""
    return zoo / STATE_DIR / "removed"


def _kept(zoo: Path, models: Iterable[Model]) -> list[str]:
    """What may be there of these models, as paths in their source's folder."""
    receipts, places = Receipts(zoo, foreign=True), []
    for model in models:
        places += fiftyone_format.weights(model)
        if receipt := receipts.load(model):
            places += [model.name_of(output.path) for output in receipt.outputs]
    return places


def _carry_over(old: Path, new: Path, places: Iterable[str]) -> None:
    """Move what is in these places, but for what the new source has there itself."""
    for place in places:
        if (old / place).is_dir() and (new / place).is_dir():
            inside = [name for name in os.listdir(old / place) if not consent.is_importable(name)]
            _carry_over(old, new, [f"{place}/{name}" for name in inside])
        elif os.path.lexists(old / place) and not os.path.lexists(new / place):
            (new / place).parent.mkdir(parents=True, exist_ok=True)
            (old / place).rename(new / place)


def _models(zoo: Path, source: Registered) -> list[Model]:
    """The models of a source that is there, as far as it can be read."""
    if source.format == "fiftyone":
        with contextlib.suppress(CatalogError):
            return fiftyone_format.load(source.path(zoo), source.name, _ignore)
    return []


def remove(zoo: Path, source: Registered) -> Removed:
    """Take a source away: at once, then file by file."""
    folder, aside = source.path(zoo), _removed(zoo) / source.name
    models, receipts = _models(zoo, source), Receipts(zoo, foreign=True)
    here = [
        m.name for m in models if any(os.path.lexists(folder / p) for p in fiftyone_format.weights(m))
    ]
    with storage_errors(folder):
        consent.revoke(folder.resolve())
        for model in models:
            receipts.remove(model)
        if folder.is_symlink():
            folder.unlink()
        elif folder.is_dir():
            aside.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(aside)
        record(zoo, remove=[source.name])
        shutil.rmtree(_removed(zoo), ignore_errors=True)
        remove_empty(folder.parent, zoo)
    return Removed(source, tuple(here))


def remove_empty(folder: Path, root: Path) -> None:
    """Remove the folder, and those above it up to the root, as far as they hold nothing."""
    with contextlib.suppress(OSError):
        while folder != root:
            folder.rmdir()
            folder = folder.parent


def _ignore(message: str) -> None:
    """Doubts are told whenever the source is used."""
