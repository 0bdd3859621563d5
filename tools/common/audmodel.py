"""audmodel's functions under its names, on this package's engine.

>>> import modelzoo.audmodel as audmodel
>>> audmodel.uid("torch", {"model": "cnn10"}, subgroup="dummy", version="1.0.0")
'5568fc95-1.0.0'

Models are those of `config.REPOSITORIES`, by default of all repositories that are configured, and are
kept where audmodel keeps them; see docs/publishing.md. Whatever does not exist is a RuntimeError, and
a value that makes no sense a ValueError, as there.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .errors import InvalidValueError, UnknownModelError
from .loading import load as _load
from .published import lookup_table as _lookup_table
from .published import read_header, read_meta
from .registry import identifiers
from .registry.headers import header_dict
from .registry.layout import header_key, meta_key
from .registry.model_cache import DEFAULT_ROOT, VARIABLE, ModelCache
from .registry.opening import open_repositories
from .registry.searching import Repositories

_FOLDERS, _BUCKETS = ("file-system",), ("s3", "minio")


class Repository(NamedTuple):
    """A repository as audmodel names it: a name, a host, and what kind of place that is.

    Of object storage the host is told by the variables of the service (`AWS_ENDPOINT_URL`).
    """

    name: str
    host: str
    backend: str

    @property
    def url(self) -> str:
        """The same as these tools name it; raises InvalidValueError for an unknown kind."""
        if self.backend in _FOLDERS:
            return os.path.join(os.path.expanduser(self.host), self.name)
        if self.backend in _BUCKETS:
            return f"s3://{self.name}"
        known = ", ".join((*_FOLDERS, *_BUCKETS))
        raise InvalidValueError(f"'{self.backend}' is not a registered backend, known are {known}")

    def __repr__(self) -> str:
        return f"Repository('{self.name}', '{self.host}', '{self.backend}')"


class _Config:
    """The settings of this module, as audmodel has them."""

    CACHE_ROOT: str = DEFAULT_ROOT
    """Where models are kept, unless `AUDMODEL_CACHE_ROOT` is set."""
    REPOSITORIES: Sequence[Repository | str] | None = None
    """Where models are looked for, in this order; None: in what is configured."""

    @property
    def AUDMODEL_CACHE_ROOT(self) -> str:
        """The same as CACHE_ROOT."""
        return self.CACHE_ROOT

    @AUDMODEL_CACHE_ROOT.setter
    def AUDMODEL_CACHE_ROOT(self, folder: str) -> None:
        self.CACHE_ROOT = folder


config = _Config()


def _place(repository: Repository | str) -> str:
    return repository.url if isinstance(repository, Repository) else repository


def _places() -> list[str] | None:
    wanted = config.REPOSITORIES
    return None if wanted is None else [_place(repository) for repository in wanted]


def _repositories() -> Repositories:
    return open_repositories(_places())


def _cache(cache_root: str | None) -> ModelCache:
    return ModelCache(Path(cache_root or default_cache_root()))


def default_cache_root() -> str:
    """Where models are kept: `AUDMODEL_CACHE_ROOT`, else `config.CACHE_ROOT`."""
    return os.environ.get(VARIABLE) or config.CACHE_ROOT


def header(uid: str, *, cache_root: str | None = None, verbose: bool = False) -> dict[str, Any]:
    """What was published: author, date, name, parameters, subgroup, version."""
    return header_dict(read_header(uid, _repositories(), _cache(cache_root))[1])


def author(uid: str, *, cache_root: str | None = None) -> str:
    """Who published the model."""
    return str(header(uid, cache_root=cache_root)["author"])


def date(uid: str, *, cache_root: str | None = None) -> str:
    """The day it was published."""
    return str(header(uid, cache_root=cache_root)["date"])


def name(uid: str, *, cache_root: str | None = None, verbose: bool = False) -> str:
    """The name of the model."""
    return str(header(uid, cache_root=cache_root)["name"])


def parameters(uid: str, *, cache_root: str | None = None, verbose: bool = False) -> dict[str, Any]:
    """The parameters of the model."""
    return dict(header(uid, cache_root=cache_root)["parameters"])


def subgroup(uid: str, *, cache_root: str | None = None, verbose: bool = False) -> str:
    """The subgroup of the model, '' for none."""
    return str(header(uid, cache_root=cache_root)["subgroup"])


def version(uid: str, *, cache_root: str | None = None, verbose: bool = False) -> str:
    """The version of the model."""
    return str(header(uid, cache_root=cache_root)["version"])


def versions(uid: str, *, cache_root: str | None = None) -> list[str]:
    """All versions of the model, the latest last; none of one that does not exist."""
    return _repositories().versions(uid)


def latest_version(uid: str) -> str:
    """The latest version of the model."""
    if found := versions(uid):
        return found[-1]
    raise UnknownModelError(f"A model with ID '{uid[:100]}' does not exist.")


def exists(uid: str) -> bool:
    """Whether there is such a model."""
    try:
        _repositories().find(uid)
    except UnknownModelError:
        return False
    return True


def uid(
    name: str, params: Mapping[str, Any], version: str | None = None, *, subgroup: str | None = None
) -> str:
    """The id of a model with these parameters, without a version its short id."""
    model = identifiers.short_id(name, params, subgroup)
    return model if version is None else f"{model}-{version}"


def legacy_uid(
    name: str,
    params: Mapping[str, Any],
    version: str,
    *,
    subgroup: str | None = None,
    private: bool = False,
) -> str:
    """The id that early releases gave such a model."""
    return identifiers.legacy_id(name, params, version, subgroup, private)


def url(uid: str, *, type: str = "model", cache_root: str | None = None, verbose: bool = False) -> str:  # noqa: A002
    """Where its archive is, or with `type` its `header` or `meta` information."""
    repository, found = _repositories().find(uid)
    match type:
        case "model":
            _, known = read_header(str(found), Repositories([repository]), _cache(cache_root))
            key = repository.archive_key(found, known)
        case "header":
            key = header_key(found)
        case "meta":
            key = meta_key(found)
        case _:
            raise InvalidValueError(f"'type' has to be one of 'model', 'header', 'meta', not '{type}'")
    return f"{repository.url}/{key}"


def repository(uid: str, *, cache_root: str | None = None) -> Repository:
    """The repository that has the model."""
    found, _ = _repositories().find(uid)
    for known in config.REPOSITORIES or ():
        if isinstance(known, Repository) and open_repositories(known.url).all[0].url == found.url:
            return known
    backend = "file-system" if os.path.isabs(found.url) else "s3"
    host, _, last = found.url.rpartition("/")
    return Repository(last, host, backend)


def load(
    uid: str,
    *,
    root: str | None = None,
    cache_root: str | None = None,
    timeout: float = 14400,
    verbose: bool = False,
) -> str:
    """The folder of the model, loaded and verified if it is not there yet.

    `root` is what early releases call `cache_root`. `timeout` and `verbose` are audmodel's: another
    process that loads the model is waited for as long as it runs, and nothing is printed.
    """
    folder = Path(root or cache_root or default_cache_root())
    return str(_load(uid, folder, repository=_places()))


def lookup_table(
    name: str, version: str | None = None, *, subgroup: str | None = None, private: bool = False
) -> Any:
    """The ids of the models with this name, subgroup and version, and their parameters."""
    return _lookup_table(name, subgroup=subgroup, version=version, repository=_places())


def meta(uid: str, *, cache_root: str | None = None, verbose: bool = False) -> dict[str, Any]:
    """What is known beyond the header, as it is today."""
    return read_meta(uid, _repositories(), _cache(cache_root))


def aliases(uid: str, *, cache_root: str | None = None, verbose: bool = False) -> list[str]:
    """The aliases of the model."""
    found, model = _repositories().find(uid)
    return found.aliases(model)


def resolve_alias(alias: str, *, cache_root: str | None = None, verbose: bool = False) -> str:
    """The id that an alias means."""
    return str(_repositories().resolve_alias(alias))


def update_meta(
    uid: str,
    meta: Mapping[str, Any],
    *,
    replace: bool = False,
    cache_root: str | None = None,
    verbose: bool = False,
) -> dict[str, Any]:
    """Change what is known beyond the header: mappings are merged, or with `replace` replaced."""
    from .registry.writing import update_meta as change

    new = change(uid, meta, replace=replace, repository=_places())
    read_meta(uid, _repositories(), _cache(cache_root))  # what is kept of it is renewed
    return new


def set_alias(alias: str, uid: str, *, cache_root: str | None = None, verbose: bool = False) -> None:
    """Let an alias mean this model."""
    from .registry.writing import set_alias as change

    change(alias, uid, repository=_places())


def publish(
    root: str,
    name: str,
    params: Mapping[str, Any],
    version: str,
    *,
    repository: Repository | str | None = None,
    alias: str | None = None,
    author: str | None = None,
    compression: int = 1,
    date: dt.date | None = None,
    meta: Mapping[str, Any] | None = None,
    subgroup: str | None = None,
    tmp_root: str | None = None,
    verbose: bool = False,
) -> str:
    """Publish a folder, by default in the first repository; returns the id of the model."""
    from .registry.writing import publish as publish_here

    places = [_place(repository)] if repository is not None else _places()
    return publish_here(
        root,
        name,
        params,
        version,
        repository=places[0] if places else None,
        alias=alias,
        author=author,
        compression=compression,
        date=date,
        meta=meta,
        subgroup=subgroup,
        tmp_root=tmp_root,
    )
