"""`--refresh`: asking the origin whether a file without a published checksum is still what it was.

The version that is here stays until another one is whole, and it stays when the origin is gone.
"""

from __future__ import annotations

import functools
from typing import Literal

import msgspec

from ..cache.url_notes import UrlNote
from ..checksum import file_checksum
from ..errors import Reason, TransferError
from ..events import ModelFileChanged, Notice
from ..files.disk import storage_errors
from ..stores import Conditional, Publisher, Store
from ..web.credentials import mask
from .adoption import adopt
from .engine import DEFAULT_ALGORITHM, Delivery, Engine, Job
from .file import Waits, patiently
from .first_use import fetch, from_cache, noted

Verdict = Literal["same", "changed", "unknown"]
"""`unknown`: only fetching the file can show it."""

GONE = frozenset({
    Reason.NOT_FOUND,
    Reason.NETWORK,
    Reason.TIMEOUT,
    Reason.SERVER_ERROR,
    Reason.RATE_LIMITED,
    Reason.OFFLINE,
})  # fmt: skip
"""Why an origin cannot tell whether a file has changed, and what is here goes on being used."""


def refresh(job: Job, engine: Engine) -> Waits[Delivery]:
    """The file as its origin has it now; raises TransferError, StorageError or Interrupted."""
    local = None if engine.force else adopt(job)
    seen = noted(job, engine)
    old = _of_local(job, local) if local else seen
    if old is None:
        return (yield from fetch(job, engine, seen))
    verdict: Verdict = "unknown"
    try:
        verdict = yield from _judge(job, old, engine)
        if verdict != "same":
            return (yield from _replace(job, old, engine, seen))
    except TransferError as error:
        if verdict == "changed" or error.reason not in GONE:
            raise
        since = f" of {old.time}" if old.time else ""
        engine.report(Notice(message=f"{job.model}: {job.file.name}: the copy{since} is used: {error}"))
    if found := local or (yield from from_cache(job, engine, seen)):
        return found
    return (yield from fetch(job, engine, seen))  # the cache's copy was broken


def _of_local(job: Job, local: Delivery) -> UrlNote:
    """What is known of the file at the destination."""
    with storage_errors(job.destination):
        checksum = local.checksum or file_checksum(job.destination, DEFAULT_ALGORITHM)
    what = local.size, checksum, local.verified, local.validator
    return UrlNote(local.url or "", job.title, *what)


def _judge(job: Job, old: UrlNote, engine: Engine) -> Waits[Verdict]:
    """What the origin that it came from says without sending it."""
    url = next((o.url for o in job.origins if mask(o.url) == old.url), None)
    if url is None:
        return "unknown"
    store = engine.stores.store(url)
    ask = functools.partial(_ask, store, url, old)
    return (yield from patiently(url, ask, job, engine))


def _ask(store: Store, url: str, old: UrlNote) -> Verdict:
    if isinstance(store, Publisher) and (told := store.published(url)):
        return "same" if told.checksum == old.checksum else "changed"
    if old.validator is None:
        return "unknown"
    if isinstance(store, Conditional):
        return "same" if store.is_current(url, old.validator) else "changed"
    with store.open(url) as opened:
        return "same" if opened.validator == old.validator else "changed"


def _replace(job: Job, old: UrlNote, engine: Engine, seen: UrlNote | None) -> Waits[Delivery]:
    delivery = yield from fetch(msgspec.structs.replace(job, replaces=True), engine, seen)
    new = delivery.checksum
    if new and new.type == old.checksum.type and new != old.checksum:
        engine.report(
            ModelFileChanged(
                model=job.model,
                model_file=job.file.name,
                url=delivery.url or old.url,
                before=str(old.checksum),
                after=str(new),
            )
        )
    return delivery
