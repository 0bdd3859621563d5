"""The functions that the package offers to Python programs, on the same engine as the commands."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .cache import Cache
from .cancel import Cancel
from .catalog import active_sources, load_catalog
from .clock import Clock
from .engine import Engine
from .errors import Interrupted, ModelZooError
from .events import Event, Report
from .info import describe
from .jobs import run
from .model import Model
from .outcome import Summary
from .plan import make_plans, require_space
from .selection import Filters, parse_precisions, select
from .stores import Settings, Stores

Names = str | Iterable[str]


class DownloadFailed(ModelZooError):
    """Some of what was asked for is not there; `summary` tells what and why."""

    def __init__(self, summary: Summary) -> None:
        failed = [model for model in summary.models if not model.successful]
        file = next((f for m in failed for f in m.files if not f.successful), None)
        why = file.message if file else failed[0].message
        super().__init__(
            f"{len(failed)} of {len(summary.models)} models failed: "
            f"{', '.join(m.model for m in failed)}; the first because {why}",
            *([file.reason] if file and file.reason else []),
        )
        self.summary = summary


def list_models(*, sources: Sequence[str | os.PathLike[str]] = ()) -> list[str]:
    """The names of all models, in the catalog's order.

    `sources` are folders, or `builtin` and `demo`; without any, the same as for the commands.
    """
    return [model.id for model in _catalog(sources)]


def find(
    names: Names | None = None,
    *,
    exclude: Names = (),
    task: Names = (),
    framework: Names = (),
    license: Names = (),  # noqa: A002 - the option's name
    tag: Names = (),
    sources: Sequence[str | os.PathLike[str]] = (),
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
    return select(_catalog(sources), filters)


def info(
    names: Names | None = None, *, sources: Sequence[str | os.PathLike[str]] = ()
) -> list[dict[str, Any]]:
    """What `info_dumper` prints, as Python values."""
    return [describe(model) for model in find(names, sources=sources)]


def download(
    models: Names | Iterable[Model],
    output_dir: str | os.PathLike[str] = ".",
    *,
    precisions: Names | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    num_attempts: int = 1,
    timeout: float = 60.0,
    offline: bool = False,
    force: bool = False,
    report: Report | None = None,
    sources: Sequence[str | os.PathLike[str]] = (),
) -> Summary:
    """Bring models (names, patterns, or what `find` returned) into `output_dir`.

    `report` is called with every event, from one thread at a time. Returns when everything is there
    and verified; raises DownloadFailed when something is not, Interrupted after Ctrl-C.
    """
    wanted = [models] if isinstance(models, str) else list(models)
    named = [model for model in wanted if isinstance(model, str)]
    values = [model for model in wanted if isinstance(model, Model)]
    if named:
        values += find(named, sources=sources)
    engine = make_engine(
        report=report or _ignore,
        cache_dir=None if cache_dir is None else Path(cache_dir),
        attempts=num_attempts,
        timeout=timeout,
        offline=offline,
        force=force,
    )
    wanted_precisions = None if precisions is None else parse_precisions(",".join(_several(precisions)))
    summary = fetch(values, Path(output_dir), wanted_precisions, jobs, engine)
    if summary.interrupted:
        raise Interrupted
    if not summary.successful:
        raise DownloadFailed(summary)
    return summary


def make_engine(
    *,
    report: Report,
    cache_dir: Path | None = None,
    attempts: int = 1,
    timeout: float = 60.0,
    offline: bool = False,
    force: bool = False,
) -> Engine:
    """What all transfers of one run share."""
    return Engine(
        stores=Stores(Settings(timeout=timeout, offline=offline)),
        cache=None if cache_dir is None else Cache(cache_dir),
        report=report,
        clock=Clock(),
        cancel=Cancel(),
        attempts=attempts,
        timeout=timeout,
        force=force,
    )


def fetch(
    models: Sequence[Model],
    output_dir: Path,
    precisions: frozenset[str] | None,
    jobs: int,
    engine: Engine,
) -> Summary:
    """Plan, check the space, and run. Raises ModelZooError when nothing could be started."""
    plans = make_plans(models, output_dir, precisions, engine.cache, engine.force)
    require_space(plans, output_dir, engine.cache)
    return run(plans, output_dir, jobs, engine)


def _catalog(sources: Sequence[str | os.PathLike[str]]) -> list[Model]:
    return load_catalog(active_sources([os.fspath(source) for source in sources]), _warn)


def _warn(message: str) -> None:
    import warnings

    warnings.warn(message, stacklevel=4)


def _several(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _ignore(event: Event) -> None:
    """Tell nobody."""
