"""Copies in the cache: of files that have just come, and of those that were here before it was used."""

from __future__ import annotations

from datetime import datetime, timezone

from .cache import Cache
from .checksum import Checksum
from .engine import Delivery, Engine, Job
from .errors import StorageError
from .events import Notice
from .partial import Partial, Provenance
from .url_notes import UrlNote


def keep(job: Job, delivery: Delivery, reservation: Partial, cache: Cache, engine: Engine) -> None:
    """Keep what a URL gave, and only then remember that it did; a failure is only a notice."""
    if delivery.checksum is None:  # a file that nobody knows anything about was adopted
        return
    try:
        if not cache.holds(delivery.checksum):
            cache.fill(reservation, delivery.checksum, job.destination)
    except StorageError as error:
        engine.report(Notice(message=f"the cache was not filled: {error}"))
    else:
        remember(job, delivery, cache, engine)


def prime(job: Job, delivery: Delivery, engine: Engine) -> None:
    """The same for a file that is at its destination already, when the cache has not got it."""
    cache, checksum = engine.cache, delivery.checksum
    if cache is None or checksum is None:
        return
    try:
        if not cache.holds(checksum) and not _copy(job, checksum, cache, engine):
            return
    except StorageError as error:
        engine.report(Notice(message=f"the cache was not filled: {error}"))
        return
    if job.file.checksum is None and not cache.noted(job.addresses):
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
        engine.report(Notice(message=f"the cache does not remember {note.url}: {error}"))


def _copy(job: Job, checksum: Checksum, cache: Cache, engine: Engine) -> bool:
    """Copy the file if it has this checksum still; not while another process does the same."""
    if (reservation := cache.reserve(checksum)) is None:
        return False
    with reservation:
        try:
            with job.destination.open("rb", buffering=0) as source:
                reservation.begin(0, Provenance("local"), checksum.type)
                for _ in reservation.copy(source.fileno()):
                    engine.cancel.check()
            if right := reservation.checksum() == checksum:
                cache.accept(reservation, checksum)
        except OSError:  # it cannot be read, which is for others to say
            right = False
        finally:
            reservation.discard()
    return right
