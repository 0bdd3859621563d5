"""Files on this machine, `file:///path`: what relative origins of a local catalog become."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from ..checksum import CHUNK
from ..errors import Reason, TransferError
from ..web.credentials import mask
from . import Settings

SCHEMES = ("file",)

_REASONS = {
    errno.EACCES: Reason.ACCESS_DENIED,
    errno.EPERM: Reason.ACCESS_DENIED,
    errno.ENAMETOOLONG: Reason.NOT_FOUND,
    errno.ENOENT: Reason.NOT_FOUND,  # removed since it was looked at
}


def create(settings: Settings) -> FileStore:
    """The store; it needs no settings."""
    return FileStore()


def check(url: str) -> None:
    """Raise ValueError for a file of another machine."""
    if urlsplit(url).netloc not in ("", "localhost"):
        raise ValueError("names a host: a file URL is file:///path")


class FileStore:
    """Opens local files; the validator is made of size and modification time."""

    remote = False

    def open(
        self, url: str, offset: int = 0, validator: str | None = None, stop: int | None = None
    ) -> OpenedFile:
        """See Store.open."""
        try:
            check(url)
        except ValueError as error:
            raise TransferError(Reason.INVALID_CATALOG, str(error), url=mask(url)) from None
        return OpenedFile(local_path(urlsplit(url).path), offset, validator)


def local_path(part: str) -> Path:
    """The path that Path.as_uri has made a URL of."""
    if os.name == "nt":
        from urllib.request import url2pathname  # knows drives, and imports half of the network

        return Path(url2pathname(part))
    return Path(os.fsdecode(unquote_to_bytes(part)))  # names need not be UTF-8


class OpenedFile:
    """The bytes of a local file."""

    media_type = encoding = None
    remote = parts = False

    def __init__(self, path: Path, offset: int, validator: str | None) -> None:
        self._path = path
        try:
            if not path.is_file():  # opening a pipe or a device could block for ever
                what = "is not a regular file" if path.exists() else "no such file"
                raise TransferError(Reason.NOT_FOUND, what, url=str(path))
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            reason = _REASONS.get(error.errno or 0, Reason.DISK_ERROR)
            raise TransferError(reason, error.strerror or str(error), url=str(path)) from None
        stat = os.fstat(self._file.fileno())
        self.size = stat.st_size
        self.validator = f"{stat.st_size}-{stat.st_mtime_ns}"
        same = validator in (None, self.validator) and offset <= stat.st_size
        self.offset = self._file.seek(offset if same else 0)

    def __iter__(self) -> Iterator[bytes]:
        try:
            while chunk := self._file.read(CHUNK):
                yield chunk
        except OSError as error:
            problem = error.strerror or str(error)
            raise TransferError(Reason.DISK_ERROR, problem, url=str(self._path)) from None

    def abort(self) -> None:
        """Local reads do not block for long."""

    def __enter__(self) -> OpenedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
