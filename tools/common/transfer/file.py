"""One file home: found, copied from the cache, or fetched; verified; then given its name.

`bring` is a generator: it yields the seconds that it wants to wait (for another process, a held
host, a retry) and returns a Delivery, so that a file that waits does not occupy a worker.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import TypeVar

from ..cache.entries import Cache
from ..checksum import Checksum
from ..errors import Reason, StorageError, TransferError
from ..events import ModelFileRetry, Notice, OriginKind
from ..files.claiming import claim
from ..files.disk import identity
from ..files.partial import Partial, Provenance
from ..stores import Opened
from ..web.credentials import mask
from .acceptance import judge_beginning, refuse_wrong_content, require_space
from .adoption import adopt
from .cached import keep, take
from .engine import DEFAULT_ALGORITHM, Delivery, Engine, Job, Progress, Stall
from .pace import Pace
from .segments import PartsRefused, Segments

BUSY_POLL = 0.2  # seconds between looks at what another process holds
TURN_POLL = 0.02  # seconds between looks whether there may be one more connection
EXCUSES, EXCUSED_WAIT = 20, 0.3
"""Refusals of one file that exploring may provoke, and the seconds after one at least."""

BUSY_POLLS = 5  # looks after which a person wants to know why nothing happens

_ROTTEN = "what was here before does not belong to it"

T = TypeVar("T")
Waits = Generator[float, None, T]


def bring(job: Job, engine: Engine) -> Waits[Delivery]:
    """Bring one file home; raises TransferError, StorageError or Interrupted."""
    seen = identity(job.destination)
    if seen and not engine.force and (found := adopt(job)):
        return found
    partial = yield from take_turns(lambda: claim(job.destination), job, engine)
    with partial:
        # Whoever had it before us may have finished it.
        if identity(job.destination) != seen and not engine.force and (found := adopt(job)):
            partial.discard()
            return found
        if engine.cache is None or job.file.checksum is None:
            return (yield from _fetch(job, partial, engine))
        return (yield from _through_cache(job, partial, engine, engine.cache, job.file.checksum))


def take_turns(get: Callable[[], Partial | None], job: Job, engine: Engine) -> Waits[Partial]:
    """What `get` gives, once no other process has it."""
    polls = 0
    while (partial := get()) is None:
        engine.cancel.check()
        polls += 1
        if polls == BUSY_POLLS:
            what = f"waiting for {job.file.name}, which somebody else is fetching"
            engine.report(Notice(message=f"{job.model}: {what}"))
        yield BUSY_POLL
    return partial


def _through_cache(
    job: Job, partial: Partial, engine: Engine, cache: Cache, checksum: Checksum
) -> Waits[Delivery]:
    seen = identity(cache.path(checksum))
    if found := (yield from take(job, partial, engine, cache, checksum)):
        return found
    try:
        reservation = yield from take_turns(lambda: cache.reserve(checksum), job, engine)
    except StorageError as error:
        if cache.first_failure(error.reason):
            engine.report(Notice(message=f"the cache cannot be used: {error}"))
        return (yield from _fetch(job, partial, engine))
    with reservation:
        # Whoever held the reservation before us has filled the entry, unless it failed.
        filled = identity(cache.path(checksum)) not in (None, seen)
        if filled and (found := (yield from take(job, partial, engine, cache, checksum))):
            return found
        delivery = yield from _fetch(job, partial, engine)
        keep(job, delivery, engine, cache, reservation, checksum)
        return delivery


def _fetch(job: Job, partial: Partial, engine: Engine) -> Waits[Delivery]:
    errors: list[TransferError] = []
    for number, origin in enumerate(job.origins, 1):
        try:
            attempt = functools.partial(_attempt, origin.url, job, partial, engine)
            return (yield from patiently(origin.url, attempt, job, engine))
        except TransferError as error:
            errors.append(error)
            if number < len(job.origins):
                tried = engine.attempts_for(job) if error.transient else 1
                _report_retry(job, tried, 0.0, error, engine)
    if len(errors) == 1:
        raise errors[0]
    raise TransferError(
        errors[-1].reason if errors else Reason.NOT_FOUND,
        "; ".join(map(str, errors)) or f"{job.file.name} has no origin",
    )


def patiently(url: str, attempt: Callable[[], T], job: Job, engine: Engine) -> Waits[T]:
    """All attempts at one origin."""
    attempts, number, excused = engine.attempts_for(job), 1, 0
    while True:
        yield from _turn(url, engine)
        others = engine.connections.others(url)
        try:
            with engine.connections.leaving(url):
                engine.gates.check(url)
                return attempt()
        except PartsRefused:
            engine.connections.refuse(url)  # once more, then, over one connection
        except TransferError as error:
            engine.cancel.check()  # a connection that was cut on purpose is not the server's fault
            # Whoever finds out how many transfers a server bears has provoked some refusals.
            provoked = error.busy and engine.explores and others()
            asked = error.retry_after
            wait = engine.wait_after(number, job) if asked is None else asked
            if provoked:  # a server that says 0 would have used up all excuses at once
                wait = max(wait, EXCUSED_WAIT)
            if error.transient:
                engine.traffic.trouble()
            if error.busy:
                engine.gates.hold(url, wait)
            if error.credential:
                engine.gates.refuse(error.credential)
            excused += provoked
            if not error.transient or (number == attempts and not (provoked and excused <= EXCUSES)):
                raise
            _report_retry(job, number, wait, error, engine)
            number += not provoked
            yield wait


def _turn(url: str, engine: Engine) -> Waits[None]:
    """Wait until the host may be asked, and there may be one more connection."""
    while wait := engine.gates.wait(url):
        yield wait
    engine.cancel.check()
    if engine.connections.enter(url):
        return
    with engine.connections.waiting():
        while (wait := engine.gates.wait(url)) or not engine.connections.enter(url):
            yield wait or TURN_POLL
            engine.cancel.check()


def _report_retry(job: Job, attempt: int, wait: float, error: TransferError, engine: Engine) -> None:
    job.announce(None)  # nobody has told its size yet
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
    """Receive and verify; what was here before gets one chance to be the right beginning."""
    checksum = job.file.checksum
    while True:
        kind = _receive(url, job, partial, engine)
        if checksum is None or partial.checksum() == checksum:
            if checksum is None:  # what came in small pieces could not be judged by the first one
                refuse_wrong_content(url, job, partial.head())
            return _finish(partial, kind, job, mask(url))
        found, head, inherited = partial.checksum(), partial.head(), partial.inherited
        partial.reset()
        if not inherited:
            break
        engine.report(Notice(message=f"{job.model}: {job.file.name} is fetched again: {_ROTTEN}"))
    refuse_wrong_content(url, job, head)
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
    with store.open(url, offset, validator) as opened:
        total = opened.size if job.file.size is None else job.file.size
        if job.file.size is None:  # the others have been counted before the run began
            require_space(job.destination, total, opened)
            job.announce(total)
        partial.begin(opened.offset, Provenance(mask(url), opened.validator), _algorithm(job))
        progress = Progress(job, engine, kind)
        try:
            with engine.cancel.waking(opened.abort):
                _take(url, job, partial, engine, opened, progress, total)
        finally:
            progress.show(partial.received, last=True)
    if total is not None and partial.size < total:
        raise _too_short(url, job, partial, total)
    return kind


def _too_short(url: str, job: Job, partial: Partial, total: int) -> TransferError:
    problem = f"expected {total} bytes, only {partial.size} came"
    try:
        refuse_wrong_content(url, job, partial.head())
    except TransferError as error:
        partial.reset()  # the beginning of something else
        return error
    return TransferError(Reason.SIZE_MISMATCH, problem, url=mask(url), transient=True)


def _take(
    url: str,
    job: Job,
    partial: Partial,
    engine: Engine,
    opened: Opened,
    progress: Progress,
    total: int | None,
) -> None:
    """Write what comes; once the connection is seen to be slow, over several of them."""
    stall, pace = Stall(engine, url), Pace(engine, url, opened)
    chunks = pace.timed(opened)
    if total is not None and partial.gapped:
        Segments(url, partial, engine, progress, total, pace.rate).run(opened, chunks)
        return
    for chunk in chunks:
        engine.cancel.check()
        if partial.size == 0:
            judge_beginning(url, job, chunk, opened)
        if total is not None and partial.size + len(chunk) > total:
            partial.reset()
            raise TransferError(
                Reason.SIZE_MISMATCH, f"expected {total} bytes, more came", url=mask(url)
            )
        engine.limit.take(len(chunk))
        partial.write(chunk)
        stall.add(len(chunk))
        progress.add(len(chunk))
        progress.show(partial.received)
        count = len(chunk)
        del chunk  # its memory is for the next one
        if total is not None and pace.is_slow(count, total - partial.received):
            Segments(url, partial, engine, progress, total, pace.rate).run(opened, chunks)
            return


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


def _finish(partial: Partial, kind: OriginKind, job: Job, url: str | None = None) -> Delivery:
    checksum, size, origin = partial.checksum(), partial.size, partial.provenance
    stat = partial.finish()
    verified, validator = job.file.checksum is not None, origin.validator if origin else None
    return Delivery(kind, size, stat.st_mtime_ns, checksum, url, verified, validator)
