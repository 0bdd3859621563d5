"""Stores move bytes: one module per URL scheme, all with the same one verb, `open`.

A module names its schemes in `SCHEMES` and makes a store with `create(settings)`; where not every URL
of its scheme can name a file, its `check(url)` raises ValueError. Nothing else has to be changed to
add one.
"""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

import msgspec

from ..checksum import Checksum
from ..errors import Reason, TransferError
from ..web.credentials import host_of, mask


class Settings(msgspec.Struct, frozen=True):
    """What all stores need to know. `timeout` is in seconds, for connecting and for each read."""

    timeout: float = 60.0
    offline: bool = False


class Opened(Protocol):
    """The bytes of one URL from `offset` on; a context manager that closes the connection."""

    offset: int
    size: int | None
    """The size of the whole file in bytes, where the store knows it."""
    validator: str | None
    """Changes when the file changes: a strong ETag or a date, fit for a later `open`."""
    media_type: str | None
    parts: bool
    """Whether the store seems ready to serve parts of the file on more connections."""
    encoding: str | None
    """What the body is compressed with on the way, None for nothing; it is not undone."""
    remote: bool
    """False when no network was involved."""

    def __iter__(self) -> Iterator[bytes]:
        """The bytes as they come, in small pieces; raises TransferError."""
        ...

    def abort(self) -> None:
        """Make a blocked read in another thread return at once."""

    def __enter__(self) -> Opened: ...

    def __exit__(self, *_: object) -> None: ...


class Store(Protocol):
    """Where the bytes of URLs of some schemes come from."""

    remote: bool

    def open(
        self, url: str, offset: int = 0, validator: str | None = None, stop: int | None = None
    ) -> Opened:
        """The bytes of `url` from `offset` on, or from 0 where that cannot be had.

        With a validator the offset holds only for the very version that it was taken from. Not more
        than the bytes before `stop` are needed. Raises TransferError.
        """
        ...


@runtime_checkable
class Conditional(Protocol):
    """A store that can ask whether a file has changed without fetching it."""

    def is_current(self, url: str, validator: str) -> bool:
        """Whether the file is of this version still; raises TransferError."""
        ...


class Published(msgspec.Struct, frozen=True):
    """What a place says of its file without being asked for the bytes."""

    checksum: Checksum
    size: int | None


@runtime_checkable
class Publisher(Protocol):
    """A store of a place that publishes checksums."""

    def published(self, url: str) -> Published | None:
        """What is published about the file, None when no checksum is; raises TransferError."""
        ...


@cache
def _modules() -> dict[str, Any]:
    """Which module serves which scheme."""
    import pkgutil

    modules = [importlib.import_module(f".{m.name}", __name__) for m in pkgutil.iter_modules(__path__)]
    return {scheme: module for module in modules for scheme in module.SCHEMES}


_PLAIN = re.compile(r"https?://[0-9A-Za-z.-]+(:[0-9]{1,4})?/[!-Z\\^-~]*")
"""Most URLs of catalogs: there is nothing about them to be looked at more closely."""


def require_usable(url: str) -> None:
    """Raise ValueError for a URL that no store could be asked for, as far as itself can tell."""
    if _PLAIN.fullmatch(url):
        return
    try:
        scheme = host_of(url).scheme
    except ValueError as error:
        raise ValueError(f"is not a URL: {error}") from None
    _require_known(scheme)
    if check := getattr(_modules()[scheme], "check", None):
        check(url)


def _require_known(scheme: str) -> None:
    if scheme not in _modules():
        known = ", ".join(sorted(_modules()))
        raise ValueError(f'no store for URLs of scheme "{scheme}", known are {known}')


class Stores:
    """The stores of one run, each made when the first URL of its scheme comes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.offline = settings.offline
        self._made: dict[Any, Store] = {}

    def prepare(self, urls: Iterable[str]) -> None:
        """Make the stores for these URLs now: it takes the longer part of a second to import one."""
        for url in urls:
            with contextlib.suppress(TransferError):
                self.store(url)

    def store(self, url: str) -> Store:
        """The store for this URL; TransferError when there is none, or it may not be asked."""
        try:
            scheme = urlsplit(url).scheme
        except ValueError:
            raise TransferError(Reason.INVALID_CATALOG, "is not a usable URL", url=mask(url)) from None
        try:
            _require_known(scheme)
        except ValueError as error:
            raise TransferError(Reason.INVALID_CATALOG, str(error), url=mask(url)) from None
        module = _modules()[scheme]
        store: Store = self._made.get(module) or self._made.setdefault(
            module, module.create(self._settings)
        )
        if store.remote and self._settings.offline:
            raise TransferError(Reason.OFFLINE, "not fetched: --offline", url=mask(url))
        return store
