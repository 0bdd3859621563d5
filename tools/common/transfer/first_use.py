"""Files that nobody publishes a checksum for: they are held to the digest that they had at first.

It is remembered with their URL, in the receipt for the file at its destination, in a note for the copy
in the cache. So a copy outlives its source, and nothing but `--refresh` looks for another version.
"""

from __future__ import annotations

import functools

import msgspec

from ..cache.entries import Cache
from ..errors import StorageError, TransferError
from ..events import Notice
from ..stores import Published, Publisher
from ..web.credentials import mask
from .adoption import adopt
from .engine import Delivery, Engine, Job
from .file import Waits, bring, patiently, take_turns
from .remembering import keep, remember


def bring_unpublished(job: Job, engine: Engine) -> Waits[Delivery]:
    """Bring such a file home; raises TransferError, StorageError or Interrupted."""
    if job.before and not engine.force and (found := adopt(job)):
        return found
    if found := (yield from from_cache(job, engine)):
        return found
    return (yield from fetch(job, engine))


def from_cache(job: Job, engine: Engine) -> Waits[Delivery | None]:
    """The file as its URL gave it before, None when that is not kept, or broken."""
    note = engine.cache.noted(job.addresses) if engine.cache else None
    if note is None or job.file.size not in (None, note.size):
        return None
    file = msgspec.structs.replace(job.file, size=note.size, checksum=note.checksum)
    try:
        delivery = yield from bring(
            msgspec.structs.replace(job, file=file, origins=(), before=None), engine
        )
    except TransferError:
        return None  # it was broken, and has been removed with a notice
    return msgspec.structs.replace(
        delivery, url=note.url, validator=note.validator, verified=note.verified
    )


def fetch(job: Job, engine: Engine) -> Waits[Delivery]:
    """The file from its origin, even where another version is here; it is remembered then."""
    job = yield from _with_published(job, engine)
    if engine.cache is None:
        return (yield from bring(job, engine))
    if job.file.checksum:  # the cache finds it by that
        delivery = yield from bring(job, engine)
        if delivery.url is None:  # the cache had it, or it is here
            delivery = msgspec.structs.replace(delivery, url=mask(job.origins[0].url))
        remember(job, delivery, engine.cache, engine)
        return delivery
    return (yield from _fetch_in_turn(job, engine, engine.cache))


def _fetch_in_turn(job: Job, engine: Engine, cache: Cache) -> Waits[Delivery]:
    """Fetch it unless another process that has this cache does so meanwhile."""
    addresses = job.addresses
    seen = cache.noted(addresses)
    try:
        reservation = yield from take_turns(lambda: cache.reserve_address(addresses[0]), job, engine)
    except StorageError as error:
        if cache.first_failure(error.reason):
            engine.report(Notice(message=f"the cache cannot be used: {error}"))
        return (yield from bring(job, engine))
    with reservation:
        if cache.noted(addresses) != seen and (found := (yield from from_cache(job, engine))):
            return found
        delivery = yield from bring(job, engine)
        keep(job, delivery, engine, cache, reservation)
        return delivery


def _with_published(job: Job, engine: Engine) -> Waits[Job]:
    """The job with the checksum that its first origin publishes, where that publishes any."""
    for number, origin in enumerate(job.origins, 1):
        try:
            told = yield from _published(origin.url, job, engine)
        except TransferError:
            if number == len(job.origins):
                raise
            continue  # the next one may have the file, and say more about it
        size = told.size if told and told.size is not None else job.file.size
        if told is None or job.file.size not in (None, size):
            break
        if size is not None:
            job.announce(size)
        file = msgspec.structs.replace(job.file, size=size, checksum=told.checksum)
        return msgspec.structs.replace(job, file=file)
    return job


def _published(url: str, job: Job, engine: Engine) -> Waits[Published | None]:
    store = engine.stores.store(url)
    if not isinstance(store, Publisher):
        return None
    return (yield from patiently(url, functools.partial(store.published, url), job, engine))
