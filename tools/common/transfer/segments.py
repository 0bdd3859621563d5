"""The rest of one file over several connections, where a single one is what keeps it slow.

The missing bytes are cut into pieces, which the connections take in order and write in place; the
hash follows the part without gaps. The connection that is open already goes on with the first piece.
A server that does not serve parts, or serves no more with more connections, is left with one. So is
a file whose parts could be of different versions, and nothing would tell.
"""

from __future__ import annotations

import contextlib
import heapq
import threading
from collections.abc import Iterator

from ..errors import ModelZooError, Reason, TransferError
from ..files.partial import Partial
from ..files.ranges import Range
from ..stores import Opened
from ..web.credentials import mask
from .engine import Engine, Progress, Stall
from .pace import PIECE_LIMITS, WORTH, Waits

PIECE_SECONDS = 0.2
"""How long one connection has with a piece, where that is within PIECE_LIMITS."""

MAX_PER_FILE = 16

HOLD = 1.0
"""Seconds for which a host that refuses more connections is left alone, where it does not say it."""

GAIN = 1.3
"""How much faster than one connection several must be after a second, or they are given up."""


class PartsRefused(Exception):
    """The server does not give out parts of the file, or not to several connections."""


class Overtaxed(PartsRefused):
    """It does, but not now: what has come stays, and a single connection gets the rest.

    `busy` says that the server asked for fewer connections.
    """

    def __init__(self, busy: bool) -> None:
        super().__init__()
        self.busy = busy


