"""A bucket, or a part of one, as a repository: S3-compatible storage, Google Cloud Storage, Azure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from ...checksum import Checksum, file_checksum, make_checksum, new_hasher
from ...errors import CatalogError, Reason, TransferError, UsageError
from ...files.disk import storage_errors
from ...stores import Settings
from ...web.credentials import mask
from ...web.object_client import SCHEMES as SCHEMES
from ...web.object_client import client_for, place_of, translated_object_errors
from . import MAX_DOCUMENT, Entry, Sent, require_key

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PART = 8 << 20
"""Bytes that are sent in one request; more for files that would have too many parts."""

MAX_PARTS = 9_000  # S3 takes 10,000
AT_ONCE = 4  # parts

PIECE = 1 << 20
"""Bytes that are read at a time."""

CHECKSUM = "checksum"
"""The metadata with the MD5 of an object, which is `x-amz-meta-checksum` on S3; audmodel reads it."""


def create(place: str, settings: Settings) -> ObjectsStorage:
    """The bucket, or the folder in it, that a URL names."""
    try:
        place_of(place)
    except TransferError as error:
        raise UsageError(str(error)) from None
    return ObjectsStorage(place, settings)


class ObjectsStorage:
    """Objects below a prefix. An object appears whole, and is created only where there is none."""

    exclusive = True

    def __init__(self, url: str, settings: Settings) -> None:
        self._place, self._settings = place_of(url), settings
        self._base = f"{self._place.scheme}://{self._place.bucket}"
        self._prefix = f"{self._place.key}/" if self._place.key else ""
        self.url = f"{self._base}/{self._place.key}".rstrip("/")

    def read(self, key: str, limit: int = MAX_DOCUMENT) -> bytes:
        """See Storage.read."""
        client, path = self._at(key)
        import obstore

        with translated_object_errors(self.origin(key)):
            result = obstore.get(client, path)
            if result.meta["size"] > limit:
                raise CatalogError(f"is larger than {limit} bytes", file=self.origin(key))
            return bytes(result.bytes())

    def exists(self, key: str) -> bool:
        """See Storage.exists."""
        try:
            self._head(key)
        except TransferError as error:
            if error.reason != Reason.NOT_FOUND:
                raise
            return False
        return True

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """See Storage.list."""
        client, path = self._at(prefix)
        import obstore

        with translated_object_errors(self.url):
            for found in obstore.list(client, path, chunk_size=1000):
                for meta in found:
                    key = meta["path"].removeprefix(self._prefix)
                    yield Entry(key, meta["size"], meta["e_tag"])

    def checksum(self, key: str) -> Checksum | None:
        """See Storage.checksum."""
        client, path = self._at(key)
        import obstore

        with translated_object_errors(self.origin(key)):
            known = obstore.get(client, path, options={"head": True}).attributes.get(CHECKSUM)
        try:
            return make_checksum("md5", known) if known else None
        except ValueError:
            return None

    def origin(self, key: str) -> str:
        """See Storage.origin."""
        require_key(key)
        return f"{self._base}/{quote(self._prefix + key)}"

    def create(self, key: str, data: bytes) -> bool:
        """See Storage.create."""
        return self._put(key, data, "create")

    def write(self, key: str, data: bytes) -> None:
        """See Storage.write."""
        self._put(key, data, "overwrite")

    def _put(self, key: str, data: bytes, mode: Literal["create", "overwrite"]) -> bool:
        client, path = self._at(key)
        import obstore
        from obstore.exceptions import AlreadyExistsError

        hasher = new_hasher("md5")
        hasher.update(data)
        about: Any = {CHECKSUM: hasher.hexdigest()}
        with translated_object_errors(self.origin(key)):
            try:
                obstore.put(client, path, data, attributes=about, mode=mode, use_multipart=False)
            except AlreadyExistsError:
                return False
        return True

    def upload(self, key: str, path: Path, checksum: Checksum, sent: Sent) -> None:
        """See Storage.upload. S3 checks each part, which is signed with its digest.

        Google Cloud Storage and Azure would check digests too, but obstore sends them none: what they
        have is read again.
        """
        client, target = self._at(key)
        import obstore

        with storage_errors(path):
            size = path.stat().st_size
            about: Any = {CHECKSUM: file_checksum(path, "md5").value}
        source = _Pieces(path, checksum, sent)
        with translated_object_errors(self.origin(key)):
            obstore.put(
                client,
                target,
                source,
                attributes=about,
                chunk_size=max(PART, -(-size // MAX_PARTS)),
                max_concurrency=AT_ONCE,
            )
        if self._place.scheme != "s3":
            self._require_arrived(key, checksum)
        elif (arrived := self._head(key)) != size:
            problem = f"expected {size} bytes, {arrived} arrived"
            raise TransferError(
                Reason.SIZE_MISMATCH, problem, url=mask(self.origin(key)), transient=True
            )

    def _require_arrived(self, key: str, checksum: Checksum) -> None:
        client, path = self._at(key)
        import obstore

        hasher = checksum.hasher()
        with translated_object_errors(self.origin(key)):
            for piece in obstore.get(client, path).stream(min_chunk_size=PIECE):
                hasher.update(memoryview(piece))
        if not checksum.proves(hasher):
            problem = f"expected {checksum}, {checksum.type}:{hasher.hexdigest()} arrived"
            raise TransferError(
                Reason.CHECKSUM_MISMATCH, problem, url=mask(self.origin(key)), transient=True
            )

    def delete(self, key: str) -> None:
        """See Storage.delete."""
        client, path = self._at(key)
        import obstore

        try:
            with translated_object_errors(self.origin(key)):
                obstore.delete(client, path)
        except TransferError as error:
            if error.reason != Reason.NOT_FOUND:
                raise

    def _head(self, key: str) -> int:
        client, path = self._at(key)
        import obstore

        with translated_object_errors(self.origin(key)):
            return obstore.head(client, path)["size"]

    def _at(self, key: str) -> tuple[ObjectStore, str]:
        """Whom to ask, and for what; TransferError where nobody may be asked."""
        if key:
            require_key(key)
        if self._settings.offline:
            raise TransferError(Reason.OFFLINE, "not asked: --offline", url=self.url)
        return client_for(self._place, self._settings.timeout), self._prefix + key


class _Pieces:
    """A file in pieces, whose digest is proved before the last one is given away."""

    def __init__(self, path: Path, checksum: Checksum, sent: Sent) -> None:
        self._path, self._checksum, self._sent = path, checksum, sent

    def __iter__(self) -> Iterator[bytes]:
        hasher, size = self._checksum.hasher(), 0
        with storage_errors(self._path), self._path.open("rb", buffering=0) as file:
            while piece := file.read(PIECE):
                hasher.update(piece)
                size += len(piece)
                yield piece
                self._sent(size)
        if not self._checksum.proves(hasher):
            problem = f"has changed: expected {self._checksum}"
            raise TransferError(Reason.CHECKSUM_MISMATCH, problem, url=str(self._path))
