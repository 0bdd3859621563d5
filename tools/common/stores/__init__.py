"""Stores move bytes: one module per URL scheme, all with the same one verb, `open`.

A module names its schemes in `SCHEMES` and makes a store with `create(settings)`; where not every URL
of its scheme can name a file, its `check(url)` raises ValueError. Nothing else has to be changed to
add one.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

import msgspec

from ..checksum import Checksum
from ..errors import Reason, TransferError
from ..web.credentials import host_of, mask, site_of

PIECE = 1 << 19
"""Bytes in a piece of a file at most: each costs the same to look at, whatever its size."""


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
        """The bytes as they come, in pieces of at most PIECE bytes; raises TransferError."""
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


def _modules(first: str = "") -> Iterator[Any]:
    """The modules that serve schemes, each imported when it is its turn; `first` names one."""
    # pkgutil would list them too, but imports a lot for that.
    names = {name.partition(".")[0] for name in os.listdir(__path__[0]) if name[0] not in "_."}
    for name in sorted(names, key=lambda name: (name != first, name)):
        yield importlib.import_module(f".{name}", __name__)


@cache
def _module(scheme: str) -> Any:
    """The module that serves a scheme, None where none does; one that is called like it comes first."""
    modules = _modules(scheme.removesuffix("s"))
    return next((module for module in modules if scheme in module.SCHEMES), None)


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
    if check := getattr(_serving(scheme), "check", None):
        check(url)


def _serving(scheme: str) -> Any:
    """The module that serves URLs of this scheme; ValueError where none does."""
    if (module := _module(scheme)) is None:
        known = ", ".join(sorted(scheme for module in _modules() for scheme in module.SCHEMES))
        raise ValueError(f'no store for URLs of scheme "{scheme}", known are {known}')
    return module


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
            scheme = urlsplit(site_of(url)).scheme
        except ValueError:
            raise TransferError(Reason.INVALID_CATALOG, "is not a usable URL", url=mask(url)) from None
        try:
            module = _serving(scheme)
        except ValueError as error:
            raise TransferError(Reason.INVALID_CATALOG, str(error), url=mask(url)) from None
        store: Store = self._made.get(module) or self._made.setdefault(
            module, module.create(self._settings)
        )
        if store.remote and self._settings.offline:
            raise TransferError(Reason.OFFLINE, "not fetched: --offline", url=mask(url))
        return store
