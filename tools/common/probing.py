"""Whether the places that a catalog names still have its files: asks for headers, fetches nothing."""

from __future__ import annotations

import functools
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from .concurrency import Fixed
from .content import extent, wrong_content
from .errors import Reason, TransferError
from .events import Event
from .model import Model, ModelFile, Origin
from .pool import Pool, Task
from .run.setup import make_engine
from .stores import Store
from .transfer.engine import Engine, Job
from .transfer.file import patiently
from .web.credentials import host_of, mask
from .web.topaz_cdn import use_cookie

PER_HOST = 2
"""Questions to one host at a time."""

HOSTS = 16
"""Hosts that are asked at a time, at most."""

State = Literal["ok", "dead", "moved", "size", "denied", "content", "unreachable"]
"""`dead`: it is not there; `moved`: for good; `size`, `content`: something else is there now."""

_STATES: dict[Reason, State] = {
    Reason.NOT_FOUND: "dead",
    Reason.INVALID_CATALOG: "dead",
    Reason.ACCESS_DENIED: "denied",
    Reason.WRONG_CONTENT: "content",
}
"""What an error means; `unreachable` where it is not here."""


class Finding(msgspec.Struct, frozen=True):
    """What became of one URL (masked) of one file; sizes in bytes, None where nobody says."""

    model: str
    file: str
    url: str
    state: State
    size: int | None = None
    found_size: int | None = None
    location: str | None = None
    message: str | None = None


class _Seen(msgspec.Struct, frozen=True):
    """What a place says of its file."""

    size: int | None = None
    media_type: str | None = None
    encoding: str | None = None
    location: str | None = None


@runtime_checkable
class _Asking(Protocol):
    """A store that speaks HTTP."""

    def ask(self, url: str, headers: Mapping[str, str] = ..., method: str = ...) -> Any:
        """See HttpStore.ask."""
        ...


def probe(models: Iterable[Model], *, num_attempts: int = 2, timeout: float = 20.0) -> list[Finding]:
    """Ask after every URL of these models, politely; one finding for each, in their order."""
    use_cookie()
    files = [(model, file, o.url) for model in models for file in model.files for o in file.origins]
    engine = make_engine(report=_ignore, attempts=num_attempts, timeout=timeout)
    answers: dict[str, _Seen | TransferError] = {}
    lanes = list(_lanes({url: Job(m.id, f, Path(), (Origin(url),)) for m, f, url in files}))
    workers = min(len(lanes), HOSTS * PER_HOST) or 1
    Pool(Fixed(workers), engine.clock, engine.cancel).run(_ask(lane, answers, engine) for lane in lanes)
    return [_finding(model.id, file, url, answers[url]) for model, file, url in files]


def _ignore(event: Event) -> None:
    """What went wrong is in the findings."""


def _lanes(jobs: Mapping[str, Job]) -> Iterator[deque[tuple[str, Job]]]:
    """The questions to each host; as many lanes work on them as it may get at a time."""
    hosts: dict[object, deque[tuple[str, Job]]] = defaultdict(deque)
    for url, job in jobs.items():
        hosts[_host(url)].append((url, job))
    for questions in hosts.values():
        yield from [questions] * min(PER_HOST, len(questions))


def _host(url: str) -> object:
    try:
        return host_of(url)
    except ValueError:
        return ""


def _ask(
    questions: deque[tuple[str, Job]], answers: dict[str, _Seen | TransferError], engine: Engine
) -> Task:
    while questions:
        try:
            url, job = questions.popleft()
        except IndexError:  # the other lane was faster
            return
        try:
            look = functools.partial(_look, engine.stores.store(url), url)
            answers[url] = yield from patiently(url, look, job, engine)
        except TransferError as error:
            answers[url] = error


def _look(store: Store, url: str) -> _Seen:
    if isinstance(store, _Asking):
        return _look_by_http(store, url)
    with store.open(url) as opened:
        return _Seen(opened.size, opened.media_type, opened.encoding)


def _look_by_http(store: _Asking, url: str) -> _Seen:
    """Ask with HEAD, and for one byte where a server does not know better."""
    from .stores.http import dismiss, status_error

    response, credential, hops = store.ask(url, method="HEAD")
    dismiss(response)
    busy = response.status in (429, 503)
    if not busy and (response.status != 200 or "Content-Length" not in response.headers):
        response, credential, hops = store.ask(url, {"Range": "bytes=0-0"})
        dismiss(response)
    if response.status not in (200, 206):
        raise status_error(response, url, credential)
    location = None
    for hop in hops:
        if hop.status not in (301, 308):
            break
        location = mask(hop.target)
    size = (extent(response.status, response.headers) or (0, None))[1]
    encoding = response.headers.get("Content-Encoding")
    return _Seen(size, response.headers.get("Content-Type"), encoding, location)


def _finding(model: str, file: ModelFile, url: str, seen: _Seen | TransferError) -> Finding:
    found = functools.partial(Finding, model, file.name, mask(url), size=file.size)
    if isinstance(seen, TransferError):
        message = seen.message.removeprefix(f"{seen.url}: ")
        return found(state=_STATES.get(seen.reason, "unreachable"), message=message)
    found = functools.partial(found, found_size=seen.size, location=seen.location)
    known = None not in (file.size, seen.size) and not seen.encoding
    if not known or file.size != seen.size:
        if problem := wrong_content(file.name, b"", seen.media_type, None, file.checksum is not None):
            return found(state="content", message=problem)
        if known:
            return found(state="size", message=f"expected {file.size} bytes, there are {seen.size}")
    if seen.location:
        return found(state="moved", message=f"has moved for good to {seen.location}")
    return found(state="ok")


def wrong(findings: Iterable[Finding]) -> Sequence[Finding]:
    """Those that somebody has to look at."""
    return [finding for finding in findings if finding.state != "ok"]
