"""Files kept under their checksums, in the layout of Open Model Zoo's cache, release 1.

`<cache>/1/<first two hex digits>/<the rest>` are whole files; what is being written is in
`<cache>/1/staging`. Entries of Open Model Zoo's tools are used as they are, and the other way round.
Beside them, in `<cache>/urls`, is what leads from URLs to files that nobody publishes a checksum for.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..checksum import Checksum
from ..errors import StorageError
from ..files.disk import hard_link, storage_errors
from ..files.leftovers import clear_away
from .proofs import Proofs
from .url_notes import UrlNote, UrlNotes, address_key

if TYPE_CHECKING:
    from ..files.partial import Partial

FORMAT = "1"


class Cache:
    """One cache directory. Its files are named by their checksums, so a name tells what to expect."""

    def __init__(self, folder: Path, links: bool = False) -> None:
        self.folder, self.links = folder, links
        self.proofs = Proofs(folder)
        self._failures: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)
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
        from ..files.claiming import claim

        return claim(self._staging / checksum.value)

    def reserve_address(self, address: str) -> Partial | None:
        """The same for what a URL gives, as long as nobody knows its checksum."""
        from ..files.claiming import claim

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

    def fill(
        self,
        reservation: Partial,
        checksum: Checksum,
        file: Path,
        mtime_ns: int | None,
        check: Callable[[], object] = lambda: None,
    ) -> None:
        """Keep a copy of a file that was verified when it had this time; raises StorageError.

        Without a time it is verified while it is copied; nothing is kept then of a wrong one.
        `check` is called from time to time, and may raise.
        """
        from ..files.partial import Provenance

        entry = self.path(checksum)
        try:
            reservation.reset()  # a killed process may have begun a copy
            with storage_errors(entry), file.open("rb", buffering=0) as source:
                entry.parent.mkdir(parents=True, exist_ok=True)
                shared = reservation.clone(source.fileno())
                if mtime_ns is None:
                    reservation.begin(reservation.size, Provenance("local"), checksum.type)
                for _ in reservation.copy(source.fileno()):  # nothing, after a clone
                    check()
                unchanged = os.fstat(source.fileno()).st_mtime_ns == mtime_ns
            if mtime_ns is None and reservation.checksum() != checksum:
                reservation.discard()
                return
            reservation.finish(entry)
            if shared and unchanged:
                self._prove(checksum)
        except StorageError:
            reservation.discard()  # part of a copy is of no use, and may be what fills the disk
            raise

    def clear_away(self) -> None:
        """Remove what killed processes left in staging; nothing of it could be gone on with."""
        clear_away(self._staging)

    def link(self, checksum: Checksum, file: Path, mtime_ns: int) -> None:
        """Keep the verified file itself under a second name, read-only; raises OSError."""
        entry = self.path(checksum)
        entry.parent.mkdir(parents=True, exist_ok=True)
        linked = hard_link(file, entry, os.stat(file))
        if linked.st_mtime_ns == mtime_ns:
            self.proofs.add(checksum, linked)

    def _prove(self, checksum: Checksum) -> None:
        with contextlib.suppress(OSError):
            self.proofs.add(checksum, os.stat(self.path(checksum)))

    def first_failure(self, kind: str) -> bool:
        """Whether nothing of this kind has failed before: the same thing need not be told again."""
        return next(self._failures[kind]) == 0

    def drop(self, checksum: Checksum) -> None:
        """Remove a broken entry, whatever it is."""
        import shutil

        path = self.path(checksum)
        if os.path.isdir(path) and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            path.unlink()
