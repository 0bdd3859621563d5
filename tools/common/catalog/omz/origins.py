"""Where the files of a model.yml come from: URLs, entries of a known type, and relative paths."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote, urlsplit

from ...errors import UnsafePathError
from ...files.paths import require_safe
from ...model import Origin

_DRIVE_ID = re.compile(r"[0-9a-zA-Z_-]+")
_PLAIN_URL = re.compile(r"https?://[!-Z\\^-~]+")  # nothing in it that urlsplit() could refuse


def read_origin(source: Any, base: str, inside: str) -> Origin:
    """What a `source` says; `base` is the URL of its folder, `inside` that of the catalog.

    Raises ValueError for what is none, has no store, or leads out of the catalog.
    """
    match source:
        case str(url) | {"$type": "http", "url": str(url)} if url:
            return _url(Origin(url, base), inside)
        case {"$type": "google_drive", "id": str(drive_id)} if _DRIVE_ID.fullmatch(drive_id):
            return Origin(f"gdrive://{drive_id}")
        case _:
            raise ValueError(f"expected a URL or a map with a known $type, got {source!r}")


def _url(origin: Origin, inside: str) -> Origin:
    """An origin; one without a scheme is relative to the folder and stays in the catalog."""
    if _PLAIN_URL.fullmatch(origin.written):
        return origin
    try:
        if urlsplit(origin.written).scheme:
            from ...stores import require_usable  # most catalogs can do without

            require_usable(origin.written)
            return origin
        path = origin.url.partition("?")[0].partition("#")[0]
    except ValueError as error:
        raise _unusable(origin, f"cannot be used: {error}") from None
    if not path.startswith(inside):
        raise _unusable(origin, "leads out of the catalog")
    try:
        require_safe(unquote(path.removeprefix(inside)))
    except UnsafePathError as error:
        raise _unusable(origin, f"leads to an unsafe path: {error.problem}") from None
    return origin


def _unusable(origin: Origin, problem: str) -> ValueError:
    from ...web.masking import mask  # only mistakes need it

    return ValueError(f'"{mask(origin.written)}" {problem}')
