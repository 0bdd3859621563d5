"""One repository, read: its models' headers, what is known beyond them, aliases and versions."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec

from ..checksum import Checksum
from ..errors import CatalogError, Reason, StorageError, TransferError, UnknownModelError
from ..versions import release_key
from . import layout
from .digests import Digests, parse_digests
from .headers import Header, parse_alias, parse_aliases, parse_header, parse_meta
from .identifiers import Uid, is_legacy
from .known import Known
from .old_repositories import old_headers
from .storage import Entry, Storage

READERS = 32
"""Documents that are read at a time: what takes is the way to them."""

Warn = Callable[[str], None]
T = TypeVar("T")


class Proof(msgspec.Struct, frozen=True):
    """What is known of an archive before it is fetched: its size in bytes, and its digests."""

    size: int | None
    checksum: Checksum | None
    digests: Digests | None = None


class Repository:
    """The models of one storage; raises TransferError, StorageError or CatalogError where it fails."""

    def __init__(self, storage: Storage, name: str = "", known: Known | None = None) -> None:
        self.storage = storage
        self._known = known
        self.url = storage.url
        self.name = name or storage.url.rstrip("/").rpartition("/")[2]

    def exists(self, uid: Uid) -> bool:
        """Whether the model is there: its header is what makes it exist."""
        return self.storage.exists(layout.header_key(uid)) or uid in self._old(uid.short_id)

    def header_bytes(self, uid: Uid) -> bytes:
        """The header as it is written; raises UnknownModelError."""
        try:
            return self.storage.read(layout.header_key(uid))
        except TransferError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise
            raise UnknownModelError(f"A model with ID '{uid}' does not exist in {self.url}.") from None

    def header(self, uid: Uid) -> Header:
        """What was published; raises UnknownModelError."""
        try:
            return self.parsed(self.header_bytes(uid), uid)
        except UnknownModelError:
            if old := self._old(uid.short_id).get(uid):
                return old
            raise

    def archive_key(self, uid: Uid, header: Header) -> str:
        """Where the archive is; raises UnsafePathError."""
        return layout.archive_key(uid, header.name, header.group or header.subgroup)

    def _old(self, model: str, warn: Warn = lambda message: None) -> dict[Uid, Header]:
        """The models of old lookup files, where the model can be one of them."""
        return old_headers(self.storage, warn) if is_legacy(model) else {}

    def parsed(self, data: bytes, uid: Uid) -> Header:
        """The header in these bytes, which has to be of this model; raises CatalogError."""
        file = self._place(layout.header_key(uid))
        try:
            header = parse_header(data, file)
        except CatalogError as error:
            raise CatalogError(error.problem, file=file, model=str(uid), key=error.key) from None
        if header.version != uid.version:
            problem = f"expected {uid.version}, got {header.version}"
            raise CatalogError(problem, file=file, model=str(uid), key="version")
        return header

    def meta(self, uid: Uid) -> dict[str, Any]:
        """What is known beyond the header; nothing where nobody has written it."""
        key = layout.meta_key(uid)
        return parse_meta(self._read(key) or b"", self._place(key))

    def aliases(self, uid: Uid) -> list[str]:
        """The aliases that the list of the model names."""
        key = layout.aliases_key(uid)
        return parse_aliases(self._read(key) or b"", self._place(key))

    def alias(self, alias: str) -> Uid | None:
        """The model that an alias means, None for no alias of this repository."""
        key = layout.alias_key(alias)
        data = self._read(key)
        return None if data is None else parse_alias(data, self._place(key))

    def digests(self, uid: Uid) -> Digests | None:
        """The digests of what was published; audmodel publishes none."""
        key = layout.digest_key(uid)
        data = self._read(key)
        return None if data is None else parse_digests(data, self._place(key))

    def versions(self, model: str) -> list[str]:
        """The versions of a short id, the latest last."""
        found = map(layout.header_of, (e.key for e in self.storage.list(f"{layout.UIDS}/{model}")))
        versions = {uid.version for uid in found if uid}
        versions |= {uid.version for uid in self._old(model) if uid.short_id == model}
        return sorted(versions, key=release_key)

    def headers(self, warn: Warn) -> dict[Uid, Header]:
        """The headers of all models; one that cannot be read is warned about and left out."""
        entries = {}
        for entry in self.storage.list(layout.UIDS):
            if uid := layout.header_of(entry.key):
                entries[uid] = entry
        known = self._known
        found = {uid: known.get(entry) if known else None for uid, entry in entries.items()}
        missing = [uid for uid, header in found.items() if header is None]
        new = dict(zip(missing, self._read_all(self.header, missing, warn), strict=True))
        headers = {uid: h for uid, old in found.items() if (h := old or new.get(uid))}
        if known:
            read = {entries[uid].key: header for uid, header in new.items() if header}
            known.update((entries[uid] for uid in headers), read)
        return old_headers(self.storage, warn) | headers

    def known_headers(self) -> dict[Uid, Header]:
        """Those that were read before, without asking anybody."""
        every = self._known.every() if self._known else {}
        return {uid: header for key, header in every.items() if (uid := layout.header_of(key))}

    def all_aliases(self, warn: Warn) -> dict[str, Uid]:
        """All aliases and their models; one that cannot be read is warned about and left out."""
        names = sorted(filter(None, map(_alias_of, self.storage.list(layout.ALIASES))))
        meant = zip(names, self._read_all(self.alias, names, warn), strict=True)
        return {name: uid for name, uid in meant if uid}

    def proof(self, uid: Uid, header: Header) -> Proof:
        """What proves the archive: what was published with it, else what its storage keeps of it."""
        if digests := self.digests(uid):
            return Proof(digests.archive.size, digests.checksum, digests)
        key = self.archive_key(uid, header)
        with contextlib.suppress(TransferError, StorageError):  # the transfer says it better
            return Proof(None, self.storage.checksum(key))
        return Proof(None, None)

    def proofs(self, wanted: Mapping[Uid, Header]) -> dict[Uid, Proof]:
        """The same of several models at a time."""
        with ThreadPoolExecutor(READERS) as pool:
            return dict(zip(wanted, pool.map(self.proof, wanted, wanted.values()), strict=True))

    def _read_all(self, read: Callable[[Any], T], wanted: list[Any], warn: Warn) -> list[T | None]:
        """What reading each of them gives, several at a time."""

        def one(item: Any) -> T | CatalogError | None:
            try:
                return read(item)
            except UnknownModelError:  # it has just been removed
                return None
            except CatalogError as error:
                return error

        with ThreadPoolExecutor(READERS) as pool:
            results = list(pool.map(one, wanted)) if wanted else []
        for result in results:
            if isinstance(result, CatalogError):  # the others are as good as they were
                warn(str(result))
        return [None if isinstance(result, CatalogError) else result for result in results]

    def _read(self, key: str) -> bytes | None:
        """A document, None where there is none."""
        try:
            return self.storage.read(key)
        except TransferError as error:
            if error.reason is Reason.NOT_FOUND:
                return None
            raise

    def _place(self, key: str) -> str:
        return f"{self.url}/{key}"


def _alias_of(entry: Entry) -> str | None:
    return layout.alias_of(entry.key)
