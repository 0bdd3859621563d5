"""A file that the cache has: linked, cloned or copied from there, and verified.

Where bytes are copied they are hashed. Where blocks or the whole file are shared a proof of an earlier
run is enough (docs/adr/0005-a-proof-of-a-cache-entry-is-remembered.md).
"""

from __future__ import annotations

import os
from collections.abc import Generator

from ..cache.entries import Cache
from ..checksum import CHUNK, Checksum
from ..errors import StorageError
from ..events import Notice
from ..files.disk import hard_link, read_at
from ..files.partial import Partial, Provenance
from .engine import Delivery, Engine, Job, Progress

HASH_POLL = 0.02  # seconds between looks whether what was copied is hashed

Found = Generator[float, None, Delivery | None]


def take(job: Job, partial: Partial, engine: Engine, cache: Cache, checksum: Checksum) -> Found:
    """The file from the cache, if that has it; a broken entry is removed. Raises StorageError.

    Meanwhile other files can be worked on where a processor is free for them.
    """
    if not cache.holds(checksum):
        return None
    hit = _Hit(job, partial, engine, cache, checksum)
    try:
        with cache.open(checksum) as entry:
            size = os.fstat(entry.fileno()).st_size
            fits = job.file.size in (None, size)  # otherwise what is in flight is not given up for it
            if fits and (delivery := (yield from hit.take(entry.fileno()))):
                return delivery
        cache.drop(checksum)
        found = hit.found or f"{size} bytes"
        problem = f"is broken and was removed: expected {checksum}, found {found}"
    except FileNotFoundError:  # somebody who prunes the cache has removed it since it was seen
        return None
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
    engine.report(Notice(message=f"{job.model}: the cache's copy of {job.file.name} {problem}"))
    return None


class _Hit:
    """An entry on its way to a destination; `found` is what wrong bytes turned out to be."""

    def __init__(
        self, job: Job, partial: Partial, engine: Engine, cache: Cache, checksum: Checksum
    ) -> None:
        self._job, self._partial, self._engine = job, partial, engine
        self._cache, self._checksum = cache, checksum
        self._progress = Progress(job, engine, "cache")
        self.found: Checksum | None = None

    def take(self, entry: int) -> Found:
        """The delivery, None when the bytes are wrong; raises OSError, StorageError or Interrupted."""
        self._job.announce(os.fstat(entry).st_size)
        if self._cache.links:
            if not self._is_right(entry):
                return None
            try:
                return self._link(entry)
            except FileNotFoundError:  # removed from the cache, but open here: its bytes can be copied
                pass
            except OSError as error:
                _tell_refusal(self._engine, self._cache, error)
        return (yield from self._copy(entry))

    def _is_right(self, entry: int) -> bool:
        looked = os.fstat(entry)  # before it is read, so that a later change does not go unseen
        if self._cache.proofs.hold(self._checksum, looked):
            return True
        self.found = self._hash(entry)
        if self.found != self._checksum:
            return False
        self._cache.proofs.add(self._checksum, looked)
        return True

    def _hash(self, entry: int) -> Checksum:
        hasher, offset = self._checksum.hasher(), 0
        while chunk := read_at(entry, CHUNK, offset):
            self._engine.cancel.check()
            hasher.update(chunk)
            offset += len(chunk)
        return Checksum(self._checksum.type, hasher.hexdigest())

    def _link(self, entry: int) -> Delivery:
        stat = hard_link(self._cache.path(self._checksum), self._job.destination, os.fstat(entry))
        self._partial.discard()
        return self._delivery(stat)

    def _copy(self, entry: int) -> Found:
        looked = os.fstat(entry)
        shared = self._partial.clone(entry)
        # Only a look from after the cloning says that it was not changed before.
        if shared and self._cache.proofs.hold(self._checksum, os.fstat(entry)):
            return self._delivery(self._partial.finish())
        self._partial.begin(self._partial.size, Provenance("cache"), self._checksum.type)
        for size in self._partial.copy(entry):  # nothing, after a clone
            self._engine.cancel.check()
            self._progress.show(size)
        while self._partial.is_being_hashed:
            yield HASH_POLL
            self._engine.cancel.check()
        self.found = self._partial.checksum()
        if self.found != self._checksum:
            self._partial.reset()
            return None
        if shared:
            self._cache.proofs.add(self._checksum, looked)
        return self._delivery(self._partial.finish())

    def _delivery(self, stat: os.stat_result) -> Delivery:
        self._progress.show(stat.st_size, last=True)
        return Delivery("cache", stat.st_size, stat.st_mtime_ns, self._checksum)


def keep(
    job: Job,
    delivery: Delivery,
    engine: Engine,
    cache: Cache,
    reservation: Partial,
    checksum: Checksum,
) -> None:
    """Keep a file that has just come in the cache; where that fails it is only told."""
    try:
        if cache.links:
            try:
                cache.link(checksum, job.destination, delivery.mtime_ns)
                return
            except OSError as error:
                _tell_refusal(engine, cache, error)
        cache.fill(reservation, checksum, job.destination, delivery.mtime_ns)
    except StorageError as error:
        if cache.first_failure(error.reason):
            engine.report(Notice(message=f"the cache was not filled: {error}"))


def _tell_refusal(engine: Engine, cache: Cache, error: OSError) -> None:
    if cache.first_failure("link"):
        why = error.strerror or error
        engine.report(Notice(message=f"files are copied where the cache cannot be linked to: {why}"))
