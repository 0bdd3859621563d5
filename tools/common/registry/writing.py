"""What changes a repository, for Python: publish a folder, give a model an alias, update its meta."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import UnknownModelError
from ..events import Report
from ..stores import Settings
from .aliases import changing_aliases, point
from .configuration import repositories, require_one, resolve
from .headers import dump_meta
from .identifiers import Uid, require_alias
from .layout import meta_key
from .patience import PatientStorage
from .publishing import Publishing, make_publication
from .repository import Repository
from .searching import Repositories
from .storage import Storage, connect

Place = str | os.PathLike[str]

ATTEMPTS = 4
"""How often each request is tried."""


def publish(
    root: Place,
    name: str,
    params: Mapping[str, Any],
    version: str,
    *,
    repository: Place | None = None,
    author: str | None = None,
    date: dt.date | None = None,
    meta: Mapping[str, Any] | None = None,
    subgroup: str | None = None,
    alias: str | None = None,
    compression: int = 1,
    report: Report = lambda event: None,
    num_attempts: int = ATTEMPTS,
    timeout: float = 60.0,
    tmp_root: Place | None = None,
) -> str:
    """Publish a folder; returns the model's id. Nothing of it can be seen before all of it is there.

    `repository` is a folder, a URL or a configured name, by default the first that is configured;
    `compression` is deflate's level, 0 for none; `timeout` is in seconds. Raises InvalidValueError (a
    ValueError), MissingFolderError (a FileNotFoundError), AlreadyPublishedError (a RuntimeError) and
    what transfers raise.
    """
    publication = make_publication(
        root,
        name,
        params,
        version,
        author=author,
        date=date,
        meta=meta,
        subgroup=subgroup,
        alias=alias,
        compression=compression,
    )
    storage = connect(require_one(repository), Settings(timeout=timeout))
    temporary = None if tmp_root is None else Path(tmp_root)
    work = Publishing(publication, storage, report, attempts=num_attempts, temporary=temporary)
    return str(work.run())


def set_alias(alias: str, model: str, *, repository: Place | Iterable[Place] | None = None) -> str:
    """Let an alias mean a model of a repository, whatever it meant before; returns the model's id.

    Raises InvalidValueError, UnknownModelError.
    """
    require_alias(alias)
    storage, uid = _find(model, repository)
    with changing_aliases(storage, lambda message: None):
        point(storage, alias, uid)
    return str(uid)


def update_meta(
    model: str,
    meta: Mapping[str, Any],
    *,
    replace: bool = False,
    repository: Place | Iterable[Place] | None = None,
) -> dict[str, Any]:
    """Change what is known of a model beyond its header, or replace it; returns all of it.

    Raises InvalidValueError, UnknownModelError.
    """
    storage, uid = _find(model, repository)
    known = {} if replace else Repository(storage).meta(uid)
    _merge(known, meta)
    storage.write(meta_key(uid), dump_meta(known))
    return known


def _merge(known: dict[str, Any], new: Mapping[str, Any]) -> None:
    """Put the new values into the known ones, also into mappings below; as audmodel does it."""
    for key, value in new.items():
        if isinstance(known.get(key), dict) and isinstance(value, Mapping):
            _merge(known[key], value)
        else:
            known[key] = value


def search(repository: Place | Iterable[Place] | None = None) -> Repositories:
    """The repositories that are named, else all that are configured, in the order of the search."""
    if isinstance(repository, str | os.PathLike):
        repository = [repository]
    places = repositories() if repository is None else [resolve(os.fspath(p)) for p in repository]
    return Repositories([Repository(_patient(connect(place))) for place in places])


def _find(model: str, repository: Place | Iterable[Place] | None) -> tuple[Storage, Uid]:
    found, uid = search(repository).find(model)
    if not found.exists(uid):
        raise UnknownModelError(f"A model with ID '{uid}' does not exist in {found.url}.")
    return found.storage, uid


def _patient(storage: Storage) -> Storage:
    return PatientStorage(storage, ATTEMPTS, lambda attempt, wait, error: None)
