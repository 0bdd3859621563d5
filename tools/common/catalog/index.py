"""The index: what the config files of a tree said, so that only those that have changed are read again.

It is a file in the user's cache folder, one for each tree: every model in msgpack, then the directory,
which holds what selecting needs and how each config file and folder looked, then where that begins.
What is asked for by name is found in a list of names; the other entries are not even decoded then.
Nothing depends on it: one that is missing, damaged or not ours is made again, by builder.py.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import operator
import os
import stat
import struct
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from ..model import Model
from ..user_folders import index_folder
from ..version import VERSION
from .stamps import Stamp, stamp

_FORMAT = 3
_END = struct.Struct("<QQI8s")  # where the directory begins, its size, its CRC-32, and what this is
_MAGIC = b"MZINDEX\n"

_DAMAGE = (
    *(OSError, ValueError, OverflowError, MemoryError, RecursionError),
    *(struct.error, msgspec.MsgspecError),
)
"""What can come of bytes that are no index."""


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


class Directory(msgspec.Struct):
    """What an index holds beside the models."""

    key: bytes
    shape: list[tuple[bytes, Stamp]]
    """Paths in the tree whose change can mean other models, or the end of one."""
    entries: list[Entry]


class _Kept(msgspec.Struct, array_like=True, dict=True):
    """A directory as it is in a file."""

    key: bytes
    shape: list[tuple[bytes, Stamp]]
    names: list[str]
    """Those of the models, in the order of the entries."""
    many_named: list[int]
    """The numbers of the entries that may answer to more names than that."""
    doubts: list[str]
    ends: list[int]
    """Where each entry ends in `packed`, an array of them, which begins with its `head`."""
    head: int
    packed: msgspec.Raw

    @functools.cached_property
    def entries(self) -> list[Entry]:
        """All of them, decoded; raises what _DAMAGE names."""
        return msgspec.msgpack.decode(self.packed, type=list[Entry])

    def named(self, names: Collection[str]) -> list[Entry]:
        """Those that may answer to one of the names; raises what _DAMAGE names."""
        found = {number for number, name in enumerate(self.names) if name in names}
        begins, packed = [self.head, *self.ends], memoryview(self.packed)
        return [
            msgspec.msgpack.decode(packed[begins[number] : begins[number + 1]], type=Entry)
            for number in sorted(found.union(self.many_named))
        ]


class Index:
    """The models of one tree, decoded when they are asked for.

    They are in a file or in `data` itself; `read_again` reads one from its config file, when it was
    not kept or its bytes are damaged.
    """

    def __init__(
        self,
        root: str,
        directory: Directory | _Kept,
        data: Path | bytes,
        read_again: Callable[[Entry], Model],
    ) -> None:
        self._root = os.path.join(root, "")
        self._directory, self._data, self._read_again = directory, data, read_again

    @property
    def entries(self) -> list[Entry]:
        """What is known of each model, unless the index is damaged: see `is_whole`."""
        return self._directory.entries

    def is_whole(self) -> bool:
        """Whether the entries can be used."""
        with contextlib.suppress(*_DAMAGE):
            return self._directory.entries is not None
        return False

    def named(self, names: Collection[str]) -> list[Entry] | None:
        """The entries that may answer to one of these names, and others; None when it is damaged."""
        if isinstance(self._directory, Directory):
            return self._directory.entries
        with contextlib.suppress(*_DAMAGE):
            return self._directory.named({*names, *(name.partition(":")[2] for name in names)})
        return None

    def open(self) -> BinaryIO:
        """The bytes of the models."""
        return opened(self._data) if isinstance(self._data, Path) else io.BytesIO(self._data)

    def doubts(self) -> Iterator[str]:
        """What there was to warn about when the config files were read."""
        return (
            _doubts(self.entries)
            if isinstance(self._directory, Directory)
            else iter(self._directory.doubts)
        )

    def has_shape(self) -> bool:
        """Whether the tree is as it was, but for the folders of single models and what is in them."""
        root = os.fsencode(self._root)
        return all(stamp(root + path) == old for path, old in self._directory.shape)

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


def _doubts(entries: Iterable[Entry]) -> Iterator[str]:
    return (doubt for entry in entries for doubt in entry.doubts)


def _has_more_names(entry: Entry) -> bool:
    more = entry.composite, entry.version, entry.aliases, entry.family, entry.titles
    return any(more) or "@" in entry.name


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


def _read_directory(file: BinaryIO) -> _Kept:
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
    kept = msgspec.msgpack.decode(data, type=_Kept)
    if len(kept.names) != len(kept.ends) or not all(
        n in range(len(kept.ends)) for n in kept.many_named
    ):
        raise ValueError
    return kept


def directory_bytes(directory: Directory, offset: int) -> bytes:
    """The end of an index file, to be put at this offset; raises ValueError for odd strings."""
    entries = directory.entries
    pieces = list(map(msgspec.msgpack.encode, entries))
    packed = msgspec.msgpack.encode(entries)
    head = len(packed) - sum(map(len, pieces))
    kept = _Kept(
        directory.key,
        directory.shape,
        [entry.name for entry in entries],
        [number for number, entry in enumerate(entries) if _has_more_names(entry)],
        list(_doubts(entries)),
        list(itertools.accumulate(map(len, pieces), initial=head))[1:],
        head,
        msgspec.Raw(packed),
    )
    data = msgspec.msgpack.encode(kept)
    return data + _END.pack(offset, len(data), zlib.crc32(data), _MAGIC)
