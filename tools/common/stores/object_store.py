"""Objects of S3, Google Cloud Storage and Azure: `s3://bucket/key`, `gs://…`, `az://…`, by obstore."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..checksum import CHUNK
from ..errors import Reason, TransferError
from ..web.credentials import mask
from ..web.object_client import SCHEMES as SCHEMES
from ..web.object_client import client_for, place_of, translated_object_errors
from . import Settings

if TYPE_CHECKING:
    from obstore import GetResult


def create(settings: Settings) -> ObjectsStore:
    """The store with these settings."""
    return ObjectsStore(settings.timeout)


class ObjectsStore:
    """Opens objects; the validator is the service's ETag."""

    remote = True

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout

    def open(
        self, url: str, offset: int = 0, validator: str | None = None, stop: int | None = None
    ) -> OpenedObject:
        """See Store.open."""
        if offset:
            begin = {"offset": offset} if stop is None else (offset, stop)
            options = {"range": begin} | ({"if_match": validator} if validator else {})
            result = self._get(url, options)
            if result is not None:
                return OpenedObject(result, url)
        result = self._get(url, {})
        assert result is not None, "only a part can be refused"
        return OpenedObject(result, url)

    def _get(self, url: str, options: dict[str, Any]) -> GetResult | None:
        """The answer; None where the part that is asked for is not to be had of that version."""
        place = place_of(url)
        client = client_for(place, self._timeout)
        import obstore
        from obstore.exceptions import GenericError, PreconditionError

        with translated_object_errors(url):
            try:
                return obstore.get(client, place.key, options=options or None)  # type: ignore[arg-type]
            except PreconditionError:
                return None
            except GenericError as error:
                if options and ("status code: 416" in str(error) or "Range" in str(error)):
                    return None
                raise

    def is_current(self, url: str, validator: str) -> bool:
        """See Conditional.is_current."""
        place = place_of(url)
        client = client_for(place, self._timeout)
        import obstore

        with translated_object_errors(url):
            return obstore.head(client, place.key)["e_tag"] == validator


class OpenedObject:
    """The bytes of one object from `offset` on."""

    encoding: str | None = None
    remote = parts = True

    def __init__(self, result: GetResult, url: str) -> None:
        self._result, self._url = result, url
        self.offset = result.range[0]
        self.size: int | None = result.meta["size"]
        self.validator = result.meta["e_tag"]
        self.media_type: str | None = None  # what whoever uploaded it said, or the service's default
        self._aborted = False

    def __iter__(self) -> Iterator[bytes]:
        with translated_object_errors(self._url):
            for piece in self._result.stream(min_chunk_size=CHUNK):
                view = memoryview(piece)
                for start in range(0, len(view), CHUNK):
                    self._require_wanted()
                    yield bytes(view[start : start + CHUNK])
        self._require_wanted()

    def _require_wanted(self) -> None:
        if self._aborted:
            problem = "the transfer was stopped"
            raise TransferError(Reason.INTERRUPTED, problem, url=mask(self._url))

    def abort(self) -> None:
        """See Opened.abort; a read that waits ends with the next bytes, or with its timeout."""
        self._aborted = True

    def __enter__(self) -> OpenedObject:
        return self

    def __exit__(self, *_: object) -> None:
        self._aborted = True
