"""How a run is set up: what it needs, checked, and who hears of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..cache.entries import Cache
from ..cancel import Cancel
from ..clock import Clock
from ..concurrency import Jobs
from ..errors import StorageError, UsageError
from ..events import Event, Report
from ..model import Model
from ..stores import Settings, Stores
from ..transfer.engine import Engine
from ..variants import Variants
from ..web.connections import Connections
from .jobs import run
from .outcome import Summary
from .plan import make_plans

MAX_JOBS = 1024
"""More transfers at a time would only keep threads, connections and servers busy with each other."""

CACHE_LINKS = ("copy", "hardlink")
"""What files in the output directory are to those in the cache."""

MAX_TIMEOUT = 86400
"""Seconds; systems refuse timeouts of centuries."""

MAX_INTERVAL = 3600
"""Seconds between two progress events of a file."""


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


def make_cache(folder: Path, link: str) -> Cache:
    """The cache in this folder; raises UsageError for a `link` that is none of CACHE_LINKS."""
    if link not in CACHE_LINKS:
        raise UsageError(f"expected {' or '.join(CACHE_LINKS)}, got {link!r}")
    return Cache(folder, links=link == "hardlink")


def make_engine(
    *,
    report: Report,
    cache: Cache | None = None,
    attempts: int | None = None,
    timeout: float = 60.0,
    offline: bool = False,
    force: bool = False,
    refresh: bool = False,
    connections: int | None = None,
    connections_per_host: int | None = None,
    limit_rate: float | None = None,
    progress_interval: float = 0.2,
) -> Engine:
    """What all transfers of one run share; raises UsageError for numbers that make no sense."""
    if attempts is not None and attempts < 1:
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
        cache=cache,
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
    variants: Variants,
    jobs: Jobs,
    engine: Engine,
) -> Summary:
    """Plan, check the space, and run. Raises ModelZooError when nothing could be started."""
    if jobs != "auto" and not 1 <= jobs <= MAX_JOBS:
        raise UsageError(f"expected 1 to {MAX_JOBS} jobs or 'auto', got {jobs}")
    plans = make_plans(models, output_dir, variants, engine.cache, engine.force, refresh=engine.refresh)
    summary = run(plans, jobs, engine)
    if summary.reason is not None:
        raise StorageError(summary.message or "", summary.reason)
    return summary
