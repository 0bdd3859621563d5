"""The headers of a repository that were read before, in a file of the user's cache folder.

Headers never change, so one of the same size and version is the same. Nothing depends on the file: one
that is missing, damaged or not ours is made again.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..files.disk import write_whole
from ..user_folders import index_folder
from ..version import VERSION
from .headers import Header, dump_header, parse_header
from .storage import Entry

MAX_BYTES = 1 << 30
"""Of the file; a hundred thousand headers have some dozens of megabytes."""


class _Kept(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One header: what it looked like in its repository, and its fields, or its bytes."""

    key: str
    size: int | None
    etag: str | None
    author: str | None
    date: str
    name: str
    subgroup: str
    version: str
    parameters: dict[str, Any]
    raw: bytes
    """The header as it is written, where its values have types that this file cannot hold."""

    def header(self) -> Header:
        """The header itself; raises CatalogError or ValueError for what is none."""
        if self.raw:
            return parse_header(self.raw, self.key)
        return Header(
            author=self.author,
            date=dt.date.fromisoformat(self.date),
            name=self.name,
            parameters=self.parameters,
            subgroup=self.subgroup,
            version=self.version,
        )


class _File(msgspec.Struct, array_like=True):
    made_by: str
    url: str
    kept: list[_Kept]


class Known:
    """The headers of one repository that were read before."""

    def __init__(self, url: str) -> None:
        self._url = url
        folder = index_folder("registries")
        digest = hashlib.sha256(url.encode()).hexdigest()
        self._place = folder / f"{digest[:32]}.index" if folder else None
        self._kept = {kept.key: kept for kept in self._load()}

    def _load(self) -> list[_Kept]:
        with contextlib.suppress(OSError, ValueError, RecursionError):
            if self._place and _is_ours(self._place):
                file = _DECODER.decode(self._place.read_bytes())
                if (file.made_by, file.url) == (VERSION, self._url):
                    return file.kept
        return []

    def get(self, entry: Entry) -> Header | None:
        """The header of this entry, if it is known and looked the same."""
        kept = self._kept.get(entry.key)
        if kept is None or (kept.size, kept.etag) != (entry.size, entry.etag):
            return None
        with contextlib.suppress(ValueError, msgspec.MsgspecError):
            return kept.header()
        return None

    def every(self) -> dict[str, Header]:
        """All headers, by their keys; for when nobody can be asked what is there today."""
        found = {}
        for key, kept in self._kept.items():
            with contextlib.suppress(ValueError):
                found[key] = kept.header()
        return found

    def update(self, entries: Iterable[Entry], new: Mapping[str, Header]) -> None:
        """Keep these, forget what is gone; where nobody can write it is read again the next time."""
        there = {entry.key: entry for entry in entries}
        if not new and there.keys() == self._kept.keys():
            return
        kept = {key: k for key, k in self._kept.items() if key in there and key not in new}
        kept |= {key: _kept(there[key], header) for key, header in new.items()}
        self._kept = kept
        with contextlib.suppress(OSError, ValueError, OverflowError, RecursionError):
            if self._place:
                file = _File(VERSION, self._url, list(kept.values()))
                self._place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_whole(self._place, msgspec.msgpack.encode(file))


_DECODER = msgspec.msgpack.Decoder(_File)


def _kept(entry: Entry, header: Header) -> _Kept:
    date = header.date.isoformat() if type(header.date) is dt.date else ""
    exact = bool(date) and _survives(header.parameters)
    return _Kept(
        entry.key,
        entry.size,
        entry.etag,
        header.author,
        date,
        header.name,
        header.subgroup,
        header.version,
        header.parameters if exact else {},
        b"" if exact else dump_header(header),
    )


def _survives(parameters: dict[str, Any]) -> bool:
    """Whether they come back from MessagePack as they are: a tuple, say, would be a list."""
    with contextlib.suppress(TypeError, ValueError, OverflowError, RecursionError):
        return bool(msgspec.msgpack.decode(msgspec.msgpack.encode(parameters)) == parameters)
    return False


def _is_ours(place: Path) -> bool:
    found = os.stat(place)
    ours = found.st_uid == getattr(os, "geteuid", lambda: found.st_uid)()
    return stat.S_ISREG(found.st_mode) and ours and found.st_size <= MAX_BYTES
