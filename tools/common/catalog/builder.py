"""Builds the index of a tree, for this run and, in the user's cache folder, for later ones."""

from __future__ import annotations

import contextlib
import io
import os
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec

from ..description import shown
from ..model import Model
from .index import (
    Directory,
    Entry,
    Index,
    decoded,
    directory_bytes,
    entry_of,
    piece,
)
from .stamps import Stamp, settled

_FORGOTTEN = 30 * 86400  # seconds after which an index may go: its tree may be gone too


class Builder:
    """Makes an index, and takes over what an old one knows of config files that are as they were.

    `keep` is its key, and its place for later runs; without, or where nobody can write, it is in
    memory.
    """

    def __init__(self, old: Index | None, keep: tuple[bytes, Path] | None) -> None:
        self._started = time.time_ns()
        self._known = {entry.config: entry for entry in old.entries} if old else {}
        self._old: BinaryIO = old.open() if old else io.BytesIO()
        self._directory = Directory(keep[0] if keep else b"", [], [])
        self._place = keep[1] if keep else Path()
        self._file = _new_file(f"{self._place}.{os.urandom(4).hex()}") if keep else None
        self._memory = io.BytesIO()

    def __enter__(self) -> Builder:
        return self

    def __exit__(self, *_: object) -> None:
        self._old.close()
        if self._file:
            with contextlib.suppress(OSError):
                self._file.close()
            with contextlib.suppress(OSError):  # where it has got its name, it is not there any more
                os.unlink(self._file.name)

    def reuse(self, config: str, composite: str | None, looked: Stamp, home: Stamp) -> Entry | None:
        """Take a model over, if it is known and as it was."""
        entry = self._known.get(config)
        if entry is None or (entry.looked, entry.composite) != (looked, composite):
            return None
        if data := piece(self._old, entry):
            self._add(entry, data, looked, home, entry.doubts)
        return entry if data else None

    def add(self, model: Model, config: str, looked: Stamp, home: Stamp, doubts: Iterable[str]) -> None:
        """Add a model that was just read; the stamps are from before that."""
        self._add(entry_of(model, config), _encoded(model), looked, home, tuple(doubts))

    def _add(
        self, entry: Entry, data: bytes, looked: Stamp, home: Stamp, doubts: tuple[str, ...]
    ) -> None:
        place, file = None, self._file or self._memory
        with contextlib.suppress(OSError):  # the disk is full: it is read again when it is asked for
            if data:
                place = file.tell(), len(data), zlib.crc32(data)
                file.write(data)
        looked, home = settled(looked, self._started), settled(home, self._started)
        self._directory.entries.append(
            msgspec.structs.replace(entry, place=place, looked=looked, home=home, doubts=doubts)
        )

    def finish(
        self, root: str, shape: Mapping[str, Stamp], read_again: Callable[[Entry], Model]
    ) -> Index:
        """The index, which is there for later runs now."""
        self._directory.shape = [
            (os.fsencode(p), settled(old, self._started)) for p, old in shape.items()
        ]
        data = self._memory.getvalue()
        kept = self._place if self._file and self._save(self._file, self._place) else None
        return Index(root, self._directory, kept or data, read_again)

    def _save(self, file: BinaryIO, place: Path) -> bool:
        """Give the file its end and its name, if that is possible."""
        with contextlib.suppress(OSError, ValueError, OverflowError):
            file.write(directory_bytes(self._directory, file.tell()))
            file.close()
            os.replace(file.name, place)
            _forget(place.parent)
            return True
        return False


def _encoded(model: Model) -> bytes:
    """The model in msgpack; nothing when that could not hold it exactly, or would hold a secret."""
    if all(shown(o.written) == o.written for file in model.files for o in file.origins):
        with contextlib.suppress(TypeError, ValueError, OverflowError, RecursionError):
            data = msgspec.msgpack.encode(model)
            return data if not model.model_info or decoded(data) == model else b""
    return b""


def _new_file(path: str) -> BinaryIO | None:
    """A file that was not there before. Nobody else needs to know what this user looks at."""
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return open(path, "xb", opener=lambda path, flags: os.open(path, flags, 0o600))
    return None


def _forget(folder: Path) -> None:
    """Remove what was written long ago; a tree that is still there is only indexed once more."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.stat().st_mtime < time.time() - _FORGOTTEN:
                os.unlink(entry)
