"""The words of several jobs at once: each job's together, in the order of the jobs."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from ..cancel import Cancel
from .stream import warn, write_text


class Direct:
    """Standard output and error as they are, also for child processes."""

    captures = False

    def write(self, text: str) -> None:
        """Text for standard output."""
        write_text(text)

    def warn(self, message: str) -> None:
        """A line for standard error."""
        warn(message)


def repeat(said: Iterable[tuple[bool, str]]) -> None:
    """Say what somebody has said elsewhere: whether it is for standard error, and the text."""
    for is_warning, text in said:
        warn(text) if is_warning else write_text(text)


class _Waiting:
    """What one job has said, until it is its turn."""

    captures = True

    def __init__(self) -> None:
        self._said: queue.SimpleQueue[tuple[bool, str] | None] = queue.SimpleQueue()

    def write(self, text: str) -> None:
        """Text for standard output."""
        self._said.put((False, text))

    def warn(self, message: str) -> None:
        """A line for standard error."""
        self._said.put((True, message))

    def end(self, job: Future[bool]) -> None:
        """Nothing more comes."""
        self._said.put(None)

    def say(self) -> None:
        """Say everything, as it comes, until the job has ended."""
        repeat(iter(self._said.get, None))


Job = Callable[[Direct | _Waiting], bool]


def run_in_turns(jobs: Sequence[Job], workers: int, cancel: Cancel) -> list[bool]:
    """Run jobs, so many at a time; whether each has succeeded. However it ends, no job is left."""
    if workers == 1:
        return [job(Direct()) for job in jobs]
    with ThreadPoolExecutor(workers, thread_name_prefix="modelzoo-job") as pool:
        try:
            started = [_start(pool, job) for job in jobs]
            results = []
            for output, future in started:
                output.say()
                results.append(future.result())
            return results
        except BaseException:
            cancel.set()
            pool.shutdown(cancel_futures=True)
            raise


def _start(pool: ThreadPoolExecutor, job: Job) -> tuple[_Waiting, Future[bool]]:
    output = _Waiting()
    future = pool.submit(job, output)
    future.add_done_callback(output.end)
    return output, future
