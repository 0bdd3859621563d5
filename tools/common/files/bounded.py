"""Reading files from outside into memory: regular ones, of a bounded size."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..errors import CatalogError

_USUAL = 1 << 16  # bytes to make room for at first


def read_bounded(path: str | Path, limit: int) -> bytes:
    """All bytes of a file that has at most `limit`; CatalogError, which names it, for any other."""
    name = str(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe or a device could block for ever
            raise CatalogError("is not a regular file", file=name)
        with open(path, "rb") as file:
            data = file.read(_USUAL)
            if len(data) == _USUAL:
                data += file.read(max(0, limit + 1 - _USUAL))
    except OSError as error:
        raise CatalogError(f"cannot be read: {error.strerror}", file=name) from None
    if len(data) > limit:
        raise CatalogError(f"is larger than {limit} bytes", file=name)
    return data
