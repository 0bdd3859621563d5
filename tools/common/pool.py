"""A bounded number of workers for tasks that sometimes have to wait.

A task is a generator that yields the seconds it wants to be left alone; meanwhile its worker takes
another task. The workers are daemon threads: one that hangs in a connect never keeps the program
from ending.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Generator, Iterator

from .cancel import Cancel
from .clock import Clock
from .concurrency import Fixed, Governor

Task = Generator[float, None, None]

LOOK = 0.2  # seconds between looks at how many workers there should be
GRACE = 0.7  # seconds that an interrupted run gives its workers to put things down


class Pool:
    """Runs tasks; the first exception that one lets out stops all and is raised by `run`."""

    def __init__(self, limit: Fixed | Governor, clock: Clock, cancel: Cancel) -> None:
        self._limit, self._clock, self._cancel = limit, clock, cancel
        lock = threading.Lock()
        self._changed, self._ended = threading.Condition(lock), threading.Condition(lock)
        self._waiting: list[tuple[float, int, Task]] = []
        self._order = itertools.count()
        self._active = self._running = self._started = 0
        self._error: BaseException | None = None

    def run(self, tasks: Iterator[Task]) -> None:
        """Return when every task is done; on KeyboardInterrupt stop within about a second."""
        self._tasks: Iterator[Task] = tasks
        try:
            self._grow()
            while not self._wait(LOOK):
                self._limit.look(time.monotonic())
                self._grow()
        except BaseException:
            self._stop()
            self._wait(GRACE)
            raise
        finally:
            self._drop_waiting()
        if self._error is not None:
            raise self._error

    def _grow(self) -> None:
        """Have as many workers as may work; those that may not any more wait."""
        while self._started < self._limit.allowed:
            with self._changed:
                self._running += 1
                self._started += 1
            name = f"modelzoo-{self._started}"
            threading.Thread(target=self._work, name=name, daemon=True).start()

    def _wait(self, seconds: float) -> bool:
        """Whether the workers have ended, before so many seconds are over."""
        # Not with Thread.join: before Python 3.13 an interrupted join takes the thread for ended.
        # In steps, because Windows does not deliver Ctrl-C inside a long wait.
        with self._ended:
            return self._ended.wait_for(lambda: not self._running, seconds)

    def _stop(self) -> None:
        self._cancel.set()
        with self._changed:
            self._changed.notify_all()

    def _work(self) -> None:
        try:
            while (task := self._next()) is not None:
                self._put_back(task, next(task, None))
        except BaseException as error:
            self._error = self._error or error
            self._stop()
        finally:
            with self._ended:
                self._running -= 1
                self._ended.notify_all()

    def _put_back(self, task: Task, delay: float | None) -> None:
        with self._changed:
            self._active -= 1
            if delay is not None:
                due = self._clock.now() + delay
                heapq.heappush(self._waiting, (due, next(self._order), task))
            if delay is not None or not self._active:  # nobody waits for anything else
                self._changed.notify_all()

    def _next(self) -> Task | None:
        """A task that can go on, as soon as there is one; None when there will be none."""
        with self._changed:
            while not self._cancel:
                now = self._clock.now()
                if self._active < self._limit.allowed:
                    if (task := self._take(now)) is not None:
                        self._active += 1
                        return task
                    if not self._waiting and not self._active:
                        return None
                self._clock.wait(self._changed, self._waiting[0][0] - now if self._waiting else None)
        return None

    def _take(self, now: float) -> Task | None:
        if self._waiting and self._waiting[0][0] <= now:
            return heapq.heappop(self._waiting)[2]
        return next(self._tasks, None)

    def _drop_waiting(self) -> None:
        """Let the tasks that will not go on release what they hold."""
        for _, _, task in self._waiting:
            task.close()
        self._waiting.clear()