class Segments:
    """Fetches what is missing of a file; `rate` is what one connection gave, in bytes per second."""

    def __init__(
        self, url: str, partial: Partial, engine: Engine, progress: Progress, total: int, rate: float
    ) -> None:
        self._url, self._partial, self._engine, self._progress = url, partial, engine, progress
        self._rate = rate
        self._validator = partial.provenance.validator if partial.provenance else None
        self._lock = threading.Lock()
        low, high = PIECE_LIMITS
        piece = int(min(max(rate * PIECE_SECONDS, low), high))
        self._pieces = list(_cut(partial.gaps(total), piece))  # a heap: the first ones first
        self._helpers: list[threading.Thread] = []
        self._aborts: set[Opened] = set()
        self._stopped = self._changed = False
        self._alone = self._validator is None and not progress.is_provable
        self._began, self._received, self._waits = engine.clock.now(), 0, Waits(engine.clock)

    def run(self, opened: Opened, chunks: Iterator[bytes]) -> None:
        """Fetch it all; `chunks` is the open connection, which stands at the first missing byte.

        Raises PartsRefused when the file can only be had in one piece, or over one connection.
        """
        try:
            with opened:  # left open, it would go on with what others have taken
                self._go_on(chunks)
            while self._pieces or self._helpers:
                while piece := self._claim():
                    self._fetch(piece)
                for helper in self._take_helpers():
                    helper.join()
        except PartsRefused as refusal:
            self._stop()
            if not isinstance(refusal, Overtaxed):
                self._partial.close_gaps()
            raise
        finally:
            self._stop()

    def _go_on(self, chunks: Iterator[bytes]) -> None:
        """Use the connection at hand for as long as nobody else has taken what it brings next."""
        at, stop = self._claim() or (0, 0)
        stall = Stall(self._engine, self._url)
        try:
            for chunk in self._waits.timed(chunks):
                if self._changed:  # what comes here is of a version that is gone
                    raise PartsRefused
                while chunk and at < stop:
                    self._put(chunk[: stop - at], at)
                    chunk, at = chunk[stop - at :], min(stop, at + len(chunk))
                    if at == stop:
                        _, stop = self._claim(at) or (at, at)
                if at == stop:
                    return
                stall.add(len(chunk))
        finally:
            self._give_back((at, stop))
        raise _too_short(self._url)

    def _help(self) -> None:
        """What a helper does: pieces, until there are none or something is wrong."""
        try:
            while not self._yields and (piece := self._claim()):
                self._fetch(piece)
        except PartsRefused as refusal:
            self._alone = True
            # A connection that broke says nothing about the host's other files.
            if not isinstance(refusal, Overtaxed) or refusal.busy:
                self._engine.connections.refuse(self._url)
        except ModelZooError:
            self._alone = True  # the file's own connection goes on, and meets it if it is real
        finally:
            self._engine.connections.give(self._url)

    @property
    def _yields(self) -> bool:
        """Whether parts have to leave their connections to the file's own one, or to other files."""
        return self._alone or self._engine.connections.crowded

    def _fetch(self, piece: Range) -> None:
        at, stop = piece
        stall = Stall(self._engine, self._url)
        try:
            with self._open(at, stop) as opened, self._waking(opened):
                for chunk in self._waits.timed(opened):
                    self._put(chunk[: stop - at], at)
                    at = min(stop, at + len(chunk))
                    stall.add(len(chunk))
                    del chunk
        finally:
            self._give_back((at, stop))
        if at < stop:
            raise _too_short(self._url)

    def _open(self, at: int, stop: int) -> Opened:
        if self._engine.gates.wait(self._url):
            raise Overtaxed(busy=True)
        try:
            opened = self._engine.stores.store(self._url).open(self._url, at, self._validator, stop)
        except TransferError as error:
            self._engine.cancel.check()
            if error.busy:
                self._engine.traffic.trouble()
                self._engine.gates.hold(self._url, error.retry_after or HOLD)
            raise (Overtaxed(error.busy) if error.transient else PartsRefused()) from error
        if opened.offset != at:
            with opened:
                self._changed = opened.validator not in (None, self._validator)
                raise PartsRefused
        return opened

    def _put(self, data: bytes, at: int) -> None:
        self._engine.cancel.check()
        self._engine.limit.take(len(data))
        self._partial.write(data, at)
        with self._lock:
            self._received += len(data)
            self._progress.add(len(data))
            self._progress.show(self._partial.received)

    @contextlib.contextmanager
    def _waking(self, opened: Opened) -> Iterator[None]:
        with self._lock:
            self._aborts.add(opened)
        try:
            with self._engine.cancel.waking(opened.abort):
                if self._stopped:
                    raise TransferError(Reason.INTERRUPTED, "the transfer was stopped")
                yield
        finally:
            with self._lock:
                self._aborts.discard(opened)

    def _claim(self, at: int | None = None) -> Range | None:
        """The first piece that nobody has; with `at`, only if it starts there."""
        with self._lock:
            if self._stopped or not self._pieces or at not in (None, self._pieces[0][0]):
                return None
            piece = heapq.heappop(self._pieces)
            self._grow()
            return piece

    def _give_back(self, rest: Range) -> None:
        if rest[0] < rest[1]:
            with self._lock:
                heapq.heappush(self._pieces, rest)

    def _grow(self) -> None:
        """As many helpers as there is work and room for, while they are worth it."""
        seconds = self._engine.clock.now() - self._began
        is_useless = self._waits.prevail and self._received < GAIN * self._rate * seconds
        if seconds > WORTH and is_useless and self._helpers:
            self._alone = True
            self._engine.connections.refuse(self._url)
        share = min(MAX_PER_FILE, self._engine.connections.share(self._url))
        wanted = min(share - 1, len(self._pieces))
        while (
            not self._yields
            and len(self._helpers) < wanted
            and self._engine.connections.take(self._url)
        ):
            helper = threading.Thread(target=self._help, name="modelzoo-segment", daemon=True)
            self._helpers.append(helper)
            helper.start()

    def _take_helpers(self) -> list[threading.Thread]:
        with self._lock:
            helpers, self._helpers = self._helpers, []
        return helpers

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            opened = list(self._aborts)
        for one in opened:
            one.abort()
        for helper in self._take_helpers():
            helper.join(self._engine.timeout)


def _cut(gaps: list[Range], size: int) -> Iterator[Range]:
    for start, stop in gaps:
        for at in range(start, stop, size):
            yield at, min(at + size, stop)


def _too_short(url: str) -> TransferError:
    problem = "a part of the file ended too early"
    return TransferError(Reason.SIZE_MISMATCH, problem, url=mask(url), transient=True)
