"""Files kept under their checksums, in the layout of Open Model Zoo's cache, release 1.

`<cache>/1/<first two hex digits>/<the rest>` are whole files; what is being written is in
`<cache>/1/staging`. Entries of Open Model Zoo's tools are used as they are, and the other way round.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from .checksum import CHUNK, Checksum
from .disk import storage_errors
from .partial import Partial, claim

FORMAT = "1"


class Cache:
    """One cache directory. Its files are named by their checksums, so a name tells what to expect."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = folder / FORMAT
        self._staging = self._root / "staging"

    def path(self, checksum: Checksum) -> Path:
        """Where the file with this checksum is, or would be."""
        return self._root / checksum.value[:2] / checksum.value[2:]

    def holds(self, checksum: Checksum) -> bool:
        """Whether there is an entry; it is proven only when it is read."""
        return self.path(checksum).is_file()

    def reserve(self, checksum: Checksum) -> Partial | None:
        """The right to fill this entry, or None while another process has it; raises StorageError.

        Whoever fetches a file that belongs into the cache holds it, so that many machines or
        processes with one cache fetch each file once.
        """
        return claim(self._staging / checksum.value)

    def read(self, checksum: Checksum) -> Iterator[bytes]:
        """The bytes of an entry, in pieces; raises OSError."""
        with self.path(checksum).open("rb", buffering=0) as file:
            while chunk := file.read(CHUNK):
                yield chunk

    def fill(self, reservation: Partial, checksum: Checksum, file: Path) -> None:
        """Keep a copy of a verified file; raises StorageError."""
        entry = self.path(checksum)
        with storage_errors(entry):
            entry.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, reservation.path)
        reservation.finish(entry)

    def drop(self, checksum: Checksum) -> None:
        """Remove a broken entry."""
        with contextlib.suppress(OSError):
            self.path(checksum).unlink()
