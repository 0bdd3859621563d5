"""Files that nobody publishes a checksum for: they are held to the digest that they had at first.

It is remembered with their URL, in the receipt for the file at its destination, in a note for the copy
in the cache. So a copy outlives its source, and nothing but `--refresh` looks for another version.
"""

from __future__ import annotations

import functools

import msgspec

from ..cache.entries import Cache
from ..cache.url_notes import UrlNote
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
    seen = noted(job, engine)
    if found := (yield from from_cache(job, engine, seen)):
        return found
    return (yield from fetch(job, engine, seen))


def noted(job: Job, engine: Engine) -> UrlNote | None:
    """What the cache remembers of the file's URLs."""
    return engine.cache.noted(job.addresses) if engine.cache else None


def from_cache(job: Job, engine: Engine, note: UrlNote | None) -> Waits[Delivery | None]:
    """The file as the note says that its URL gave it, None when that is not kept, or broken."""
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


def fetch(job: Job, engine: Engine, seen: UrlNote | None) -> Waits[Delivery]:
    """The file from its origin, even where another version is here; it is remembered then.

    `seen` is the note that was of no use: whoever has written another one since then has fetched it.
    """
    job = yield from _with_published(job, engine)
    if engine.cache is None:
        return (yield from bring(job, engine))
    if job.file.checksum:  # the cache finds it by that
        delivery = yield from bring(job, engine)
        if delivery.url is None:  # the cache had it, or it is here
            delivery = msgspec.structs.replace(delivery, url=mask(job.origins[0].url))
        remember(job, delivery, engine.cache, engine)
        return delivery
    return (yield from _fetch_in_turn(job, engine, engine.cache, seen))


def _fetch_in_turn(job: Job, engine: Engine, cache: Cache, seen: UrlNote | None) -> Waits[Delivery]:
    """Fetch it unless another process that has this cache does so meanwhile, or has just done it."""
    address = job.addresses[0]
    try:
        reservation = yield from take_turns(lambda: cache.reserve_address(address), job, engine)
    except StorageError as error:
        if cache.first_failure(error.reason):
            engine.report(Notice(message=f"the cache cannot be used: {error}"))
        return (yield from bring(job, engine))
    with reservation:
        now = noted(job, engine)
        if now != seen and (found := (yield from from_cache(job, engine, now))):
            return found
        delivery = yield from bring(job, engine)
        yield from _keep(job, delivery, engine, cache)
        return delivery


def _keep(job: Job, delivery: Delivery, engine: Engine, cache: Cache) -> Waits[None]:
    """Keep it and note that, while nobody else can have the address: they would fetch it again."""
    if (checksum := delivery.checksum) is None:  # one that nobody knows anything about was adopted
        return
    try:
        reservation = yield from take_turns(lambda: cache.reserve(checksum), job, engine)
    except StorageError as error:
        if cache.first_failure(error.reason):
            engine.report(Notice(message=f"the cache was not filled: {error}"))
        return
    with reservation:
        keep(job, delivery, engine, cache, reservation, checksum)


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
