"""One file home: found, copied from the cache, or fetched; verified; then given its name.

`bring` is a generator: it yields the seconds that it wants to wait (for another process, a held
host, a retry) and returns a Delivery, so that a file that waits does not occupy a worker.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import TypeVar

from .cache import Cache
from .checksum import Checksum, file_checksum
from .content import wrong_content
from .credentials import mask
from .disk import free_space, readable, storage_errors
from .engine import DEFAULT_ALGORITHM, Delivery, Engine, Job, Progress
from .errors import Reason, StorageError, TransferError
from .events import ModelFileRetry, Notice, OriginKind
from .partial import Partial, Provenance, claim
from .stores import Opened

BUSY_POLL = 0.2  # seconds between looks at what another process holds

T = TypeVar("T")
Waits = Generator[float, None, T]


def bring(job: Job, engine: Engine) -> Waits[Delivery]:
    """Bring one file home; raises TransferError, StorageError or Interrupted."""
    partial = yield from _mine(lambda: claim(job.destination), job, engine)
    with partial:
        if not engine.force and (found := adopt(job)):
            partial.discard()
            return found
        if engine.cache is None or job.file.checksum is None:
            return (yield from _fetch(job, partial, engine))
        return (yield from _through_cache(job, partial, engine, engine.cache, job.file.checksum))


def _mine(take: Callable[[], Partial | None], job: Job, engine: Engine) -> Waits[Partial]:
    told = False
    while (partial := take()) is None:
        engine.cancel.check()
        if not told:
            engine.report(Notice(message=f"{job.model}: another process works on {job.file.name}"))
            told = True
        yield BUSY_POLL
    return partial


def adopt(job: Job) -> Delivery | None:
    """The file that is at the destination already, if it is the right one."""
    path, file = job.destination, job.file
    if not path.is_file() or file.size not in (None, path.stat().st_size):
        return None
    with storage_errors(path):
        if file.checksum and file_checksum(path, file.checksum.type) != file.checksum:
            return None
        stat = path.stat()
    known = file.checksum is not None
    return Delivery("local", stat.st_size, stat.st_mtime_ns, file.checksum, verified=known)


def _through_cache(
    job: Job, partial: Partial, engine: Engine, cache: Cache, checksum: Checksum
) -> Waits[Delivery]:
    if found := _from_cache(job, partial, engine, cache, checksum):
        return found
    try:
        reservation = yield from _mine(lambda: cache.reserve(checksum), job, engine)
    except StorageError as error:
        engine.report(Notice(message=f"the cache cannot be used: {error}"))
        return (yield from _fetch(job, partial, engine))
    with reservation:
        # Whoever held the reservation before us has filled the entry, unless it failed.
        if found := _from_cache(job, partial, engine, cache, checksum):
            return found
        delivery = yield from _fetch(job, partial, engine)
        try:
            cache.fill(reservation, checksum, job.destination)
        except StorageError as error:
            engine.report(Notice(message=f"the cache was not filled: {error}"))
        return delivery


def _from_cache(
    job: Job, partial: Partial, engine: Engine, cache: Cache, checksum: Checksum
) -> Delivery | None:
    if not cache.holds(checksum):
        return None
    try:
        partial.begin(0, Provenance("cache"), checksum.type)
        progress = Progress(job, engine, "cache")
        for chunk in cache.read(checksum):
            engine.cancel.check()
            partial.write(chunk)
            progress.show(partial.size)
        progress.show(partial.size, last=True)
        if partial.checksum() == checksum and job.file.size in (None, partial.size):
            return _finish(partial, "cache", job)
        problem = f"expected {checksum}, found {partial.checksum()}, {partial.size} bytes"
        cache.drop(checksum)
    except OSError as error:
        problem = error.strerror or str(error)
    partial.reset()
    message = f"the cache's copy of {job.file.name} is broken and is replaced: {problem}"
    engine.report(Notice(message=f"{job.model}: {message}"))
    return None


def _fetch(job: Job, partial: Partial, engine: Engine) -> Waits[Delivery]:
    errors = []
    for origin in job.origins:
        try:
            return (yield from _from_mirror(origin.url, job, partial, engine))
        except TransferError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    raise TransferError(
        errors[-1].reason if errors else Reason.NOT_FOUND,
        "; ".join(map(str, errors)) or f"{job.file.name} has no origin",
    )


def _from_mirror(url: str, job: Job, partial: Partial, engine: Engine) -> Waits[Delivery]:
    """All attempts at one origin."""
    for attempt in range(1, engine.attempts + 1):
        while wait := engine.gates.wait(url):
            yield wait
        engine.cancel.check()
        try:
            engine.gates.check(url)
            return _attempt(url, job, partial, engine)
        except TransferError as error:
            engine.cancel.check()  # a connection that was cut on purpose is not the server's fault
            wait = error.retry_after if error.retry_after is not None else engine.backoff(attempt)
            if error.busy:
                engine.gates.hold(url, wait)
            if error.credential:
                engine.gates.refuse(error.credential)
            if not error.transient or attempt == engine.attempts:
                raise
            _report_retry(job, attempt, wait, error, engine)
            yield wait
    raise AssertionError("the last attempt returns or raises")


def _report_retry(job: Job, attempt: int, wait: float, error: TransferError, engine: Engine) -> None:
    engine.report(
        ModelFileRetry(
            model=job.model,
            model_file=job.file.name,
            attempt=attempt,
            wait=round(wait, 3),
            reason=error.reason,
            message=str(error),
        )
    )


def _attempt(url: str, job: Job, partial: Partial, engine: Engine) -> Delivery:
    """Receive and verify; what an earlier run left gets one chance to be the right beginning."""
    checksum = job.file.checksum
    while True:
        kind = _receive(url, job, partial, engine)
        if checksum is None or partial.checksum() == checksum:
            if checksum is None:  # what came in small pieces could not be judged by the first one
                _refuse_wrong_content(url, job, partial.head(), None)
            return _finish(partial, kind, job, mask(url))
        found, head, inherited = partial.checksum(), partial.head(), partial.inherited
        partial.reset()
        if not inherited:
            break
        engine.report(Notice(message=f"{job.model}: what was left of {job.file.name} is unusable"))
    _refuse_wrong_content(url, job, head, None)
    problem = f"expected {checksum}, got {found}"
    raise TransferError(Reason.CHECKSUM_MISMATCH, problem, url=mask(url))


def _receive(url: str, job: Job, partial: Partial, engine: Engine) -> OriginKind:
    """Append what the origin sends to what is here already; returns what kind of origin it was."""
    store = engine.stores.store(url)
    kind: OriginKind = "network" if store.remote else "local"
    if _is_complete(job, partial):
        partial.begin(partial.size, partial.provenance or Provenance(mask(url)), _algorithm(job))
        return kind
    offset, validator = _resume_point(url, job, partial)
    with store.open(url, offset, validator) as opened, engine.cancel.waking(opened.abort):
        total = opened.size if job.file.size is None else job.file.size
        _require_space(job.destination, total, opened)
        partial.begin(opened.offset, Provenance(mask(url), opened.validator, total), _algorithm(job))
        progress = Progress(job, engine, kind)
        try:
            for chunk in opened:
                engine.cancel.check()
                if partial.size == 0:
                    _refuse_wrong_content(url, job, chunk, opened)
                    _refuse_wrong_size(url, job, opened)
                _refuse_excess(url, partial, len(chunk), total)
                partial.write(chunk)
                progress.add(len(chunk), url, partial.size)
        finally:
            progress.show(partial.size, last=True)
    if total is not None and partial.size < total:
        problem = f"expected {total} bytes, only {partial.size} came"
        raise TransferError(Reason.SIZE_MISMATCH, problem, url=mask(url), transient=True)
    return kind


def _algorithm(job: Job) -> str:
    return job.file.checksum.type if job.file.checksum else DEFAULT_ALGORITHM


def _is_complete(job: Job, partial: Partial) -> bool:
    """Whether an earlier run got all bytes and was killed before it could say so."""
    return job.file.checksum is not None and partial.size > 0 and partial.size == job.file.size


def _resume_point(url: str, job: Job, partial: Partial) -> tuple[int, str | None]:
    """From where to ask for the rest, and the version that the part at hand belongs to.

    Without that version only a checksum can show later that the two parts belong together.
    """
    known = partial.provenance
    validator = known.validator if known and known.url == mask(url) else None
    provable = job.file.checksum is not None or validator is not None
    fits = job.file.size is None or partial.size < job.file.size
    return (partial.size, validator) if provable and fits else (0, None)


def _require_space(destination: Path, total: int | None, opened: Opened) -> None:
    """Refuse a body that cannot fit, as soon as its size is known."""
    if total is None:
        return
    needed, free = total - opened.offset, free_space(destination)
    if needed > free:
        problem = f"{destination}: {readable(needed)} are still to come, {readable(free)} are free"
        raise StorageError(problem, Reason.NO_SPACE)


def _refuse_wrong_content(url: str, job: Job, head: bytes, opened: Opened | None) -> None:
    media, encoding = (opened.media_type, opened.encoding) if opened else (None, None)
    proven_later = job.file.checksum is not None
    if problem := wrong_content(job.file.name, head, media, encoding, proven_later):
        raise TransferError(Reason.WRONG_CONTENT, problem, url=mask(url))


def _refuse_wrong_size(url: str, job: Job, opened: Opened) -> None:
    """A longer file is another file; a shorter one may be a server's passing fault."""
    expected, got = job.file.size, opened.size
    if expected is None or got is None or got == expected:
        return
    problem = f"expected {expected} bytes, the server has {got}"
    raise TransferError(Reason.SIZE_MISMATCH, problem, url=mask(url), transient=got < expected)


def _refuse_excess(url: str, partial: Partial, count: int, total: int | None) -> None:
    if total is not None and partial.size + count > total:
        partial.reset()
        problem = f"expected {total} bytes, more came"
        raise TransferError(Reason.SIZE_MISMATCH, problem, url=mask(url))


def _finish(partial: Partial, kind: OriginKind, job: Job, url: str | None = None) -> Delivery:
    checksum, size = partial.checksum(), partial.size
    stat = partial.finish()
    verified = job.file.checksum is not None
    return Delivery(kind, size, stat.st_mtime_ns, checksum, url, verified)
