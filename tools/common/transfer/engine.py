"""What one file's transfer needs and gives: its job, its delivery, and what all transfers share."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ..cache.entries import Cache
from ..cache.url_notes import address_of
from ..cancel import Cancel
from ..checksum import CHUNK, Checksum
from ..clock import Clock
from ..concurrency import Sample
from ..errors import Reason, TransferError
from ..events import Event, ModelFileDownloadProgress, OriginKind, Report
from ..installation.inputs import Input
from ..model import ModelFile, Origin, Retries
from ..stores import PIECE, Stores
from ..web.connections import Connections
from ..web.credentials import mask
from ..web.gates import Gates, Lesson, RateLimit, backoff, cube, keep_to_oneself

DEFAULT_ALGORITHM = "sha256"  # for files whose catalog tells no checksum
STALLED = 1024  # bytes per second, averaged over the timeout


def _ignore(size: int | None) -> None:
    """Nobody wants to know."""


class Job(msgspec.Struct, frozen=True):
    """One file of one model, where it goes, and its origins in the order to be tried.

    `announce` is called with the file's size (None: unknown) as soon as there is news of it.
    """

    model: str
    file: ModelFile
    destination: Path
    origins: tuple[Origin, ...]
    retries: Retries = Retries()
    before: Input | None = None
    """What a receipt says of such a file, where no checksum is published that would say more."""
    replaces: bool = False
    """Whether another version is wanted than the one that may be at the destination."""
    announce: Callable[[int | None], None] = _ignore

    @property
    def title(self) -> str:
        """The file among those of all models."""
        return f"{self.model}/{self.file.name}"

    @property
    def addresses(self) -> tuple[str, ...]:
        """What its origins are called in the notes of a cache."""
        return tuple(address_of(origin.url, self.title) for origin in self.origins)


class Delivery(msgspec.Struct, frozen=True):
    """A file that is there: how it came, what it is, and its state on disk."""

    kind: OriginKind
    size: int
    mtime_ns: int
    checksum: Checksum | None
    url: str | None = None
    verified: bool = True
    validator: str | None = None
    """The version that the server named."""


class Traffic:
    """Counts the bytes that came, finished files or not, and what else tells how a run goes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes: Counter[OriginKind] = Counter()
        self._ended = self._troubles = 0

    def add(self, kind: OriginKind, count: int) -> None:
        """So many more came from there."""
        with self._lock:
            self._bytes[kind] += count

    def __getitem__(self, kind: OriginKind) -> int:
        return self._bytes[kind]

    def file_ended(self) -> None:
        """One more file has come, or will not."""
        with self._lock:
            self._ended += 1

    def trouble(self) -> None:
        """A server could not answer, and may be asked again."""
        with self._lock:
            self._troubles += 1

    def sample(self) -> Sample:
        """How the run goes."""
        with self._lock:
            return Sample(self._bytes.total(), self._ended, self._troubles)


class Engine:
    """What all transfers of a run share.

    `attempts` is how often each file is tried, None as often as its model wants; `timeout` and
    `progress_interval` are in seconds, `limit_rate` in bytes per second. `explores`: how many transfers
    a server bears is found out.
    """

    # Written out, since dataclasses would take longer to import than a small run takes.
    def __init__(
        self,
        stores: Stores,
        cache: Cache | None,
        report: Report,
        clock: Clock,
        cancel: Cancel,
        *,
        attempts: int | None = None,
        timeout: float = 60.0,
        force: bool = False,
        refresh: bool = False,
        progress_interval: float = 0.2,
        backoff: Callable[[int], float] = backoff,
        connections: Connections | None = None,
        limit_rate: float | None = None,
        share: Callable[[Lesson], None] = keep_to_oneself,
        explores: bool = False,
    ) -> None:
        self._given = {name: value for name, value in locals().items() if name != "self"}
        self.stores, self.cache = stores, cache
        self.report = one_at_a_time(report)
        self.clock, self.cancel = clock, cancel
        self.attempts, self.timeout = attempts, timeout
        self.force, self.refresh = force, refresh
        self.progress_interval = progress_interval
        self.explores = explores
        self.connections = connections or Connections()
        self.traffic = Traffic()
        self.gates = Gates(clock, share)
        self.limit = RateLimit(limit_rate, clock, cancel)
        self._backoff = backoff
        _reuse_freed_memory()

    def changed(self, **arguments: Any) -> Engine:
        """Another engine, made with these arguments in place of its own."""
        return Engine(**(self._given | arguments))

    def attempts_for(self, job: Job) -> int:
        """How often each origin of this file is tried."""
        return self.attempts or job.retries.attempts

    def wait_after(self, attempt: int, job: Job) -> float:
        """Seconds to wait after this attempt at the file has failed."""
        return cube(attempt) if job.retries.cubic else self._backoff(attempt)


def _reuse_freed_memory() -> None:
    """Have the memory of a chunk used for the next one.

    glibc gives large pieces back to the system, which has to clear others for the next chunk, until a
    piece is freed that is larger than these (mallopt(3), M_MMAP_THRESHOLD).
    """
    bytes(PIECE + CHUNK)  # its pages are never touched


def one_at_a_time(report: Report) -> Report:
    """The report, safe to be called from several threads."""
    lock = threading.Lock()

    def locked(event: Event) -> None:
        with lock:
            report(event)

    return locked


class Stall:
    """Notices a connection that has all but stopped."""

    def __init__(self, engine: Engine, url: str) -> None:
        self._clock, self._timeout, self._url = engine.clock, engine.timeout, url
        self._since, self._bytes = engine.clock.now(), 0

    def add(self, count: int) -> None:
        """So many bytes came; raises TransferError when too few have come for too long."""
        self._bytes += count
        if (now := self._clock.now()) - self._since < self._timeout:
            return
        if self._bytes < STALLED * self._timeout:
            problem = f"stalled: less than {STALLED} bytes a second for {self._timeout:g} s"
            raise TransferError(Reason.TIMEOUT, problem, url=mask(self._url), transient=True)
        self._since, self._bytes = now, 0


class Progress:
    """Reports the progress of a file, at most every so often."""

    def __init__(self, job: Job, engine: Engine, kind: OriginKind) -> None:
        self._job, self._engine, self._kind = job, engine, kind
        self._shown, self._size = engine.clock.now(), -1

    @property
    def is_provable(self) -> bool:
        """Whether a checksum will show that all bytes of the file belong together."""
        return self._job.file.checksum is not None

    def add(self, count: int) -> None:
        """So many bytes came from there."""
        self._engine.traffic.add(self._kind, count)

    def show(self, size: int, last: bool = False) -> None:
        """Report that `size` bytes are here: from time to time, and at last."""
        now = self._engine.clock.now()
        due = now - self._shown >= self._engine.progress_interval
        # A small file is there before anybody can look; of a large one they want to see that it comes.
        first = self._size < 0 and size >= CHUNK
        if due or first or (last and size != self._size):
            self._shown, self._size = now, size
            event = ModelFileDownloadProgress(
                model=self._job.model, model_file=self._job.file.name, size=size, origin=self._kind
            )
            self._engine.report(event)
