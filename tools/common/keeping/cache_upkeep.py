"""Looking after a cache: what it holds, whether that is right, and what can go.

Removing an entry is always safe: a run that has it open goes on reading it, and one that does not find
it any more fetches the file. So nobody is locked out meanwhile. The folders of entries stay, since a
run may be about to rename a file into one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from ..cache.contents import DAY, CacheEntry, scan, staged
from ..cache.entries import Cache
from ..checksum import LENGTHS, Checksum
from ..clock import Clock
from ..errors import StorageError
from ..events import SCHEMA_VERSION, Notice, Report, Verdict
from ..files.claiming import claim
from ..files.disk import identity, storage_errors
from ..files.paths import PARTIAL_SUFFIX
from .rehash import Finding, Target, rehash


class BrokenEntry(msgspec.Struct, frozen=True):
    """An entry that does not have the digest of its name; `removed` unless it was only looked at."""

    path: str
    state: Verdict
    message: str
    removed: bool


class CacheVerification(msgspec.Struct, frozen=True):
    """What came of it; `successful` when all entries were right."""

    schema_version: int
    cache_dir: str
    successful: bool
    entries: int
    size: int
    broken: list[BrokenEntry]


class Pruned(msgspec.Struct, frozen=True):
    """What was removed, or would be with `dry_run`: entries and left-overs of killed runs."""

    schema_version: int
    cache_dir: str
    dry_run: bool
    removed: list[CacheEntry]
    removed_size: int
    left_overs: list[str]
    entries: int
    size: int
    problems: list[str]
    """What could not be removed, and why."""


def verify_cache(
    folder: Path, workers: int, report: Report, clock: Clock, dry_run: bool = False
) -> CacheVerification:
    """Hash all entries and remove the wrong ones; raises StorageError or Interrupted."""
    found = scan(folder)
    targets = [_target(entry.value, entry.path, entry.size) for entry in found.entries]
    targets += [_target(_value(path), path, 0) for path in found.broken]
    seen = [identity(target.path) for target in targets]

    def judge(number: int, finding: Finding) -> Finding:
        # Pruned meanwhile, or written anew.
        if finding.state == "missing" or identity(targets[number].path) != seen[number]:
            return Finding("gone", message="another process has removed or replaced it")
        return finding

    findings = rehash(targets, workers, report, clock, judge)
    cache, broken = Cache(folder), []
    for target, before, finding in zip(targets, seen, findings, strict=True):
        if finding.state not in ("whole", "gone"):
            removed = not dry_run and _drop(cache, target, before, report)
            message = finding.message or ""
            broken.append(BrokenEntry(str(target.path), finding.state, message, removed))
    return CacheVerification(
        schema_version=SCHEMA_VERSION,
        cache_dir=str(folder),
        successful=not broken,
        entries=len(findings),
        size=sum(finding.size for finding in findings),
        broken=broken,
    )


def _target(value: str, path: str, size: int) -> Target:
    """An entry to be hashed. The length of a digest tells its algorithm, or two that it may be."""
    lengths = LENGTHS.items()
    checksums = tuple(Checksum(kind, value) for kind, length in lengths if length == len(value))
    return Target(Path(path), None, checksums, about=size)


def _value(path: str) -> str:
    shard, rest = path.replace(os.sep, "/").rsplit("/", 2)[1:]
    return shard + rest


def _drop(cache: Cache, target: Target, seen: tuple[int, int, int] | None, report: Report) -> bool:
    """Remove a broken entry, unless somebody is replacing it or has done so."""
    try:
        if (reservation := cache.reserve(target.checksums[0])) is None:
            return False
        with reservation:
            if identity(target.path) == seen:
                cache.drop(target.checksums[0])
    except StorageError as error:
        report(Notice(message=f"a broken entry was not removed: {error}"))
        return False
    if os.path.lexists(target.path):
        report(Notice(message=f"a broken entry was not removed: {target.path}"))
        return False
    return True


def prune_cache(
    folder: Path,
    *,
    max_size: int | None = None,
    older_than: float | None = None,
    used: Collection[str] | None = None,
    dry_run: bool = False,
) -> Pruned:
    """Remove entries until the cache has at most `max_size` bytes, those first that were used longest
    ago; all that were not used for `older_than` seconds; and, where `used` is given, all whose digest
    is not in it. Left-overs of killed runs go in any case, and notes on URLs that lead nowhere.
    Raises StorageError where there is no cache.
    """
    now = time.time()
    entries = sorted(scan(folder).entries, key=lambda entry: entry.used)
    size = sum(entry.size for entry in entries)
    removed, problems = [], []
    for entry in entries:
        old = older_than is not None and now - entry.used >= older_than
        unused = used is not None and entry.value not in used
        too_much = max_size is not None and size > max_size
        if not (old or unused or too_much):
            continue
        try:
            if not dry_run:
                _unlink(Path(entry.path))
        except StorageError as error:
            problems.append(str(error))
        else:
            removed.append(entry)
            size -= entry.size
    if not dry_run:
        cache = Cache(folder)
        cache.notes.forget(cache.holds)
    return Pruned(
        schema_version=SCHEMA_VERSION,
        cache_dir=str(folder),
        dry_run=dry_run,
        removed=removed,
        removed_size=sum(entry.size for entry in removed),
        left_overs=list(_left_overs(folder, now, dry_run, problems)),
        entries=len(entries) - len(removed),
        size=size,
        problems=problems,
    )


def _unlink(path: Path) -> None:
    with storage_errors(path):
        path.unlink(missing_ok=True)


def _left_overs(folder: Path, now: float, dry_run: bool, problems: list[str]) -> Iterator[str]:
    """Files that nobody has written to for a day and nobody holds; they are removed unless told not."""
    for path, _, written in staged(folder):
        if now - written < DAY:
            continue
        try:
            if dry_run or _discard(path):
                yield str(path)
        except StorageError as error:
            problems.append(str(error))


def _discard(path: Path) -> bool:
    """Remove a file from the staging folder; a file in flight only if no other process holds it."""
    if not path.name.endswith(PARTIAL_SUFFIX):
        _unlink(path)
        return True
    partial = claim(path.with_name(path.name.removesuffix(PARTIAL_SUFFIX)))
    if partial is None:
        return False
    with partial:
        partial.discard()
    return True
