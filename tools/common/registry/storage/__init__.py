"""Where a repository keeps its files: one module per kind of place, all with the same few verbs.

A module names its schemes in `SCHEMES` and makes a storage with `create(url, settings)`. Nothing else
has to be changed to add one. Keys are relative POSIX paths below the repository.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Collection, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from ...checksum import Checksum
from ...errors import Reason, TransferError, UsageError
from ...files.paths import require_safe
from ...stores import Settings
from ...web.credentials import mask

MAX_DOCUMENT = 4 << 20
"""Bytes of the largest document (a header, say) that is read whole."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
"""What a URL begins with. One letter would be a drive of Windows."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A file of a repository: its key, and size in bytes and version where listings tell them."""

    key: str
    size: int | None = None
    etag: str | None = None


Sent = Callable[[int], None]
"""Is told how many bytes of a file have been sent; may raise, which ends the upload."""


class Storage(Protocol):
    """A place for the files of one repository. Errors: TransferError, StorageError, UnsafePathError.

    Whatever a reader sees under a key is whole. What is missing is a TransferError of NOT_FOUND.
    """

    url: str
    """What people call it, without secrets."""
    exclusive: bool
    """Whether `create` decides among several processes; where not, only one may write."""

    def read(self, key: str, limit: int = MAX_DOCUMENT) -> bytes:
        """All bytes of a small file; CatalogError when there are more than `limit`."""
        ...

    def exists(self, key: str) -> bool:
        """Whether there is such a file."""
        ...

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """All files in a folder and below, in no order; none where there is no such folder."""
        ...

    def checksum(self, key: str) -> Checksum | None:
        """The digest that is kept with a file, or can be had at once; None where there is none."""
        ...

    def origin(self, key: str) -> str:
        """A URL that the stores of downloads can open."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Write a small file unless there is one; returns whether it was written by this call."""
        ...

    def write(self, key: str, data: bytes) -> None:
        """Write a small file, in place of any other."""
        ...

    def upload(self, key: str, path: Path, checksum: Checksum, sent: Sent) -> None:
        """Send a large file of this SHA-256; returns when exactly these bytes are there and durable."""
        ...

    def delete(self, key: str) -> None:
        """Remove a file; one that is not there is no error."""
        ...


@cache
def _modules() -> dict[str, Any]:
    """Which module serves which scheme."""
    import pkgutil

    modules = [importlib.import_module(f".{m.name}", __name__) for m in pkgutil.iter_modules(__path__)]
    return {scheme: module for module in modules for scheme in module.SCHEMES}


def schemes() -> Collection[str]:
    """What the URLs of repositories begin with."""
    return _modules().keys()


def connect(place: str | os.PathLike[str], settings: Settings | None = None) -> Storage:
    """The storage at a URL or path; UsageError when it is neither. Nothing is asked for yet."""
    text = os.fspath(place)
    if not text:
        raise UsageError("a repository is a folder or a URL, got nothing")
    scheme = match[1].lower() if (match := _SCHEME.match(text)) else "file"
    module = _modules().get(scheme)
    if module is None:
        known = ", ".join(sorted(_modules()))
        raise UsageError(f'{mask(text)}: no repositories at "{scheme}:", known are {known}')
    storage: Storage = module.create(text, settings or Settings())
    return storage


def require_key(key: str) -> None:
    """Raise UnsafePathError for a key that could leave the repository; all storages ask here."""
    require_safe(key)


def missing(url: str) -> TransferError:
    """The error about a file that is not there."""
    return TransferError(Reason.NOT_FOUND, "no such file in the repository", url=mask(url))


def split_url(url: str) -> tuple[str, str, str]:
    """Scheme in lower case, host or bucket, and path without slashes around; raises UsageError."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise UsageError(f"{mask(url)} is not a usable URL") from None
    return parts.scheme.lower(), parts.netloc, parts.path.strip("/")
