"""The functions that the package offers to Python programs, on the same engine as the commands."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from .catalog import URL_SOURCE, Choice, choose
from .concurrency import Jobs
from .description import describe
from .errors import Interrupted, ModelZooError
from .events import Event, Report
from .model import Model
from .parameters import Parameters, conditions
from .requirements import Level, ensure, parse_level
from .run.outcome import Summary
from .run.setup import Listener, fetch, make_cache, make_engine
from .selection import Filters, parse_precisions
from .sources import active
from .variants import EVERY_VARIANT, Variants, wanted_variants
from .web.topaz_cdn import use_cookie

Names = str | Iterable[str]

Sources = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


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


def list_models(
    *, sources: Sources = (), backend: str | None = None, gpu: str | None = None
) -> list[str]:
    """The names of all models, in the catalog's order.

    `sources` are folders, lists of URLs, registered sources, or `builtin`, `demo` and `topaz`; without
    any, the same as for the commands. Models that have files for several backends, but none for this
    one (and this GPU), are left out.
    """
    return _choose(None, sources, wanted_variants(backend, gpu)).ids


def find(
    names: Names | None = None,
    *,
    exclude: Names = (),
    task: Names = (),
    framework: Names = (),
    license: Names = (),  # noqa: A002 - the option's name
    tag: Names = (),
    param: Parameters = (),
    sources: Sources = (),
    backend: str | None = None,
    gpu: str | None = None,
) -> list[Model]:
    """The models that the filters mean; names may be patterns, None means all.

    `param` are conditions like `"sampling_rate>=16000"`, or a mapping of parameters to their values.
    Models for several backends (Topaz Video AI) have the files for this one alone.
    Raises SelectionError for a name that matches nothing, CatalogError for a broken catalog.
    """
    filters = Filters(
        patterns=None if names is None else _several(names),
        exclude=_several(exclude),
        tasks=_several(task),
        frameworks=_several(framework),
        licenses=_several(license),
        tags=_several(tag),
        parameters=tuple(conditions(param)),
    )
    return list(_choose(filters, sources, wanted_variants(backend, gpu)).models())


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


def info(
    names: Names | None = None,
    *,
    sources: Sources = (),
    backend: str | None = None,
    gpu: str | None = None,
) -> list[dict[str, Any]]:
    """What `info_dumper` prints, as Python values."""
    return [describe(model) for model in find(names, sources=sources, backend=backend, gpu=gpu)]


def download(
    models: str | Model | Iterable[str | Model],
    output_dir: str | os.PathLike[str] | None = None,
    *,
    precisions: Names | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    cache_link: str = "copy",
    jobs: Jobs = 1,
    num_attempts: int | None = None,
    timeout: float = 60.0,
    offline: bool = False,
    force: bool = False,
    refresh: bool = False,
    connections: int | None = None,
    connections_per_host: int | None = None,
    limit_rate: float | None = None,
    progress_interval: float = 0.2,
    report: Report | None = None,
    sources: Sources = (),
    backend: str | None = None,
    gpu: str | None = None,
    cookie: str | None = None,
    trust_remote_code: bool = False,
    requirements: Level = "error",
) -> Summary:
    """Bring models (names, patterns, or what `find` returned, also mixed) into `output_dir`.

    Without it each goes to the folder of the program that it belongs to, else into the current one.
    `backend` and `gpu` choose among the files of models for several backends; models that `find`
    returned have theirs already. `cookie` is for Topaz's server (default: `TVAI_COOKIE`).
    `trust_remote_code` allows the code of the sources that only that can bring models of;
    `requirements` says what to do about packages that models need and that are missing.

    `report` is called with every event, one at a time; what it raises ends the run and is raised
    here. With `cache_link="hardlink"` the files share their bytes with the cache. Returns when
    everything is there and verified; raises DownloadFailed when something is not, Interrupted after
    Ctrl-C, UsageError for numbers that make no sense.
    """
    listener = Listener(report or _ignore)
    engine = make_engine(
        report=listener,
        cache=None if cache_dir is None else make_cache(Path(cache_dir), cache_link),
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
    use_cookie(cookie)
    values = models_of(models, lambda names: find(names, sources=sources, backend=backend, gpu=gpu))
    ensure(values, parse_level(requirements), warn)
    if trust_remote_code:
        from .trust import allow_code, needs_code

        allow_code(filter(needs_code, values))
    wanted = EVERY_VARIANT if backend is None else wanted_variants(backend, gpu)
    if precisions is not None:
        chosen = parse_precisions(",".join(_several(precisions)))
        wanted = msgspec.structs.replace(wanted, precisions=chosen)
    with listener:
        summary = fetch(values, None if output_dir is None else Path(output_dir), wanted, jobs, engine)
    if summary.interrupted:
        raise Interrupted
    if not summary.successful:
        raise DownloadFailed(summary)
    return summary


def models_of(
    models: str | Model | Iterable[str | Model], find_named: Callable[[list[str]], list[Model]]
) -> list[Model]:
    """The models in this order, found where only their names are given, each one once."""
    wanted: list[Any] = [models] if isinstance(models, str | Model) else list(models)
    if odd := [item for item in wanted if not isinstance(item, str | Model)]:
        raise TypeError(f"expected names or models, got {odd[0]!r}")
    chosen: dict[str, Model] = {}
    for are_names, some in itertools.groupby(wanted, lambda item: isinstance(item, str)):
        for model in find_named(list(some)) if are_names else some:
            _require_same(chosen.setdefault(model.qualified, model), model)
    return list(chosen.values())


def _require_same(one: Model, other: Model) -> None:
    """Raise ModelZooError for two models of one name: a run could not tell them apart."""
    # How a model is called among the sources that were active is no part of it.
    if msgspec.structs.replace(one, id="") != msgspec.structs.replace(other, id=""):
        places = " and ".join(m.config_dir or m.subdirectory for m in (one, other))
        raise ModelZooError(f"two different models are called {one.qualified}: {places}")


def _choose(filters: Filters | None, sources: Sources, variants: Variants) -> Choice:
    return choose(active(source_names(sources)), filters, warn, variants)


def source_names(sources: Sources) -> list[str]:
    """What the sources are called or where they are, as text."""
    several = [sources] if isinstance(sources, str | os.PathLike) else sources
    return [os.fspath(source) for source in several]


def warn(message: str) -> None:
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
