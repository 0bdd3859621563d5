"""What URLs gave, and what is here already, is kept in the cache; a note leads there from the URL."""

from __future__ import annotations

import os
from datetime import datetime, timezone

import msgspec

from ..cache.entries import Cache
from ..cache.url_notes import UrlNote
from ..checksum import CHUNK, Checksum
from ..errors import StorageError
from ..events import Notice
from ..files.disk import read_at
from ..files.partial import Partial
from .cached import keep as keep_bytes
from .engine import Delivery, Engine, Job


def keep(
    job: Job,
    delivery: Delivery,
    engine: Engine,
    cache: Cache,
    reservation: Partial,
    checksum: Checksum,
) -> None:
    """Keep what a URL gave, and only then remember that it did; a failure is only a notice."""
    if not cache.holds(checksum):
        keep_bytes(job, delivery, engine, cache, reservation, checksum)
    if cache.holds(checksum):
        remember(job, delivery, cache, engine)


def prime(job: Job, delivery: Delivery, engine: Engine) -> None:
    """The same for a file that is at its destination already, when the cache has not got it."""
    cache, checksum = engine.cache, delivery.checksum
    if cache is None or checksum is None:
        return
    if not cache.holds(checksum):
        _keep_found(job, delivery, checksum, cache, engine)
    unpublished = job.file.checksum is None
    if unpublished and cache.holds(checksum) and not cache.noted(job.addresses):
        remember(job, delivery, cache, engine)


def remember(job: Job, delivery: Delivery, cache: Cache, engine: Engine) -> None:
    """Note what the URL gave; a failure is only a notice."""
    if delivery.url is None or delivery.checksum is None:
        return
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    what = delivery.size, delivery.checksum, delivery.verified, delivery.validator
    note = UrlNote(delivery.url, job.title, *what, now)
    try:
        cache.notes.write(note)
    except StorageError as error:
        if cache.first_failure(f"note {error.reason}"):
            engine.report(Notice(message=f"the cache does not remember {note.url}: {error}"))


def _keep_found(job: Job, delivery: Delivery, checksum: Checksum, cache: Cache, engine: Engine) -> None:
    """Keep the file if it has this checksum still; not while another process does the same."""
    try:
        reservation = cache.reserve(checksum)
    except StorageError as error:
        if cache.first_failure(error.reason):
            engine.report(Notice(message=f"the cache was not filled: {error}"))
        return
    if reservation is None:
        return
    with reservation:
        if not delivery.mtime_ns and not cache.links:
            _copy_verified(job, checksum, cache, reservation, engine)
        # What was adopted has just been read; what shares its bytes with the cache is not copied.
        elif looked := delivery.mtime_ns or _proven_at(job, checksum, engine):
            delivery = msgspec.structs.replace(delivery, mtime_ns=looked)
            if not cache.holds(checksum):
                keep_bytes(job, delivery, engine, cache, reservation, checksum)
        reservation.discard()


def _copy_verified(
    job: Job, checksum: Checksum, cache: Cache, reservation: Partial, engine: Engine
) -> None:
    """Copy a file that a receipt vouches for, unless another process has done so meanwhile."""
    if cache.holds(checksum):
        return
    try:
        cache.fill(reservation, checksum, job.destination, None, engine.cancel.check)
    except StorageError as error:
        if cache.first_failure(error.reason):
            engine.report(Notice(message=f"the cache was not filled: {error}"))


def _proven_at(job: Job, checksum: Checksum, engine: Engine) -> int | None:
    """The time (ns) that the file had before it was read, if it has this checksum."""
    hasher, offset = checksum.hasher(), 0
    try:
        with job.destination.open("rb", buffering=0) as file:
            modified = os.fstat(file.fileno()).st_mtime_ns
            while chunk := read_at(file.fileno(), CHUNK, offset):
                engine.cancel.check()
                hasher.update(chunk)
                offset += len(chunk)
    except OSError:  # it cannot be read, which is for others to say
        return None
    return modified if checksum.proves(hasher) else None
