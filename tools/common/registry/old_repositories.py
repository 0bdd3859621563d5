"""Repositories of audmodel's first releases: lookup files instead of headers, ids of 36 characters.

A model's files are in `com/audeering/models/<subgroup>/<name>`: `lookup/<version>` holds the table of
the ids that were published, and `<id>/<version>` the archive.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable

from ..errors import CatalogError, Reason, TransferError, UnsafePathError
from .headers import Header
from .identifiers import Uid, is_legacy, is_model_id, is_version
from .layout import OLD_ROOT, archive_key
from .lookup_csv import read_csv
from .storage import Storage

_GROUP = OLD_ROOT.replace("/", ".")
_LOOKUP = re.compile(rf"{OLD_ROOT}/(?:(.+)/)?([^/]+)/lookup/([^/]+)/lookup-\3\.csv")
MAX_LOOKUP = 4 << 20
"""Bytes of a lookup file."""

Warn = Callable[[str], None]


def old_headers(storage: Storage, warn: Warn) -> dict[Uid, Header]:
    """The models of all lookup files; one that cannot be read is warned about and left out."""
    found: dict[Uid, Header] = {}
    for entry in storage.list(OLD_ROOT):
        if (match := _LOOKUP.fullmatch(entry.key)) and is_version(match[3]):
            try:
                found |= _models(storage, entry.key, (match[1] or "").replace("/", "."), match[2])
            except CatalogError as error:
                warn(str(error))
    return found


def _models(storage: Storage, key: str, subgroup: str, name: str) -> dict[Uid, Header]:
    version = key.rsplit("/", 2)[1]
    try:
        rows = read_csv(storage.read(key, MAX_LOOKUP), f"{storage.url}/{key}")
    except TransferError as error:
        if error.reason is not Reason.NOT_FOUND:
            raise
        return {}
    headers = {}
    for uid, parameters in rows.items():
        if is_model_id(uid) and is_legacy(uid):
            group = f"{_GROUP}.{subgroup}" if subgroup else _GROUP
            with contextlib.suppress(UnsafePathError):
                archive_key(Uid(uid, version), name, group)
                headers[Uid(uid, version)] = Header(
                    author=None,
                    date="",
                    name=name,
                    parameters=parameters,
                    subgroup=subgroup,
                    version=version,
                    group=group,
                )
    return headers
