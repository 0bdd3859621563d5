"""The index: what the config files of a tree said, so that only those that have changed are read again.

It is a file in the user's cache folder, one for each tree: every model in msgpack, then the directory,
which holds what selecting needs and how each config file and folder looked, then where that begins.
Nothing depends on it. One that is missing, damaged or not ours is made again without a word.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec

from ..description import shown
from ..model import Model
from ..version import VERSION

VARIABLE = "MODELZOO_INDEX"
"""Turns the index off when it is `off`, `0`, `no` or `false`."""

_FORMAT = 1
_END = struct.Struct("<QQI8s")  # where the directory begins, its size, its CRC-32, and what this is
_MAGIC = b"MZINDEX\n"
_STAMP = struct.Struct("<qqQQ")
_UNTRUSTED = b""
_RACY = 2 * 10**9  # ns: the coarsest time of change that a file system keeps (FAT)
_FORGOTTEN = 30 * 86400  # seconds after which an index may go: its tree may be gone too

Stamp = bytes


def stamp(path: str | bytes) -> Stamp:
    """What changes when a file or folder does: both times, inode and size."""
    try:
        found = os.stat(path)
        return _STAMP.pack(found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size)
    except (OSError, ValueError, struct.error):
        return b"gone"


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What selecting needs of a model, and where the rest is."""

    config: str
    """The path of its config file in the tree."""
    looked: Stamp
    """How that looked before it was read."""
    home: Stamp
    """How its folder looked then."""
    doubts: list[str]
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


_SHARED = Entry.__struct_fields__[5:]  # with Model


def _entry(model: Model, config: str) -> Entry:
    return Entry(config, b"", b"", [], None, *(getattr(model, field) for field in _SHARED))


class _Directory(msgspec.Struct, array_like=True):
    key: bytes
    shape: list[tuple[bytes, Stamp]]
    """Paths in the tree whose change can mean other models, or the end of one."""
    entries: list[Entry]


class Index:
    """The models of one tree, decoded when they are asked for.

    `read_again` reads one from its config file, when it is not kept or its bytes are damaged.
    """

    def __init__(
        self,
        root: str,
        directory: _Directory,
        data: Callable[[], BinaryIO],
        read_again: Callable[[Entry], Model],
    ) -> None:
        self._root, self._shape, self.entries = (
            os.path.join(root, ""),
            directory.shape,
            directory.entries,
        )
        self.data, self._read_again = data, read_again

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
        with self.data() as file:
            for entry in entries:
                model = _decoded(piece(file, entry)) or self._read_again(entry)
                yield model if model.id == entry.id else msgspec.structs.replace(model, id=entry.id)


def piece(file: BinaryIO, entry: Entry) -> bytes:
    """The bytes of a model; none when they are not there or damaged."""
    if entry.place is not None:
        offset, size, crc = entry.place
        with contextlib.suppress(OSError, ValueError, OverflowError, MemoryError):
            file.seek(offset)
            if zlib.crc32(data := file.read(size)) == crc:
                return data
    return b""


def _decoded(data: bytes) -> Model | None:
    with contextlib.suppress(msgspec.MsgspecError, ValueError, RecursionError):
        return msgspec.msgpack.decode(data, type=Model) if data else None
    return None


def listing(models: Iterable[Model]) -> Index:
    """An index in memory, for a format that keeps none."""
    known = {model.name: model for model in models}
    entries = [_entry(model, "") for model in known.values()]
    return Index("", _Directory(b"", [], entries), io.BytesIO, lambda entry: known[entry.name])


