"""Registering, refreshing and deleting sources: all of it is there at once, or nothing has changed."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from ..errors import ModelZooError
from ..events import Notice
from ..files.claiming import claim
from ..files.disk import storage_errors
from ..files.paths import STATE_DIR, clash
from ..references import Reference, parse_reference
from ..source_code import consent
from ..sources import Registered, from_reference, registered, require_named
from ..transfer.engine import Engine
from ..web.credentials import mask
from .candidates import Candidate, candidates
from .fetching import Fetched, fetch
from .placing import Removed, complete_manifest, put, put_back, record, remove

_BUSY_POLL = 0.2  # seconds between looks at what another process holds


class Change(msgspec.Struct, frozen=True):
    """What a registration did: sources that are there now, and those that are not any more."""

    sources: tuple[Registered, ...]
    removed: tuple[Removed, ...] = ()
    fetched: bool = True


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
        found = candidates(reference, fetched)
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
        return tuple(remove(zoo, source) for source in require_named(registered(zoo), text))


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
            put_back(zoo)
            shutil.rmtree(state / "incoming", ignore_errors=True)  # of a run that was killed
            yield state / "incoming" / secrets.token_hex(4)
        finally:
            shutil.rmtree(state / "incoming", ignore_errors=True)
            reservation.discard()


def _require_names(
    found: Sequence[Candidate],
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
    found: Sequence[Candidate],
    old: Sequence[Registered],
) -> Change:
    """Put everything in place; what came from the same reference before and is gone is removed."""
    now = datetime.now(timezone.utc).isoformat("T", "seconds")
    made = []
    for candidate in found:
        with storage_errors(candidate.folder):
            if candidate.format == "fiftyone":
                complete_manifest(candidate, mask(reference.url))
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
        put(zoo, candidate, before.get(source.name), source)
    record(zoo, add=made)
    gone = [s for s in old if s.name not in {source.name for source in made}]
    return Change(tuple(made), tuple(remove(zoo, source) for source in gone))
