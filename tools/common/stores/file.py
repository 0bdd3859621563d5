"""Files on this machine, `file:///path`: what relative origins of a local catalog become."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ..checksum import CHUNK
from ..errors import Reason, TransferError
from . import Settings

SCHEMES = ("file",)


def create(settings: Settings) -> FileStore:
    """The store; it needs no settings."""
    return FileStore()


class FileStore:
    """Opens local files; the validator is made of size and modification time."""

    remote = False

    def open(self, url: str, offset: int = 0, validator: str | None = None) -> OpenedFile:
        """See Store.open."""
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost"):
            problem = f"names the host {parts.netloc}: a file URL is file:///path"
            raise TransferError(Reason.INVALID_CATALOG, problem, url=url)
        return OpenedFile(Path(url2pathname(parts.path)), offset, validator)


class OpenedFile:
    """The bytes of a local file."""

    media_type = encoding = None
    remote = False

    def __init__(self, path: Path, offset: int, validator: str | None) -> None:
        self._path = path
        if not path.is_file():  # opening a pipe or a device could block for ever
            what = "is not a regular file" if path.exists() else "no such file"
            raise TransferError(Reason.NOT_FOUND, what, url=str(path))
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            reason = Reason.ACCESS_DENIED if isinstance(error, PermissionError) else Reason.DISK_ERROR
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
