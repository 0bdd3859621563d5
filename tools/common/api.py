"""The functions that the package offers to Python programs, on the same engine as the commands."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from .cache import Cache
from .cancel import Cancel
from .catalog import URL_SOURCE, Choice, active_sources, choose
from .clock import Clock
from .description import describe
from .engine import Engine
from .errors import Interrupted, ModelZooError, StorageError, UsageError
from .events import Event, Report
from .gates import Connections
from .jobs import run
from .model import Model
from .outcome import Summary
from .plan import make_plans
from .selection import Filters, parse_precisions
from .stores import Settings, Stores

Names = str | Iterable[str]

Sources = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

MAX_JOBS = 1024
"""More transfers at a time would only keep threads, connections and servers busy with each other."""

MAX_TIMEOUT = 86400
"""Seconds; systems refuse timeouts of centuries."""

MAX_INTERVAL = 3600
"""Seconds between two progress events of a file."""


class DownloadFailed(ModelZooError):
    """Some of what was asked for is not there; `summary` tells what and why."""

    def __init__(self, summary: Summary) -> None:
        failed = [model for model in summary.models if not model.successful]
        file = next((f for m in failed for f in m.files if not f.successful), None)
        cause = file or failed[0]
        super().__init__(
            f"{len(failed)} of {len(summary.models)} models failed: "
            f"{', '.join(m.model for m in failed)}; the first because {cause.message}",
            *([cause.reason] if cause.reason else []),
        )
        self.summary = summary


def list_models(*, sources: Sources = ()) -> list[str]:
    """The names of all models, in the catalog's order.

    `sources` are folders, lists of URLs, or `builtin` and `demo`; without any, the same as for the
    commands.
    """
    return _choose(None, sources).ids


def find(
    names: Names | None = None,
    *,
    exclude: Names = (),
    task: Names = (),
    framework: Names = (),
    license: Names = (),  # noqa: A002 - the option's name
    tag: Names = (),
    sources: Sources = (),
) -> list[Model]:
    """The models that the filters mean; names may be patterns, None means all.

    Raises SelectionError for a name that matches nothing, CatalogError for a broken catalog.
    """
    filters = Filters(
        patterns=None if names is None else _several(names),
        exclude=_several(exclude),
        tasks=_several(task),
        frameworks=_several(framework),
        licenses=_several(license),
        tags=_several(tag),
    )
    return list(_choose(filters, sources).models())


def from_urls(urls: Mapping[str, str | Iterable[str]]) -> list[Model]:
    """Models that are no more than URLs: `{"name/file": "https://…#sha256=…"}`, a list for mirrors.

    Raises CatalogError for what cannot be a name, a file or a URL.
    """
    from .catalog.urls import models_of, parse_entry

    entries = []
    for target, several in urls.items():
        first, *mirrors = [several] if isinstance(several, str) else several
        entries.append(parse_entry(f"{target}={first}", mirrors))
    return models_of(entries, URL_SOURCE)


def info(names: Names | None = None, *, sources: Sources = ()) -> list[dict[str, Any]]:
    """What `info_dumper` prints, as Python values."""
    return [describe(model) for model in find(names, sources=sources)]


def download(
    models: str | Model | Iterable[str | Model],
    output_dir: str | os.PathLike[str] | None = None,
    *,
    precisions: Names | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    num_attempts: int = 1,
    timeout: float = 60.0,
    offline: bool = False,
    force: bool = False,
    refresh: bool = False,
    connections: int = 64,
    connections_per_host: int = 32,
    limit_rate: float | None = None,
    progress_interval: float = 0.2,
    report: Report | None = None,
    sources: Sources = (),
) -> Summary:
    """Bring models (names, patterns, or what `find` returned, also mixed) into `output_dir`.

    Without it each goes to the folder of the program that it belongs to, else into the current one.

    `report` is called with every event, one at a time; what it raises ends the run and is raised
    here. Returns when everything is there and verified; raises DownloadFailed when something is not,
    Interrupted after Ctrl-C, UsageError for numbers that make no sense.
    """
    listener = Listener(report or _ignore)
    engine = make_engine(
        report=listener,
        cache_dir=None if cache_dir is None else Path(cache_dir),
        attempts=num_attempts,
        timeout=timeout,
        offline=offline,
        force=force,
        refresh=refresh,
        connections=connections,
        connections_per_host=connections_per_host,
        limit_rate=limit_rate,
        progress_interval=progress_interval,
    )
    wanted = None if precisions is None else parse_precisions(",".join(_several(precisions)))
    values = _models(models, sources)
    with listener:
        summary = fetch(values, None if output_dir is None else Path(output_dir), wanted, jobs, engine)
    if summary.interrupted:
        raise Interrupted
    if not summary.successful:
        raise DownloadFailed(summary)
    return summary


def _models(models: str | Model | Iterable[str | Model], sources: Sources) -> list[Model]:
    """The models in this order, found where only their names are given, each one once."""
    wanted: list[Any] = [models] if isinstance(models, str | Model) else list(models)
    if odd := [item for item in wanted if not isinstance(item, str | Model)]:
        raise TypeError(f"expected names or models, got {odd[0]!r}")
    chosen: dict[str, Model] = {}
    for are_names, some in itertools.groupby(wanted, lambda item: isinstance(item, str)):
        for model in find(some, sources=sources) if are_names else some:
            _require_same(chosen.setdefault(model.qualified, model), model)
    return list(chosen.values())


def _require_same(one: Model, other: Model) -> None:
    """Raise ModelZooError for two models of one name: a run could not tell them apart."""
    # How a model is called among the sources that were active is no part of it.
    if msgspec.structs.replace(one, id="") != msgspec.structs.replace(other, id=""):
        places = " and ".join(m.config_dir or m.subdirectory for m in (one, other))
        raise ModelZooError(f"two different models are called {one.qualified}: {places}")


class Listener:
    """Hands events to a report, until that raises: the run ends then, and `with` raises the same.

    What a report raises must not look like the failure of the file that it was told about.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._error: BaseException | None = None

    def __call__(self, event: Event) -> None:
        """Hand over one event; the workers that still end their files are not heard any more."""
        if self._error is None:
            try:
                self._report(event)
            except BaseException as error:
                self._error = error
                raise _ReportFailed from error

    def __enter__(self) -> None:
        """Nothing has to be prepared."""

    def __exit__(self, *_: object) -> None:
        if self._error is not None:
            raise self._error


