"""What a receipt remembers of a file as it came."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ..checksum import Checksum, make_checksum
from ..model import ModelFile, Origin
from ..web.credentials import mask

Size = Annotated[int, msgspec.Meta(ge=0)]
"""Bytes."""


class Input(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A file as it came: its size and digest, the URL (masked) it came from, and the version there."""

    name: str
    size: Size
    checksum: Checksum | None
    origin: str | None = None
    verified: bool = True
    variant: str | None = None
    """That of the file, where its catalog does not say what such files weigh."""
    validator: str | None = None

    def is_usable(self) -> bool:
        """Whether its digest is one; whoever wrote the receipt could write anything."""
        try:
            return self.checksum is None or bool(make_checksum(self.checksum.type, self.checksum.value))
        except ValueError:
            return False

    def answers(self, file: ModelFile) -> bool:
        """Whether this is what the catalog asks for today: without a checksum the URL says what."""
        same_size = file.size in (None, self.size)
        if file.checksum is None and self.origin is not None:
            return same_size and any(_leads_to(self.origin, origin) for origin in file.origins)
        return same_size and file.checksum in (None, self.checksum)


def _leads_to(url: str, origin: Origin) -> bool:
    """Whether a masked URL is this one.

    What the catalog writes relative to a base is the same file where the base is another one: a folder
    that was moved, a mirror.
    """
    moved = bool(origin.base) and url.endswith(f"/{origin.written}")
    return moved or url == mask(origin.url)
