"""Work on the machines of a Dask cluster: sending jobs, and doing them there.

A job of a killed worker is done again by another one, which is Dask's doing. That nothing is left
running is ours: Dask forgets a cancelled task, but cannot stop what it has started.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import uuid
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ..cancel import Cancel
from ..errors import Interrupted, ModelZooError, Reason
from ..version import VERSION
from .output import Collected
from .work import DECODER, Task, perform

if TYPE_CHECKING:
    from distributed import Client

PATIENCE = 10
"""Seconds for which a scheduler is waited for."""

POLL = 0.1
"""Seconds between looks at whether a task is still wanted."""


_ERRAND = (
    "__import__('importlib').import_module('modelzoo.openvino.cluster').perform_here(task, version)"
)
"""What a worker evaluates. A function of ours would be sent by its module's name, which in a checkout
is another one than where the package is installed."""


class Result(msgspec.Struct, frozen=True):
    """What came of a job, and what it has said: whether for standard error, and the text."""

    successful: bool
    said: list[tuple[bool, str]]


@contextlib.contextmanager
def connect(address: str) -> Iterator[Client]:
    """A client of the scheduler at this address; raises ModelZooError when there is none."""
    try:
        from distributed import Client
    except ImportError:
        import sys

        command = f"{sys.executable} -m pip install 'distributed>=2024.8'"
        raise ModelZooError(
            f"--scheduler: the package distributed is missing; install with: {command}"
        ) from None
    import logging

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is said by us
    try:
        client: Client = Client(  # type: ignore[no-untyped-call]
            address, timeout=PATIENCE, name="modelzoo", set_as_default=False
        )
    except (OSError, ValueError) as error:
        problem = f"no scheduler answers at {address}: {error}"
        raise ModelZooError(f"--scheduler: {problem}", Reason.NETWORK) from None
    with client:
        yield client


def run_tasks(
    client: Client, tasks: Sequence[Task], limit: int | None
) -> Generator[Result, None, None]:
    """Have tasks done, at most `limit` at a time; their results, in their order.

    Tasks that are not done when the caller goes away are cancelled.
    """
    run, waiting = uuid.uuid4().hex, [*enumerate(tasks)][::-1]
    running: dict[Any, int] = {}
    ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
    done: dict[int, Result] = {}
    try:
        for turn in range(len(tasks)):
            while turn not in done:
                while waiting and (limit is None or len(running) < limit):
                    number, task = waiting.pop()
                    future = _submit(client, task, f"modelzoo-{run}-{number}")
                    running[future] = number
                    future.add_done_callback(ended.put)
                future = ended.get()
                done[running.pop(future)] = _result(future)
            yield done.pop(turn)
    finally:
        if running:
            client.cancel(list(running), force=True)  # type: ignore[no-untyped-call]


def _submit(client: Client, task: Task, key: str) -> Any:
    variables = {"task": msgspec.json.encode(task), "version": VERSION}
    return client.submit(eval, _ERRAND, variables, key=key, pure=False)


def _result(future: Any) -> Result:
    try:
        return msgspec.json.decode(future.result(), type=Result)
    except ModuleNotFoundError as error:
        problem = f"a worker has no package modelzoo-tools, or not all that it needs: {error}"
    except Exception as error:  # whatever Dask raises: workers were killed again and again, say
        problem = f"no worker has done it: {type(error).__name__}: {error}"
    return Result(False, [(True, problem)])


def perform_here(data: bytes, version: str) -> bytes:
    """Do a task on this worker; raises RuntimeError for a task of another version."""
    if version != VERSION:
        raise RuntimeError(f"this worker has modelzoo-tools {VERSION}, the sender {version}")
    output = Collected()
    with _until_unwanted() as cancel:
        try:
            successful = perform(DECODER.decode(data), output, cancel, lambda task: None)
        except Interrupted:
            successful = False
    said = [(is_warning, _plain(text)) for is_warning, text in output.said]
    return msgspec.json.encode(Result(successful, said))


def _plain(text: str) -> str:
    """Text that JSON can hold: file names may be no Unicode."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


@contextlib.contextmanager
def _until_unwanted() -> Iterator[Cancel]:
    """A flag that is set once nobody wants the result of this worker's current task any more."""
    from distributed import get_worker

    worker, cancel, ended = get_worker(), Cancel(), threading.Event()
    key = worker.get_current_task()

    def watch() -> None:
        while not ended.wait(POLL):
            task = worker.state.tasks.get(key)
            if task is None or task.state != "executing":
                cancel.set()
                return

    watcher = threading.Thread(target=watch, name="modelzoo-watch", daemon=True)
    watcher.start()
    try:
        yield cancel
    finally:
        ended.set()
        watcher.join()
