"""Loading published models: what is there already is found at once, the rest is in `loader`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..registry.model_cache import ModelCache, default_root

if TYPE_CHECKING:
    from ..events import Report
    from ..registry.opening import Places

# A program that loads what is there, which is most of the time, needs neither the engine nor a
# repository: they are imported when something has to be asked for.


def load(
    uid: str,
    root: str | os.PathLike[str] | None = None,
    *,
    repository: Places = None,
    offline: bool = False,
    num_attempts: int | None = 3,
    timeout: float = 60.0,
    connections: int = 64,
    connections_per_host: int = 32,
    limit_rate: float | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    report: Report | None = None,
) -> Path:
    """The folder of a published model, which is loaded if it is not there yet, and verified.

    `uid` is an id, a short id (the latest version) or an alias. `root` is where models are kept
    (default: `AUDMODEL_CACHE_ROOT`, else `~/audmodel`), for all processes of a machine. `repository`
    is a URL, a folder, a name of the user's configuration, or several of them, searched in order.
    What is there already is found without the repository.

    Raises UnknownModelError for a model that nobody has, DownloadFailed for one that does not come.
    """
    cache = ModelCache(default_root() if root is None else Path(root))
    if folder := cache.settled(uid):
        return folder
    from ..registry.opening import open_repositories
    from ..run.setup import Listener, make_cache, make_engine
    from ..stores import Settings
    from .loader import Loader

    listener = Listener(report or (lambda event: None))
    engine = make_engine(
        report=listener,
        cache=None if cache_dir is None else make_cache(Path(cache_dir), "copy"),
        attempts=num_attempts,
        timeout=timeout,
        offline=offline,
        connections=connections,
        connections_per_host=connections_per_host,
        limit_rate=limit_rate,
    )
    repositories = open_repositories(repository, Settings(timeout=timeout, offline=offline))
    with listener:
        return Loader(repositories, cache, engine, offline).load(uid)
