"""The archive of a model, as audmodel makes it: a zip of all files of a folder, hidden ones too.

Links are followed, empty folders left out. Every file is hashed as it goes in, so that the digests are
those of what the archive holds, whatever becomes of the folder meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from ..checksum import CHUNK, new_hasher
from ..errors import InvalidValueError, UnsafePathError
from ..files.disk import storage_errors
from ..files.hashing import FileHasher
from ..files.paths import clash, require_safe
from .deflating import Deflater
from .digests import Digests, FileDigest

MAX_LEVEL = 9
"""Of deflate; 0 stores the files as they are."""


_LARGE = 1 << 30
"""Bytes from which on a file may need the format's extension for sizes beyond 32 bits."""


class Contents(msgspec.Struct, frozen=True):
    """The files of a folder by their relative paths, in order, and their bytes together."""

    root: Path
    files: tuple[str, ...]
    size: int


def look_through(root: Path) -> Contents:
    """The files of a folder that is to be published; InvalidValueError for what no archive can hold."""
    files, size = [], 0
    with storage_errors(root):
        for name, found in _walk(root, "", ()):
            files.append(name)
            size += found
    if both := clash(files):
        raise InvalidValueError(f"{root}: some systems cannot have both {both[0]} and {both[1]}")
    return Contents(root, tuple(files), size)


def _walk(folder: Path, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, int]]:
    """The names and sizes of files; `above` are the folders around, which a link could lead back to."""
    here = os.stat(folder)
    if (identity := (here.st_dev, here.st_ino)) in above:
        raise InvalidValueError(f"{folder}: a link leads back to a folder that it is in")
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        name = prefix + entry.name
        if entry.is_dir():
            yield from _walk(Path(entry.path), f"{name}/", (*above, identity))
            continue
        try:
            require_safe(name)
            found = entry.stat()
        except UnsafePathError as error:
            raise InvalidValueError(f"{folder}: could not be loaded again: {error}") from None
        except FileNotFoundError:
            raise InvalidValueError(f"{entry.path}: a link that leads nowhere") from None
        if not stat.S_ISREG(found.st_mode):
            raise InvalidValueError(f"{entry.path}: only files and folders can be published")
        yield name, found.st_size


def pack(contents: Contents, archive: Path, level: int, packed: Callable[[int], None]) -> Digests:
    """Write the archive; `packed` is told how many bytes of the folder are in it, and may raise.

    Raises StorageError.
    """
    kind = zipfile.ZIP_DEFLATED if level else zipfile.ZIP_STORED
    files: dict[str, FileDigest] = {}
    before = 0
    with (
        storage_errors(archive),
        archive.open("xb+") as written,
        contextlib.closing(FileHasher(written.fileno(), "sha256")) as hasher,
    ):
        with zipfile.ZipFile(written, "w", kind) as target:
            for name in contents.files:
                path, start = contents.root / name, before
                with storage_errors(path):
                    digest = _add(target, path, name, level, lambda size: packed(start + size))  # noqa: B023
                files[name] = digest
                before += digest.size
                # An entry does not change once it is closed, so it is hashed beside the next one.
                written.flush()
                hasher.follow(written.tell())
        written.flush()
        size = written.seek(0, os.SEEK_END)
        hasher.follow(size)
        return Digests(FileDigest(size, hasher.checksum().value), files)


def _add(
    target: zipfile.ZipFile, path: Path, name: str, level: int, packed: Callable[[int], None]
) -> FileDigest:
    """Add one file; what is told of it is what came out of it, even should it change meanwhile."""
    info = zipfile.ZipInfo.from_file(path, name, strict_timestamps=False)
    info.compress_type = target.compression
    hasher, size = new_hasher("sha256"), 0
    large = info.file_size >= _LARGE
    with (
        path.open("rb", buffering=0) as source,
        contextlib.closing(Deflater(level)) as deflater,
        target.open(info, "w", force_zip64=large) as entry,
    ):
        if level:
            # There is no public way to bring another one along; all releases of Python have this place.
            entry._compressor = deflater  # type: ignore[attr-defined]
        while chunk := source.read(CHUNK):
            hasher.update(chunk)
            entry.write(chunk)
            size += len(chunk)
            packed(size)
    return FileDigest(size, hasher.hexdigest())
