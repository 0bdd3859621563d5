"""Processes that share the work of a run whose files are small and many.

Python runs one thread at a time, and small files keep it busy, so two processes get nearly twice as
far. They are forked before the work begins, take the models one after the other, and send whatever
there is to report to the process that they came from.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from ..errors import Reason
from ..events import AnyEvent, Event, ModelFileDownloadBegin, ModelFileDownloadEnd, Notice
from ..pool import GRACE, LOOK
from ..transfer.engine import Engine
from ..web.gates import Hold, Lesson, Refusal
from .outcome import LOST, Ended

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkProcess

TICKETS = 8192
"""How many may wait, at 4 bytes each: a pipe holds 64 KiB."""
BATCH = 0.004  # seconds that a message may wait for others to go with it
MOST_PENDING = 1024  # messages that wait for a process that reports slowly


class _Told(msgspec.Struct, frozen=True, tag=True):
    event: AnyEvent | Notice


class _Learned(msgspec.Struct, frozen=True, tag=True):
    lesson: Hold | Refusal


class _Stop(msgspec.Struct, frozen=True, tag=True):
    """Put things down."""


_Message = _Told | _Learned | Ended

_ENCODER = msgspec.msgpack.Encoder()
_FROM_MEMBER = msgspec.msgpack.Decoder(list[_Message])
_TO_MEMBER = msgspec.msgpack.Decoder(_Learned | _Stop)


class Link:
    """What a member has of the process that it came from.

    Messages go in batches, since each one sent costs as much as a tenth of a small file.
    """

    def __init__(self, connection: Connection[bytes, bytes]) -> None:
        self._connection, self._changed = connection, threading.Condition()
        self._pending: list[_Message] = []
        self._sender = threading.Thread(target=self._send_all, daemon=True)
        self._sender.start()

    def tell(self, event: Event) -> None:
        """Have the event reported."""
        self._send(_Told(event))  # type: ignore[arg-type]  # whatever is reported is one of them

    def teach(self, lesson: Lesson) -> None:
        """Let the other members know."""
        self._send(_Learned(lesson))

    def end(self, ended: Ended) -> None:
        """Say that nothing more will come; returns when everything has been sent."""
        self._send(ended)
        self._sender.join()

    def _send(self, message: _Message) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._pending) < MOST_PENDING)
            self._pending.append(message)
            if len(self._pending) == 1:
                self._changed.notify_all()

    def _send_all(self) -> None:
        last: _Message | None = None
        while not isinstance(last, Ended):
            with self._changed:
                self._changed.wait_for(lambda: self._pending)
            time.sleep(BATCH)
            with self._changed:
                batch, self._pending = self._pending, []
                self._changed.notify_all()
            last = batch[-1]
            try:
                self._connection.send_bytes(_ENCODER.encode(batch))
            except OSError:  # nobody is left to report to
                os._exit(1)

    def listen(self, learn: Callable[[Lesson], None]) -> None:
        """Hear in the background what others have learned, and Ctrl-C."""
        threading.Thread(target=self._listen, args=(learn,), daemon=True).start()

    def _listen(self, learn: Callable[[Lesson], None]) -> None:
        try:
            while isinstance(message := _TO_MEMBER.decode(self._connection.recv_bytes()), _Learned):
                learn(message.lesson)
            signal.raise_signal(signal.SIGINT)
        except (EOFError, OSError):  # nobody is left to report to
            os._exit(1)


Act = Callable[[int, Iterator[int], Link], Ended]
"""What a member, of which this is the position among all, does with the numbers that it is given."""


class Crew:
    """Some members, forked at once; `relay` lets them work. Leaving the context ends them."""

    def __init__(self, members: int, count: int, act: Act) -> None:
        import multiprocessing

        context = multiprocessing.get_context("fork")
        tickets, step = _tickets(count)
        pairs = [context.Pipe() for _ in range(members)]
        self._members: dict[Connection[bytes, bytes], ForkProcess] = {}
        for position, (ours, theirs) in enumerate(pairs):
            others = [end for pair in pairs for end in pair if end is not theirs]
            numbers = _numbers(tickets, step, count)
            work = functools.partial(act, position, numbers)
            process = context.Process(target=_member, args=(work, theirs, others), daemon=True)
            with _later(signal.SIGINT, signal.SIGTERM):  # a member is not ready for them at once
                process.start()
            self._members[ours] = process
        os.close(tickets)
        for _, theirs in pairs:
            theirs.close()
        self._open: dict[Connection[bytes, bytes], dict[tuple[str, str], str]] = {
            ours: {} for ours in self._members
        }
        self._ended: list[Ended] = []
        self._error: BaseException | None = None
        self._sending, self._all_ended = threading.Lock(), threading.Event()

    def relay(self, engine: Engine) -> Ended:
        """Report what the members tell until all have ended; their ends in one.

        KeyboardInterrupt stops them. Models without an outcome were lost or never begun.
        """
        # On a thread: Ctrl-C reaches the main one, and must not cut a message or a report in two.
        threading.Thread(target=self._listen, args=(engine,), daemon=True).start()
        interrupted = False
        try:
            while not self._all_ended.wait(LOOK):
                pass
        except KeyboardInterrupt:
            interrupted = True
            self._send(_Stop())
            if not self._all_ended.wait(GRACE + LOOK):
                self._kill()
                self._all_ended.wait(LOOK)
        if self._error is not None:
            raise self._error
        return Ended(
            outcomes={n: outcome for ended in self._ended for n, outcome in ended.outcomes.items()},
            interrupted=interrupted or any(ended.interrupted for ended in self._ended),
            network=sum(ended.network for ended in self._ended),
        )

    def _listen(self, engine: Engine) -> None:
        from multiprocessing.connection import wait

        try:
            while self._open:
                ready = wait(list(self._open))
                for connection in [member for member in self._open if member in ready]:
                    self._hear(connection, engine)
        except BaseException as error:  # of a report
            self._error = error
        finally:
            self._all_ended.set()

    def _hear(self, connection: Connection[bytes, bytes], engine: Engine) -> None:
        try:
            messages = _FROM_MEMBER.decode(connection.recv_bytes())
        except (EOFError, OSError):
            self._close(connection, engine)
            return
        for message in messages:
            self._take(message, connection, engine)

    def _take(self, message: _Message, connection: Connection[bytes, bytes], engine: Engine) -> None:
        if isinstance(message, _Told):
            self._report(connection, message.event, engine)
        elif isinstance(message, _Learned):
            engine.gates.learn(message.lesson)
            self._send(message, but=connection)
        else:
            self._ended.append(message)
            if message.interrupted:
                self._send(_Stop(), but=connection)

    def _report(self, connection: Connection[bytes, bytes], event: Event, engine: Engine) -> None:
        unfinished = self._open[connection]
        if isinstance(event, ModelFileDownloadBegin):
            unfinished[event.model, event.model_file] = event.path
        elif isinstance(event, ModelFileDownloadEnd):
            del unfinished[event.model, event.model_file]
        engine.report(event)

    def _close(self, connection: Connection[bytes, bytes], engine: Engine) -> None:
        """A member is gone; what it has not told any more, others are told all the same."""
        for (model, file), path in self._open.pop(connection).items():
            engine.report(
                ModelFileDownloadEnd(
                    model=model,
                    model_file=file,
                    successful=False,
                    path=path,
                    reason=Reason.INTERRUPTED,
                    message=LOST,
                )
            )
        connection.close()

    def _send(self, message: _Learned | _Stop, but: Connection[bytes, bytes] | None = None) -> None:
        with self._sending:
            for connection in self._members:
                if connection is not but:
                    with contextlib.suppress(OSError):  # it has ended
                        connection.send_bytes(_ENCODER.encode(message))

    def _kill(self) -> None:
        for connection, process in self._members.items():
            if connection in self._open:
                process.kill()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()
        for connection, process in self._members.items():
            process.join()
            connection.close()


@contextlib.contextmanager
def _later(*signals: signal.Signals) -> Iterator[None]:
    """Hold the signals back until afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _interrupt_once(number: int, frame: Any) -> None:
    """Both the terminal and the process that it came from may tell a member of one Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _tickets(count: int) -> tuple[int, int]:
    """A pipe that holds the first number of every portion, and how large the portions are."""
    step = -(-count // TICKETS) or 1
    reading, writing = os.pipe()
    os.write(writing, b"".join(n.to_bytes(4, "big") for n in range(0, count, step)))
    os.close(writing)
    return reading, step


def _numbers(tickets: int, step: int, count: int) -> Iterator[int]:
    """The numbers of the portions that a member takes."""
    while ticket := os.read(tickets, 4):
        start = int.from_bytes(ticket, "big")
        yield from range(start, min(start + step, count))


def _member(
    work: Callable[[Link], Ended],
    connection: Connection[bytes, bytes],
    others: list[Connection[bytes, bytes]],
) -> None:
    """What a member does from its fork to its end."""
    for other in others:  # as long as they are open here, nobody sees that their processes have ended
        other.close()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, _interrupt_once)
    with contextlib.suppress(KeyboardInterrupt, OSError):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
        link = Link(connection)
        ended = work(link)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        link.end(ended)
