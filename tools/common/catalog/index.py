"""The index: what the config files of a tree said, so that only those that have changed are read again.

It is a file in the user's cache folder, one for each tree: every model in msgpack, then the directory,
which holds what selecting needs and how each config file and folder looked, then where that begins.
Nothing depends on it: one that is missing, damaged or not ours is made again, by builder.py.
"""

from __future__ import annotations

import contextlib
import io
import operator
import os
import stat
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from ..model import Model
from ..user_folders import index_folder
from ..version import VERSION

_FORMAT = 2
_END = struct.Struct("<QQI8s")  # where the directory begins, its size, its CRC-32, and what this is
_MAGIC = b"MZINDEX\n"
_STAMP = struct.Struct("<qqQQ")
_RACY = 2 * 10**9  # ns: the coarsest time of change that a file system keeps (FAT)

_DAMAGE = (
    *(OSError, ValueError, OverflowError, MemoryError, RecursionError),
    *(struct.error, msgspec.MsgspecError),
)
"""What can come of bytes that are no index."""

Stamp = bytes


def stamp(path: str | bytes) -> Stamp:
    """What changes when a file or folder does: both times, inode and size."""
    try:
        found = os.stat(path)
        return _STAMP.pack(found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size)
    except (OSError, ValueError, struct.error):
        return b"gone"


def settled(looked: Stamp, now: int) -> Stamp:
    """The stamp; none if that is so young at `now` that there can be another change with the same."""
    times = _STAMP.unpack(looked)[:2] if len(looked) == _STAMP.size else (now,)
    return looked if max(times) < now - _RACY else b""


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What selecting needs of a model, and where the rest is."""

    config: str
    """The path of its config file in the tree."""
    looked: Stamp
    """How that looked before it was read."""
    home: Stamp
    """How its folder looked then."""
    doubts: tuple[str, ...]
    """The warnings about it."""
    place: tuple[int, int, int] | None
    """Offset, size and CRC-32 of the whole model; None for one that is not kept."""
    id: str
    name: str
    source: str
    composite: str | None
    version: str | None
    framework: str
    task_type: str
    license_url: str
    tags: tuple[str, ...]
    parameters: dict[str, Any]
    aliases: tuple[str, ...]
    family: str
    titles: tuple[str, ...]


_shared = operator.attrgetter(*Entry.__struct_fields__[5:])  # with Model


def entry_of(model: Model, config: str) -> Entry:
    """The entry of a model whose bytes have no place yet."""
    return Entry(config, b"", b"", (), None, *_shared(model))


class Directory(msgspec.Struct, array_like=True):
    """What an index file holds beside the models."""

    key: bytes
    shape: list[tuple[bytes, Stamp]]
    """Paths in the tree whose change can mean other models, or the end of one."""
    entries: list[Entry]


class Index:
    """The models of one tree, decoded when they are asked for.

    They are in a file or in `data` itself; `read_again` reads one from its config file, when it was
    not kept or its bytes are damaged.
    """

    def __init__(
        self,
        root: str,
        directory: Directory,
        data: Path | bytes,
        read_again: Callable[[Entry], Model],
    ) -> None:
        self._root = os.path.join(root, "")
        self._shape, self.entries = directory.shape, directory.entries
        self._data, self._read_again = data, read_again

    def open(self) -> BinaryIO:
        """The bytes of the models."""
        return opened(self._data) if isinstance(self._data, Path) else io.BytesIO(self._data)

    def doubts(self) -> Iterator[str]:
        """What there was to warn about when the config files were read."""
        return (doubt for entry in self.entries for doubt in entry.doubts)

    def has_shape(self) -> bool:
        """Whether the tree is as it was, but for the folders of single models and what is in them."""
        root = os.fsencode(self._root)
        return all(stamp(root + path) == old for path, old in self._shape)

    def holds(self, entries: Iterable[Entry]) -> bool:
        """Whether the config files of these models, and their folders, are as they were."""
        root = self._root
        return all(
            stamp(root + entry.config) == entry.looked
            and stamp(os.path.dirname(root + entry.config)) == entry.home
            for entry in entries
        )

    def models(self, entries: Iterable[Entry]) -> Iterator[Model]:
        """The models of these entries; raises CatalogError for one that was broken a moment ago."""
        with self.open() as file:
            for entry in entries:
                model = decoded(piece(file, entry))
                if model is None:
                    self._doubt_file(entry)
                    model = self._read_again(entry)
                yield model if model.id == entry.id else msgspec.structs.replace(model, id=entry.id)

    def _doubt_file(self, entry: Entry) -> None:
        """Where a model's bytes should be and are not, the next run has to make the file again."""
        if entry.place and isinstance(self._data, Path):
            with contextlib.suppress(OSError):
                self._data.unlink()


def piece(file: BinaryIO, entry: Entry) -> bytes:
    """The bytes of a model; none when they are not there or damaged."""
    if entry.place is not None:
        offset, size, crc = entry.place
        with contextlib.suppress(*_DAMAGE):
            file.seek(offset)
            if zlib.crc32(data := file.read(size)) == crc:
                return data
    return b""


def decoded(data: bytes) -> Model | None:
    """The model that these bytes are, if they are one."""
    with contextlib.suppress(*_DAMAGE):
        return msgspec.msgpack.decode(data, type=Model) if data else None
    return None


def listing(models: Iterable[Model]) -> Index:
    """An index in memory, for a format that keeps none."""
    known = {model.name: model for model in models}
    entries = [entry_of(model, "") for model in known.values()]
    return Index("", Directory(b"", [], entries), b"", lambda entry: known[entry.name])


def locate(*tree: Path | str | bytes) -> tuple[bytes, Path] | None:
    """The key of a tree's index, and where it lies; None when the user wants none."""
    if (folder := index_folder("catalogs")) is None:
        return None
    key = b"\0".join(os.fsencode(part) for part in (str(_FORMAT), VERSION, *tree))
    # Two trees of one name would only take turns: the key is compared too.
    return key, folder / f"{zlib.crc32(key):08x}-{len(key)}.index"


def open_index(
    key: bytes, place: Path, root: str, read_again: Callable[[Entry], Model]
) -> Index | None:
    """The index that lies there, whatever its tree looks like now; None for one that is of no use."""
    with contextlib.suppress(*_DAMAGE), opened(place) as file:
        directory = _read_directory(file)
        if directory.key == key:
            return Index(root, directory, place, read_again)
    return None


def opened(place: Path) -> BinaryIO:
    """An index file, an empty one where there is none."""
    flags = getattr(os, "O_NONBLOCK", 0)  # or a pipe in its place would wait for a writer
    try:
        return open(place, "rb", opener=lambda path, mode: os.open(path, mode | flags))
    except OSError:
        return io.BytesIO()


def _read_directory(file: BinaryIO) -> Directory:
    """Raises ValueError for what is no index of this user."""
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode) or found.st_uid != getattr(os, "geteuid", lambda: 0)():
        raise ValueError
    file.seek(-_END.size, os.SEEK_END)
    offset, size, crc, magic = _END.unpack(file.read())
    if magic != _MAGIC or offset + size + _END.size != found.st_size:
        raise ValueError
    file.seek(offset)
    if zlib.crc32(data := file.read(size)) != crc:
        raise ValueError
    return msgspec.msgpack.decode(data, type=Directory)


def directory_bytes(directory: Directory, offset: int) -> bytes:
    """The end of an index file, to be put at this offset; raises ValueError for odd strings."""
    data = msgspec.msgpack.encode(directory)
    return data + _END.pack(offset, len(data), zlib.crc32(data), _MAGIC)
