"""A model's folder in object storage, and what is here of it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path
from urllib.parse import quote

import msgspec

from ..cancel import Cancel
from ..checksum import Checksum, file_checksum
from ..errors import CatalogError, Reason, TransferError
from ..files.claiming import claim
from ..files.disk import storage_errors, sync, write_whole
from ..files.partial import Partial, Provenance
from ..files.paths import STATE_DIR, require_safe
from ..registry.patience import PatientStorage, patiently
from ..registry.storage.objects import ObjectsStorage
from ..stores import Settings
from ..stores.object_store import ObjectsStore
from ..web.credentials import mask
from .folders import ALGORITHM, MAX_RECORD, Stamp, belongs, files_below
from .output import Output
from .staging import LAST, POLL

ATTEMPTS = 3
"""How often what can pass is tried."""

_SETTINGS = Settings()


class _Copy(msgspec.Struct, frozen=True):
    """A file of the mirror: which version it is of, how it looked when it was whole, and its digest."""

    stamp: Stamp
    mtime_ns: int
    checksum: Checksum


class MirroredFolder:
    """See ModelFolder. Objects are fetched once per version, and proved by nothing but their ETag."""

    def __init__(
        self, place: str, mirror: Path, subdirectory: str, output: Output, cancel: Cancel
    ) -> None:
        base = place.rstrip("/")
        self.path, self._url = mirror / subdirectory, f"{base}/{quote(subdirectory)}"
        self._copies = mirror / STATE_DIR / "mirrored" / subdirectory
        self._output, self._cancel = output, cancel
        self._files = self._storage(self._url)
        self._records = self._storage(f"{base}/{STATE_DIR}")
        self._listed = self._list()

    def _storage(self, url: str) -> PatientStorage:
        storage = ObjectsStorage(url, _SETTINGS)
        return PatientStorage(storage, ATTEMPTS, self._tell, self._cancel.sleep)

    def _tell(self, attempt: int, wait: float, error: TransferError) -> None:
        self._output.warn(f"attempt {attempt} of {ATTEMPTS} failed, next in {wait:.0f} s: {error}")

    def _list(self) -> dict[str, Stamp]:
        try:
            found = [*self._files.list()]
        except TransferError as error:
            if error.reason != Reason.NOT_FOUND:
                raise
            raise TransferError(Reason.NOT_FOUND, "no such bucket", url=mask(self._url)) from None
        folders = {folder for entry in found for folder in _folders(entry.key)}
        return {
            entry.key: Stamp(entry.size or 0, entry.etag or "")
            for entry in sorted(found, key=lambda entry: entry.key)
            if entry.key and entry.key not in folders  # some tools mark folders with empty objects
        }

    def address(self, name: str) -> str:
        """See ModelFolder.address."""
        return f"{self._url}/{quote(name)}"

    def names(self, leave_out: Callable[[str], bool]) -> list[str]:
        """See ModelFolder.names."""
        return [name for name in self._listed if belongs(name, leave_out)]

    def stamp(self, name: str) -> Stamp | None:
        """See ModelFolder.stamp."""
        return self._listed.get(name)

    def checksum(self, name: str) -> Checksum:
        """See ModelFolder.checksum."""
        return self._have(name).checksum

    def bring(self, names: Iterable[str]) -> None:
        """See ModelFolder.bring. What is no longer stored is not left here either."""
        for name in files_below(self._copies):
            if (gone := name.removesuffix(".json")) not in self._listed:
                (self.path / gone).unlink(missing_ok=True)
                (self._copies / name).unlink(missing_ok=True)
        for name in names:
            if name in self._listed:
                self._have(name)

    def store(self, names: Sequence[str]) -> None:
        """See ModelFolder.store. An `.xml` that is there has its weights: an old one goes first."""
        with self._interruptible():
            for name in names:
                if name.endswith(LAST):
                    self._files.delete(name)
            digests = {name: self._send(name) for name in names}
            self._listed = self._list()
        for name, checksum in digests.items():
            if name in self._listed:
                self._note(name, checksum, os.stat(self.path / name))

    def _send(self, name: str) -> Checksum:
        path = self.path / name
        with storage_errors(path):
            checksum = file_checksum(path, ALGORITHM)
        upload = partial(self._files.upload, name, path, checksum, lambda sent: self._cancel.check())
        self._leaving_behind(upload)
        return checksum

    def _leaving_behind(self, act: Callable[[], None]) -> None:
        """Do what cannot be woken and may wait for a minute; a stopped run goes on without it."""
        ended: Future[None] = Future()

        def work() -> None:
            try:
                act()
                ended.set_result(None)
            except BaseException as error:
                ended.set_exception(error)

        threading.Thread(target=work, name="modelzoo-upload", daemon=True).start()
        while not wait([ended], POLL).done:
            self._cancel.check()
        ended.result()

    def write(self, name: str, data: bytes) -> None:
        """See ModelFolder.write."""
        with storage_errors(self.path / name):
            write_whole(self.path / name, data)
        self._files.write(name, data)

    def read_record(self, name: str) -> bytes | None:
        """See ModelFolder.read_record."""
        try:
            return self._records.read(name, MAX_RECORD)
        except CatalogError:
            return None
        except TransferError as error:
            if error.reason != Reason.NOT_FOUND:
                raise
            return None

    def write_record(self, name: str, data: bytes) -> None:
        """See ModelFolder.write_record."""
        self._records.write(name, data)

    def _have(self, name: str) -> _Copy:
        """A file's copy, fetched unless it is here; raises UnsafePathError for what cannot be here."""
        require_safe(name)
        while (copy := self._copy(name)) is None:
            with self._interruptible():
                if (reserved := claim(self.path / name)) is None:
                    self._cancel.sleep(POLL)  # another process fetches it
                    continue
                with reserved:
                    if self._copy(name) is None:
                        self._fetch(name, reserved)
        return copy

    def _copy(self, name: str) -> _Copy | None:
        with contextlib.suppress(OSError, ValueError, RecursionError):
            data = Path(f"{self._copies / name}.json").read_bytes()
            copy = msgspec.json.decode(data, type=_Copy)
            found = os.stat(self.path / name)
            if (copy.stamp, copy.mtime_ns) == (self._listed[name], found.st_mtime_ns):
                return copy if found.st_size == copy.stamp.size else None
        return None

    def _note(self, name: str, checksum: Checksum, found: os.stat_result) -> _Copy:
        copy = _Copy(self._listed[name], found.st_mtime_ns, checksum)
        path = Path(f"{self._copies / name}.json")
        with storage_errors(path):
            sync([self.path / name])
            write_whole(path, msgspec.json.encode(copy))
        return copy

    def _fetch(self, name: str, reserved: Partial) -> None:
        def attempt() -> None:
            self._receive(name, reserved)

        patiently(attempt, ATTEMPTS, self._tell, self._cancel.sleep)
        checksum = reserved.checksum()
        self._note(name, checksum, reserved.finish())

    def _receive(self, name: str, reserved: Partial) -> None:
        stamp, url = self._listed[name], self._files.origin(name)
        origin = Provenance(url, stamp.version)
        known = reserved.provenance == origin and not reserved.gapped
        store = ObjectsStore(_SETTINGS.timeout)
        with (
            store.open(url, reserved.size if known else 0, stamp.version) as opened,
            self._cancel.waking(opened.abort),
        ):
            if Stamp(opened.size or 0, opened.validator or "") != stamp:
                problem = "has changed since it was listed"
                raise TransferError(Reason.SIZE_MISMATCH, problem, url=mask(url))
            reserved.begin(opened.offset, origin, ALGORITHM)
            for piece in opened:
                reserved.write(piece)
        if reserved.size != stamp.size:
            problem = f"expected {stamp.size} bytes, {reserved.size} came"
            raise TransferError(Reason.SIZE_MISMATCH, problem, url=mask(url), transient=True)

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """What fails in here because the run was stopped is Interrupted."""
        try:
            yield
        except Exception:
            self._cancel.check()
            raise


def _folders(key: str) -> Iterator[str]:
    parts = key.split("/")
    return ("/".join(parts[:n]) for n in range(1, len(parts)))