class Builder:
    """Makes an index, and takes over what an old one knows of config files that are as they were."""

    def __init__(self, old: Index | None) -> None:
        self._started = time.time_ns()
        self._known = {entry.config: entry for entry in old.entries} if old else {}
        self._old: BinaryIO = old.data() if old else io.BytesIO()
        self._directory = _Directory(b"", [], [])
        self._data = io.BytesIO()

    def __enter__(self) -> Builder:
        return self

    def __exit__(self, *_: object) -> None:
        self._old.close()

    def keep(self, config: str, composite: str | None, looked: Stamp, home: Stamp) -> Entry | None:
        """Take a model over, if it is known and as it was."""
        entry = self._known.get(config)
        if entry is None or (entry.looked, entry.composite) != (looked, composite):
            return None
        if data := piece(self._old, entry):
            self._add(entry, data, looked, home, entry.doubts)
        return entry if data else None

    def add(self, model: Model, config: str, looked: Stamp, home: Stamp, doubts: list[str]) -> None:
        """Add a model that was just read; the stamps are from before that."""
        self._add(_entry(model, config), _encoded(model), looked, home, doubts)

    def _add(self, entry: Entry, data: bytes, looked: Stamp, home: Stamp, doubts: list[str]) -> None:
        place = (self._data.tell(), len(data), zlib.crc32(data)) if data else None
        self._data.write(data)
        looked, home = self._trusted(looked), self._trusted(home)
        self._directory.entries.append(
            msgspec.structs.replace(entry, place=place, looked=looked, home=home, doubts=doubts)
        )

    def _trusted(self, looked: Stamp) -> Stamp:
        """The stamp, unless this was changed so lately that another change could look the same."""
        times = _STAMP.unpack(looked)[:2] if len(looked) == _STAMP.size else (self._started,)
        return looked if max(times) < self._started - _RACY else _UNTRUSTED

    def finish(
        self, root: str, shape: Mapping[str, Stamp], read_again: Callable[[Entry], Model]
    ) -> Index:
        """The index, in memory."""
        self._directory.shape = [(os.fsencode(p), self._trusted(old)) for p, old in shape.items()]
        data = self._data.getvalue()
        return Index(root, self._directory, lambda: io.BytesIO(data), read_again)

    def save(self, key: bytes, place: Path) -> None:
        """Put the finished index there for later runs; where that does not work there is none."""
        self._directory.key = key
        with contextlib.suppress(OSError, ValueError, OverflowError):
            directory = msgspec.msgpack.encode(self._directory)
            end = _END.pack(self._data.tell(), len(directory), zlib.crc32(directory), _MAGIC)
            self._data.write(directory + end)
            place.parent.mkdir(parents=True, exist_ok=True)
            _write(place, self._data.getvalue())
            _forget(place.parent)


def _encoded(model: Model) -> bytes:
    """The model in msgpack; nothing when that could not hold it exactly, or would hold a secret."""
    if all(shown(o.written) == o.written for file in model.files for o in file.origins):
        with contextlib.suppress(TypeError, ValueError, OverflowError, RecursionError):
            data = msgspec.msgpack.encode(model)
            return data if not model.model_info or _decoded(data) == model else b""
    return b""


def _write(place: Path, data: bytes) -> None:
    """Replace a file as a whole. Nobody else needs to know what this user looks at."""
    temporary = f"{place}.{os.getpid()}"
    with open(temporary, "xb", opener=lambda path, mode: os.open(path, mode, 0o600)) as file:
        try:
            file.write(data)
            file.close()
            os.replace(temporary, place)
        except OSError:
            os.unlink(temporary)
            raise


def _forget(folder: Path) -> None:
    """Remove what was written long ago; a tree that is still there is only indexed once more."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.stat().st_mtime < time.time() - _FORGOTTEN:
                os.unlink(entry)


def locate(*tree: Path | str | bytes) -> tuple[bytes, Path] | None:
    """The key of a tree's index, and where it lies; None when the user wants none."""
    if os.environ.get(VARIABLE, "").strip().lower() in ("off", "0", "no", "false"):
        return None
    if (folder := _cache_folder()) is None:
        return None
    key = b"\0".join(os.fsencode(part) for part in (str(_FORMAT), VERSION, *tree))
    # Two trees of one name would only take turns: the key is compared too.
    return key, folder / f"{zlib.crc32(key):08x}-{len(key)}.index"


def _cache_folder() -> Path | None:
    """The user's cache folder for these tools, where one is known."""
    if sys.platform == "linux":  # what platformdirs would say; to import it takes as long as the rest
        for variable, below in (("XDG_CACHE_HOME", ""), ("HOME", ".cache")):
            if os.path.isabs(home := os.environ.get(variable, "")):
                return Path(home, below, "modelzoo", "catalogs")
    import platformdirs

    with contextlib.suppress(RuntimeError):
        return Path(platformdirs.user_cache_dir("modelzoo", appauthor=False), "catalogs")
    return None


def open_index(
    key: bytes, place: Path, root: str, read_again: Callable[[Entry], Model]
) -> Index | None:
    """The index that lies there, whatever its tree looks like now; None for one that is of no use."""
    with contextlib.suppress(
        OSError, ValueError, OverflowError, MemoryError, RecursionError, msgspec.MsgspecError
    ):
        with _open(place) as file:
            directory = _read_directory(file)
        if directory.key == key:
            return Index(root, directory, lambda: _open(place), read_again)
    return None


def _open(place: Path) -> BinaryIO:
    flags = getattr(os, "O_NONBLOCK", 0)  # or a pipe in its place would wait for a writer
    try:
        return open(place, "rb", opener=lambda path, mode: os.open(path, mode | flags))
    except OSError:
        return io.BytesIO()


def _read_directory(file: BinaryIO) -> _Directory:
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
    return msgspec.msgpack.decode(data, type=_Directory)
