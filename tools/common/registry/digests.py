"""Digests of what was published, kept where audmodel does not look: they prove what is loaded."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ..checksum import Checksum, make_checksum
from ..errors import CatalogError
from ..files.json_documents import parse_json

Size = Annotated[int, msgspec.Meta(ge=0)]
"""Bytes."""


class FileDigest(msgspec.Struct, frozen=True, gc=False):
    """A file of a model: its size, and its SHA-256 in hex digits."""

    size: Size
    sha256: str


class Digests(msgspec.Struct, frozen=True):
    """The archive of a model, and the files in it by their paths."""

    archive: FileDigest
    files: dict[str, FileDigest]

    @property
    def checksum(self) -> Checksum:
        """That of the archive."""
        return Checksum("sha256", self.archive.sha256)


def dump_digests(digests: Digests) -> bytes:
    """The document of these digests: indented JSON."""
    return msgspec.json.format(msgspec.json.encode(digests), indent=2) + b"\n"


def parse_digests(data: bytes, file: str) -> Digests:
    """The digests in a document; CatalogError, which names the file, for what holds none."""
    try:
        digests: Digests = parse_json(data, Digests)
        for digest in (digests.archive, *digests.files.values()):
            make_checksum("sha256", digest.sha256)
    except CatalogError as error:
        raise CatalogError(error.problem, file=file, key=error.key) from None
    except ValueError as error:
        raise CatalogError(str(error), file=file, key="sha256") from None
    return digests
