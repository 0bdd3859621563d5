"""What URLs gave: a small JSON file for each, `<cache>/urls/<SHA-256 of its address>.json`.

A file that nobody publishes a checksum for is kept in the cache like every other, under the digest
that it had when it came first; its note leads from the URL to that digest. Secrets in a URL are
neither kept nor hashed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from ..checksum import Checksum, make_checksum
from ..files.disk import storage_errors, write_whole
from ..web.credentials import mask

_MAX_BYTES = 1 << 16


class UrlNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a URL (masked) gave: size in bytes, digest, the version that the server named, and when."""

    url: str
    file: str
    """The model and its file that it was asked for."""
    size: int
    checksum: Checksum
    verified: bool = False
    """Whether its place published the digest then, as the Hugging Face hub does."""
    validator: str | None = None
    time: str = ""


_DECODER = msgspec.json.Decoder(UrlNote)


class UrlNotes:
    """The notes of one cache. They are taken for hostile: whatever is odd about one, it is none."""

    def __init__(self, cache_dir: Path) -> None:
        self._folder = cache_dir / "urls"

    def path(self, address: str) -> Path:
        """Where the note with this address is, or would be."""
        return self._folder / f"{address_key(address)}.json"

    def read(self, address: str) -> UrlNote | None:
        """The note with this address, if there is one."""
        note = _load(self.path(address))
        return note if note and address_of(note.url, note.file) == address else None

    def forget(self, holds: Callable[[Checksum], bool]) -> None:
        """Remove the notes that lead to what the cache does not hold any more."""
        for path in self._folder.glob("*.json"):
            if (note := _load(path)) and not holds(note.checksum):
                with contextlib.suppress(OSError):
                    path.unlink()

    def write(self, note: UrlNote) -> None:
        """Remember what a URL gave; raises StorageError."""
        path = self.path(address_of(note.url, note.file))
        with storage_errors(path):
            write_whole(path, msgspec.json.encode(note))


def _load(path: Path) -> UrlNote | None:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)  # a pipe would wait for a writer
        with open(os.open(path, flags), "rb") as file:
            note = _DECODER.decode(file.read(_MAX_BYTES))
        # The digest becomes a path in the cache.
        checksum = make_checksum(note.checksum.type, note.checksum.value)
        if note.size >= 0:
            return msgspec.structs.replace(note, checksum=checksum)
    return None


def address_of(url: str, file: str) -> str:
    """What is remembered under a URL's name: the URL without its secrets.

    A secret can be all that tells two files apart, so the model's file belongs to it then.
    """
    masked = mask(url)
    return f"{masked} {file}" if "***" in masked else masked


def address_key(address: str) -> str:
    """What an address is called where its own characters cannot be used."""
    import hashlib  # it loads OpenSSL, which a finished tree does not need

    return hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()
