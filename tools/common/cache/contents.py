"""What a cache holds, by the names in it: entries, files being written, and what is neither."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from ..checksum import LENGTHS
from ..errors import StorageError
from ..events import SCHEMA_VERSION
from ..files.disk import storage_errors
from .entries import FORMAT

DAY = 86400
AGES = {"a day": DAY, "a week": 7 * DAY, "30 days": 30 * DAY, "a year": 365 * DAY}
"""Seconds; for each the entries that were used within this time and not within a shorter one."""

_SHARD, _REST = re.compile("[0-9a-f]{2}"), re.compile("[0-9a-f]+")


class CacheEntry(msgspec.Struct, frozen=True):
    """One entry: its digest, its size, and when it was used last (seconds since 1970).

    That is when it was read or written, as far as the file system remembers reading.
    """

    value: str
    path: str
    size: int
    used: float


class AgeGroup(msgspec.Struct, frozen=True):
    """Entries that were used within this time; None: longer ago than any other."""

    within: str | None
    entries: int
    size: int


class CacheInfo(msgspec.Struct, frozen=True):
    """What a cache holds; `staging` are files that are being written, or were when a run was killed."""

    schema_version: int
    cache_dir: str
    entries: int
    size: int
    ages: list[AgeGroup]
    staging: int
    staging_size: int
    other: int


class Contents(msgspec.Struct, frozen=True):
    """Entries, what has the name of one and is no file, and how much is neither."""

    entries: list[CacheEntry]
    broken: list[str]
    other: int


def cache_info(folder: Path) -> CacheInfo:
    """What a cache holds; raises StorageError when there is none."""
    found = scan(folder)
    written = [size for _, size, _ in staged(folder)]
    return CacheInfo(
        schema_version=SCHEMA_VERSION,
        cache_dir=str(folder),
        entries=len(found.entries),
        size=sum(entry.size for entry in found.entries),
        ages=_ages(found.entries, time.time()),
        staging=len(written),
        staging_size=sum(written),
        other=found.other + len(found.broken),
    )


def _ages(entries: Collection[CacheEntry], now: float) -> list[AgeGroup]:
    limits: list[tuple[str | None, float]] = [*AGES.items(), (None, float("inf"))]
    groups, shorter = [], float("-inf")
    for name, limit in limits:
        sizes = [entry.size for entry in entries if shorter <= now - entry.used < limit]
        groups.append(AgeGroup(name, len(sizes), sum(sizes)))
        shorter = limit
    return groups


def scan(folder: Path) -> Contents:
    """Look through a cache; raises StorageError when there is none."""
    with storage_errors(folder):
        if not stat.S_ISDIR(os.stat(folder).st_mode):
            raise StorageError(f"{folder}: is not a folder")
    entries, broken, other = [], [], 0
    for value, item in _named(folder):
        if value is None:
            other += 1
        elif entry := _entry(value, item):
            entries.append(entry)
        else:
            broken.append(item.path)
    return Contents(entries, broken, other)


def _named(folder: Path) -> Iterator[tuple[str | None, os.DirEntry[str]]]:
    """Everything but the staging folder, with the digest that its name tells, if it does."""
    for shard in _listing(folder / FORMAT):
        if _SHARD.fullmatch(shard.name) and shard.is_dir(follow_symlinks=False):
            for item in _listing(Path(shard.path)):
                is_digest = len(item.name) + 2 in LENGTHS.values() and _REST.fullmatch(item.name)
                yield shard.name + item.name if is_digest else None, item
        elif shard.name != "staging":
            yield None, shard


def _listing(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda item: item.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror}") from error


def _entry(value: str, item: os.DirEntry[str]) -> CacheEntry | None:
    with contextlib.suppress(OSError):
        found = item.stat()
        if stat.S_ISREG(found.st_mode):
            used = max(found.st_atime, found.st_mtime)
            return CacheEntry(value, item.path, found.st_size, used)
    return None


def staged(folder: Path) -> Iterator[tuple[Path, int, float]]:
    """Files in the staging folder, with size and time."""
    for item in _listing(folder / FORMAT / "staging"):
        with contextlib.suppress(OSError):
            if item.is_file(follow_symlinks=False):
                found = item.stat(follow_symlinks=False)
                yield Path(item.path), found.st_size, found.st_mtime
