"""Files kept under their checksums, in the layout of Open Model Zoo's cache, release 1.

`<cache>/1/<first two hex digits>/<the rest>` are whole files; what is being written is in
`<cache>/1/staging`. Entries of Open Model Zoo's tools are used as they are, and the other way round.
Beside them, in `<cache>/urls`, is what leads from URLs to files that nobody publishes a checksum for.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from .checksum import Checksum
from .claiming import claim
from .disk import storage_errors
from .errors import StorageError
from .partial import Partial
from .url_notes import UrlNote, UrlNotes, address_key

FORMAT = "1"


class Cache:
    """One cache directory. Its files are named by their checksums, so a name tells what to expect."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = folder / FORMAT
        self._staging = self._root / "staging"
        self.notes = UrlNotes(folder)

    def path(self, checksum: Checksum) -> Path:
        """Where the file with this checksum is, or would be."""
        return self._root / checksum.value[:2] / checksum.value[2:]

    def holds(self, checksum: Checksum) -> bool:
        """Whether there is an entry, good or broken; it is proven only when it is read."""
        path = self.path(checksum)
        return os.path.isfile(path) or os.path.isdir(path)

    def reserve(self, checksum: Checksum) -> Partial | None:
        """The right to fill this entry, or None while another process has it; raises StorageError.

        Whoever fetches a file that belongs into the cache holds it, so that many machines or
        processes with one cache fetch each file once.
        """
        return claim(self._staging / checksum.value)

    def reserve_address(self, address: str) -> Partial | None:
        """The same for what a URL gives, as long as nobody knows its checksum."""
        return claim(self._staging / address_key(address))

    def noted(self, addresses: Iterable[str]) -> UrlNote | None:
        """What was found at one of these addresses, where the bytes are kept still."""
        notes = filter(None, map(self.notes.read, addresses))
        return next((note for note in notes if self.holds(note.checksum)), None)

    def open(self, checksum: Checksum) -> BinaryIO:
        """An entry, to be read; raises OSError."""
        try:
            return self.path(checksum).open("rb", buffering=0)
        except IsADirectoryError:
            self.drop(checksum)  # it will never be a file
            raise

    def fill(self, reservation: Partial, checksum: Checksum, file: Path) -> None:
        """Keep a copy of a verified file; raises StorageError."""
        entry = self.path(checksum)
        try:
            reservation.reset()  # a killed process may have begun a copy
            with storage_errors(entry), file.open("rb", buffering=0) as source:
                deque(reservation.copy(source.fileno()), maxlen=0)
            self.accept(reservation, checksum)
        except StorageError:
            reservation.discard()  # part of a copy is of no use, and may be what fills the disk
            raise

    def accept(self, reservation: Partial, checksum: Checksum) -> None:
        """Give what was written into a reservation its place; raises StorageError."""
        entry = self.path(checksum)
        with storage_errors(entry):
            entry.parent.mkdir(parents=True, exist_ok=True)
        reservation.finish(entry)

    def drop(self, checksum: Checksum) -> None:
        """Remove a broken entry, whatever it is."""
        path = self.path(checksum)
        if os.path.isdir(path) and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            path.unlink()
