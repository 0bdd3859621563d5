"""Which entries of a cache this user's tools have verified, and how those looked then.

A line for each in a file of the user's own cache folder: others may be able to write to the cache
itself, and their word is not enough. A note that is lost or damaged costs one more look at an entry.
docs/adr/0005-a-proof-of-a-cache-entry-is-remembered.md says what notes are for.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import zlib
from pathlib import Path

from ..checksum import Checksum

MAX_BYTES = 16 << 20
"""A file of notes that has grown beyond this is begun again; it holds about 100,000."""

_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Proofs:
    """The notes on one cache; several processes may read and add to them at once."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._lock = threading.Lock()
        self._notes: dict[str, str] | None = None
        self._fresh: list[str] = []

    def hold(self, checksum: Checksum, entry: os.stat_result) -> bool:
        """Whether the entry with this checksum was verified and has not changed since."""
        with self._lock:
            looked, _, changed = self._known().get(str(checksum), "").rpartition(" ")
        # Each link that is made or removed is a change of a linked entry. But one that nobody can
        # write to, and only we could make writable, shows by its other time what we have done to it.
        same = str(entry.st_ctime_ns) == changed or _only_ours_to_change(entry)
        return same and looked == _look(entry)

    def add(self, checksum: Checksum, entry: os.stat_result) -> None:
        """Note that the entry with this checksum, as it looks here, has been verified."""
        note = f"{_look(entry)} {entry.st_ctime_ns}"
        with self._lock:
            self._known()[str(checksum)] = note
            self._fresh.append(f"{checksum} {note}\n")

    def flush(self) -> None:
        """Write what was noted; call it when the data of the entries has reached the disk."""
        with self._lock:
            fresh, self._fresh = self._fresh, []
        if fresh:
            with contextlib.suppress(OSError):
                _append(self._cache, "".join(fresh).encode())

    def _known(self) -> dict[str, str]:
        if self._notes is None:
            self._notes = _read(self._cache)
        return self._notes


def _look(entry: os.stat_result) -> str:
    return f"{entry.st_ino} {entry.st_size} {entry.st_mtime_ns}"


def _only_ours_to_change(entry: os.stat_result) -> bool:
    ours = hasattr(os, "geteuid") and entry.st_uid == os.geteuid()
    return ours and not entry.st_mode & 0o222


def _place(cache: Path) -> Path:
    """Where the notes on a cache are; raises OSError where the user has no folder for them."""
    import platformdirs

    key = os.fsencode(os.path.realpath(cache))
    try:
        folder = platformdirs.user_cache_path("modelzoo", appauthor=False)
    except RuntimeError as error:
        raise FileNotFoundError(str(error)) from None
    # Two caches of one name would only share a file: the notes on both would be right.
    return folder / "proofs" / f"{zlib.crc32(key):08x}-{len(key)}"


def _read(cache: Path) -> dict[str, str]:
    """The notes by their checksums; of several on one, the last."""
    with contextlib.suppress(OSError):
        path = _place(cache)
        handle = os.open(path, os.O_RDONLY | _FLAGS)
        with open(handle, "rb") as file:
            found = os.fstat(handle)
            owner = getattr(os, "geteuid", lambda: found.st_uid)()
            if not stat.S_ISREG(found.st_mode) or found.st_uid != owner:
                return {}
            if found.st_size > MAX_BYTES:
                path.unlink()
                return {}
            lines = file.read().decode("ascii", "replace").split("\n")
        # Of a killed process the last line may be cut off, and then the next one goes on behind it.
        return {words[0]: words[1] for line in lines if len(words := line.split(" ", 1)) == 2}
    return {}


def _append(cache: Path, lines: bytes) -> None:
    path = _place(cache)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _FLAGS, 0o600)
    try:
        os.write(handle, lines)  # all at once, so that those of two processes do not mix
    finally:
        os.close(handle)
