"""Hashing files that are on this disk already, several at a time, and telling how far it is."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..cancel import Cancel
from ..checksum import Checksum, new_hasher
from ..clock import Clock
from ..concurrency import Fixed
from ..errors import Interrupted, Reason
from ..events import (
    SCHEMA_VERSION,
    Event,
    FileVerifyBegin,
    FileVerifyEnd,
    FileVerifyProgress,
    Report,
    Verdict,
    VerifyBegin,
    VerifyEnd,
)
from ..pool import Pool, Task
from ..transfer.engine import DEFAULT_ALGORITHM, one_at_a_time

CHUNK = 1 << 20  # bytes read at a time: each lets other threads run, and looks whether to stop
PROGRESS_EVERY = 0.2  # seconds
_OPEN = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_OPEN |= getattr(os, "O_NONBLOCK", 0)  # a pipe must not block; files do not notice


class Target(msgspec.Struct, frozen=True):
    """A file to be hashed. It is whole when it has this size and one of these digests.

    Without a size any will do, without digests the size alone decides.
    """

    path: Path
    size: int | None
    checksums: tuple[Checksum, ...]
    model: str | None = None
    about: int = 0
    """Bytes that there are to read where no size is required."""

    @property
    def length(self) -> int:
        """Bytes that there are to read, as far as anybody knows."""
        return self.about if self.size is None else self.size


class Finding(msgspec.Struct, frozen=True):
    """What a file turned out to be, and its size and time (ns) when it was read."""

    state: Verdict
    checksum: Checksum | None = None
    size: int = 0
    mtime_ns: int = 0
    message: str | None = None


Judge = Callable[[int, Finding], Finding]
"""Looks again at the finding about the target of this number, before anybody is told."""


def rehash(
    targets: Sequence[Target],
    workers: int,
    report: Report,
    clock: Clock,
    judge: Judge = lambda _, finding: finding,
) -> list[Finding]:
    """Hash all targets; raises Interrupted, within about a second after a KeyboardInterrupt."""
    return _Run(targets, report, clock, judge).run(workers)


def until_the_end(report: Report) -> Report:
    """The report, safe to be called from several threads, which hears nothing after `verify_end`.

    Workers that are still at it when the user did not want to wait may have something to say.
    """
    ended = False

    def tell(event: Event) -> None:
        nonlocal ended
        if not ended:
            ended = isinstance(event, VerifyEnd)
            report(event)

    return one_at_a_time(tell)


class _Run:
    def __init__(self, targets: Sequence[Target], report: Report, clock: Clock, judge: Judge) -> None:
        self._targets, self._clock, self._judge = targets, clock, judge
        self._report, self._cancel = until_the_end(report), Cancel()
        self._findings: dict[int, Finding] = {}
        self._read: dict[int, int] = {}

    def run(self, workers: int) -> list[Finding]:
        """Hash everything."""
        started = self._clock.now()
        size = sum(target.length for target in self._targets)
        self._report(VerifyBegin(schema_version=SCHEMA_VERSION, files=len(self._targets), size=size))
        tasks = (self._task(number) for number in range(len(self._targets)))
        try:
            Pool(Fixed(min(workers, len(self._targets) or 1)), self._clock, self._cancel).run(tasks)
        except KeyboardInterrupt:
            self._report(self._end(started, Reason.INTERRUPTED))
            raise Interrupted from None
        self._report(self._end(started, None))
        return [self._findings[number] for number in range(len(self._targets))]

    def _end(self, started: float, reason: Reason | None) -> VerifyEnd:
        found = list(self._findings.values())
        failed = sum(finding.state not in ("whole", "gone") for finding in found)
        return VerifyEnd(
            successful=not failed and reason is None,
            files=len(found),
            files_failed=failed,
            size=sum(list(self._read.values())),
            seconds=round(self._clock.now() - started, 3),
            reason=reason,
        )

    def _task(self, number: int) -> Task:
        target = self._targets[number]
        names: dict[str, Any] = {"path": str(target.path), "model": target.model}
        self._report(FileVerifyBegin(size=target.length, **names))
        finding = self._judge(number, self._find(number, target, names))
        self._findings[number] = finding
        checksum = str(finding.checksum) if finding.checksum else None
        state, message = finding.state, finding.message
        self._report(FileVerifyEnd(state=state, checksum=checksum, message=message, **names))
        yield from ()  # it never has to wait

    def _find(self, number: int, target: Target, names: dict[str, Any]) -> Finding:
        try:
            with open(_open(target.path), "rb", buffering=0) as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):
                    return Finding("changed", message="is not a regular file")
                if target.size not in (None, found.st_size):
                    return Finding("changed", message=_wrong_size(target.size, found.st_size))
                algorithms = {c.type for c in target.checksums} or {DEFAULT_ALGORITHM}
                hashers = {algorithm: new_hasher(algorithm) for algorithm in algorithms}
                for chunk in self._chunks(number, file.read, names):
                    for hasher in hashers.values():
                        hasher.update(chunk)
        except (FileNotFoundError, NotADirectoryError):
            return Finding("missing", message="is not there")
        except IsADirectoryError:
            return Finding("changed", message="is a folder")
        except OSError as error:
            return Finding("unreadable", message=error.strerror or str(error))
        sums = [Checksum(algorithm, h.hexdigest()) for algorithm, h in hashers.items()]
        if proof := next((c for c in target.checksums if c in sums), None):
            return Finding("whole", proof, found.st_size, found.st_mtime_ns)
        if not target.checksums:
            return Finding("whole", sums[0], found.st_size, found.st_mtime_ns)
        message = f"expected {target.checksums[0]}, it has {sums[0]}"
        return Finding("changed", sums[0], found.st_size, found.st_mtime_ns, message)

    def _chunks(
        self, number: int, read: Callable[[int], bytes], names: dict[str, Any]
    ) -> Iterator[bytes]:
        """The bytes of a file, told of from time to time; raises Interrupted."""
        size, shown = 0, self._clock.now()
        while chunk := read(CHUNK):
            yield chunk
            self._cancel.check()
            size += len(chunk)
            self._read[number] = size
            if (now := self._clock.now()) - shown >= PROGRESS_EVERY:
                shown = now
                self._report(FileVerifyProgress(size=size, **names))


def _open(path: Path) -> int:
    """Open a file to read it, as if nobody had where that can be: hashing is not using it."""
    with contextlib.suppress(PermissionError):  # files of other users
        return os.open(path, _OPEN | getattr(os, "O_NOATIME", 0))
    return os.open(path, _OPEN)


def _wrong_size(expected: int | None, found: int) -> str:
    return f"expected {expected} bytes, it has {found}"