class _ReportFailed(BaseException):
    """Ends a run from inside its report; not an Exception, so that nobody handles it on the way."""


def make_engine(
    *,
    report: Report,
    cache_dir: Path | None = None,
    attempts: int = 1,
    timeout: float = 60.0,
    offline: bool = False,
    force: bool = False,
    refresh: bool = False,
    connections: int = 64,
    connections_per_host: int = 32,
    limit_rate: float | None = None,
    progress_interval: float = 0.2,
) -> Engine:
    """What all transfers of one run share; raises UsageError for numbers that make no sense."""
    if attempts < 1:
        raise UsageError(f"expected at least 1 attempt, got {attempts}")
    if refresh and offline:
        raise UsageError("refresh asks the origins, which offline forbids")
    if not 0 < timeout <= MAX_TIMEOUT:
        raise UsageError(f"expected a timeout above 0 and up to {MAX_TIMEOUT} seconds, got {timeout}")
    if not 0 <= progress_interval <= MAX_INTERVAL:
        raise UsageError(
            f"expected an interval of 0 to {MAX_INTERVAL} seconds, got {progress_interval}"
        )
    return Engine(
        stores=Stores(Settings(timeout=timeout, offline=offline)),
        cache=None if cache_dir is None else Cache(cache_dir),
        report=report,
        clock=Clock(),
        cancel=Cancel(),
        attempts=attempts,
        timeout=timeout,
        force=force,
        refresh=refresh,
        connections=Connections(connections, connections_per_host),
        limit_rate=limit_rate,
        progress_interval=progress_interval,
    )


def fetch(
    models: Sequence[Model],
    output_dir: Path | None,
    precisions: frozenset[str] | None,
    jobs: int,
    engine: Engine,
) -> Summary:
    """Plan, check the space, and run. Raises ModelZooError when nothing could be started."""
    if not 1 <= jobs <= MAX_JOBS:
        raise UsageError(f"expected 1 to {MAX_JOBS} jobs, got {jobs}")
    plans = make_plans(models, output_dir, precisions, engine.cache, engine.force, engine.refresh)
    summary = run(plans, jobs, engine)
    if summary.reason is not None:
        raise StorageError(summary.message or "", summary.reason)
    return summary


def _choose(filters: Filters | None, sources: Sources) -> Choice:
    several = [sources] if isinstance(sources, str | os.PathLike) else sources
    return choose(active_sources([os.fspath(source) for source in several]), filters, _warn)


def _warn(message: str) -> None:
    """A warning about the line that called this package, however deep in it that is noticed."""
    import inspect
    import warnings

    frame, depth = inspect.currentframe(), 1
    while frame and (frame.f_globals.get("__package__") or "").partition(".")[0] == __package__:
        frame, depth = frame.f_back, depth + 1
    warnings.warn(message, stacklevel=depth)


def _several(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _ignore(event: Event) -> None:
    """Tell nobody."""
