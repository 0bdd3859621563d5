"""What is known of published models without loading them: headers, meta information, lookup tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .api import Parameters, conditions, warn
from .errors import CatalogError, TransferError
from .loading import UNREACHABLE
from .registry.headers import Header, dump_header, dump_meta, parse_meta
from .registry.identifiers import Uid
from .registry.lookup import LookupTable, as_frame, make_table
from .registry.model_cache import ModelCache
from .registry.opening import Places, open_repositories
from .registry.searching import Repositories


def lookup_table(
    name: str | None = None,
    *,
    subgroup: str | None = None,
    version: str | None = None,
    param: Parameters = (),
    repository: Places = None,
) -> Any:
    """The published models with this name, subgroup and version: one row for each, by its id.

    The columns are all parameters that any of them has; the others have None there. It is a pandas
    DataFrame where pandas is installed, otherwise a LookupTable. `param` are conditions as for `find`.
    """
    return as_frame(
        find_published(name, subgroup=subgroup, version=version, param=param, repository=repository)
    )


def find_published(
    name: str | None = None,
    *,
    subgroup: str | None = None,
    version: str | None = None,
    param: Parameters = (),
    repository: Places = None,
    warn: Callable[[str], None] = warn,
) -> LookupTable:
    """The same as a LookupTable, always; `warn` hears of headers that cannot be read."""
    headers = open_repositories(repository).headers(warn)
    wanted = tuple(conditions(param))
    return make_table(headers, name=name, subgroup=subgroup, version=version, conditions=wanted)


def read_header(text: str, repositories: Repositories, cache: ModelCache) -> tuple[Uid, Header]:
    """The id and the header of a model: what is kept beside the loaded one, else read and kept there.

    Raises UnknownModelError.
    """
    known = cache.known(text)
    if known and str(known) == text and (header := cache.header(known)):
        return known, header
    try:
        repository, uid = repositories.find(text)
    except TransferError as error:
        header = cache.header(known) if known and error.reason in UNREACHABLE else None
        if known is None or header is None:
            raise
        return known, header
    if header := cache.header(uid):
        return uid, header
    header = repository.header(uid)
    cache.keep(uid, "header", dump_header(header))
    return uid, header


def read_meta(text: str, repositories: Repositories, cache: ModelCache) -> dict[str, Any]:
    """What is known beyond the header today; what was known where nobody can be asked.

    Raises UnknownModelError.
    """
    try:
        repository, uid = repositories.find(text)
        meta = repository.meta(uid)
    except TransferError as error:
        known = cache.known(text)
        kept = _kept_meta(cache, known) if known and error.reason in UNREACHABLE else None
        if kept is None:
            raise
        return kept
    cache.keep(uid, "meta", dump_meta(meta))
    return meta


def _kept_meta(cache: ModelCache, uid: Uid) -> dict[str, Any] | None:
    """What is kept; None where there is nothing, or what a fault of audmodel's has written there."""
    path = cache.document(uid, "meta")
    try:
        return parse_meta(path.read_bytes(), str(path))
    except (OSError, CatalogError):
        return None
