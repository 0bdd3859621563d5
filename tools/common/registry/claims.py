"""Claims: of two processes that publish one model, one wins, on whatever machines they are.

A claim is a small file that is created only where there is none, which folders and object storage both
can. Its holder renews it. A claim whose holder is gone is not removed, since two who find it could then
remove each other's, but followed by one with the next number: whoever creates that one has it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from ..errors import AlreadyPublishedError, ModelZooError, Reason, TransferError
from ..files.locks import machine
from .layout import CLAIMS
from .storage import Storage

RENEWAL = 10.0
"""Seconds between two renewals."""

EXPIRY = 60.0
"""Seconds after which a claim that nobody renews is given up."""

SKEW = 600.0
"""Seconds by which the clocks of two machines may differ; more than that ago is long ago."""

POLL = 0.5  # seconds between looks at a claim that may have been given up


class Claim(msgspec.Struct, frozen=True):
    """Who claims: a name for people, what tells the process from all others, and a date (seconds)."""

    holder: str
    machine: str
    process: int
    began: str
    renewed: float


class _Found(NamedTuple):
    number: int
    claim: Claim | None


class Times(NamedTuple):
    """How long things take, in seconds, so that tests can be quicker."""

    renewal: float = RENEWAL
    expiry: float = EXPIRY
    poll: float = POLL


class Held:
    """A claim that this process holds, and renews until it lets go."""

    def __init__(
        self, storage: Storage, title: str, key: tuple[str, int], claim: Claim, times: Times
    ) -> None:
        self._storage, self._title = storage, title
        self._folder, self._number = key
        self._claim, self._times = claim, times
        self._renewed = time.monotonic()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="modelzoo-claim", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise ModelZooError when the claim is lost: this process slept, or could not renew it."""
        newest = max((number for number, _ in _numbers(self._storage, self._folder)), default=0)
        if newest != self._number or time.monotonic() - self._renewed > self._times.expiry:
            problem = f"somebody else has taken over what was being published to {self._storage.url}"
            raise AlreadyPublishedError(self._title, problem)

    def _renew(self) -> None:
        key = _key(self._folder, self._number)
        while not self._end.wait(self._times.renewal):
            with contextlib.suppress(ModelZooError, OSError):  # until it expires there is time
                renewed = msgspec.structs.replace(self._claim, renewed=time.time())
                self._storage.write(key, msgspec.json.encode(renewed))
                self._renewed = time.monotonic()

    def let_go(self) -> None:
        """Remove the claim and those that it followed; what cannot be removed expires."""
        self._end.set()
        self._thread.join()
        with contextlib.suppress(ModelZooError, OSError):
            for number, key in sorted(_numbers(self._storage, self._folder)):
                if number <= self._number:
                    self._storage.delete(key)


@contextlib.contextmanager
def claimed(
    storage: Storage,
    name: str,
    title: str,
    *,
    wait: float = 0.0,
    told: Callable[[str], None],
    times: Times = Times(),  # noqa: B008
) -> Iterator[Held]:
    """While inside, this process alone has the name; `told` hears whom it waits for.

    A holder that lives is waited for so many seconds; then AlreadyPublishedError, about `title`.
    """
    held = _obtain(storage, name, title, wait, told, times)
    try:
        yield held
    finally:
        held.let_go()


def _obtain(
    storage: Storage,
    name: str,
    title: str,
    wait: float,
    told: Callable[[str], None],
    times: Times,
) -> Held:
    folder = f"{CLAIMS}/{name}"
    watch = _Watch(times)
    deadline = time.monotonic() + wait
    while True:
        found = _newest(storage, folder)
        if found is None or watch.is_given_up(found):
            number = found.number + 1 if found else 1
            claim = Claim(_holder(), _machine(), os.getpid(), _began(os.getpid()), time.time())
            if storage.create(_key(folder, number), msgspec.json.encode(claim)):
                return Held(storage, title, (folder, number), claim, times)
            continue
        holder = found.claim.holder if found.claim else "somebody"
        if watch.lives and time.monotonic() >= deadline:
            raise AlreadyPublishedError(title, f"is being published by {holder} right now")
        if watch.looks == 1:
            told(f"{title}: waiting to see whether {holder} is still at work on it")
        time.sleep(times.poll)


class _Watch:
    """Looks at a claim until it is known whether its holder lives."""

    def __init__(self, times: Times) -> None:
        self._times = times
        self._seen: _Found | None = None
        self._since = 0.0
        self.lives = False
        self.looks = 0

    def is_given_up(self, found: _Found) -> bool:
        """Whether nobody holds this claim any more; `lives` says whether somebody surely does."""
        self.looks += 1
        claim, now = found.claim, time.monotonic()
        if claim is not None and claim.machine and claim.machine == _machine():
            self.lives = _began(claim.process) == claim.began
            return not self.lives
        if found != self._seen:
            self.lives = self._seen is not None  # a renewal, or a new claim
            self._seen, self._since = found, now
        long_ago = claim is not None and claim.renewed < time.time() - self._times.expiry - SKEW
        return long_ago or now - self._since > self._times.expiry


def _key(folder: str, number: int) -> str:
    return f"{folder}/{number:06}.json"


def _numbers(storage: Storage, folder: str) -> Iterator[tuple[int, str]]:
    for entry in storage.list(folder):
        name = entry.key.rpartition("/")[2].removesuffix(".json")
        if len(name) == 6 and name.isascii() and name.isdigit():
            yield int(name), entry.key


def _newest(storage: Storage, folder: str) -> _Found | None:
    """The claim with the highest number; without its contents where they cannot be read."""
    number, key = max(_numbers(storage, folder), default=(0, ""))
    if not number:
        return None
    try:
        return _Found(number, msgspec.json.decode(storage.read(key), type=Claim))
    except TransferError as error:
        if error.reason != Reason.NOT_FOUND:
            raise
        return _newest(storage, folder)  # its holder has just let go
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Found(number, None)


def _holder() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _machine() -> str:
    """What processes that see each other's numbers have in common; empty where nobody knows."""
    with contextlib.suppress(OSError):
        return f"{machine()}-{os.stat('/proc/self/ns/pid').st_ino}" if machine() else ""
    return ""


def _began(process: int) -> str:
    """When a process began, so that the next owner of its number is not taken for it; empty: gone."""
    with contextlib.suppress(OSError, IndexError), open(f"/proc/{process}/stat", "rb") as stat:
        # proc(5): the name in parentheses may hold anything; state comes next, starttime is field 22.
        fields = stat.read().rpartition(b")")[2].split()
        if fields[0] not in (b"Z", b"X"):
            return fields[19].decode()
    return ""
