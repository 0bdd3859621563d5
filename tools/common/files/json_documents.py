"""Reading JSON from outside: regular files of a bounded size; msgspec bounds the depth itself."""

from __future__ import annotations

import codecs
import os
import stat
from pathlib import Path
from typing import Any

import msgspec

from ..content import LFS_POINTER
from ..errors import CatalogError

MAX_BYTES = 4 << 20  # real ones have some dozens of kilobytes


def read_bytes(path: Path) -> bytes:
    """What is in a regular file that is not too large; raises CatalogError, which names it."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe or a device could block for ever
            raise CatalogError("is not a regular file", file=str(path))
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CatalogError(f"cannot be read: {error.strerror}", file=str(path)) from None
    if len(data) > MAX_BYTES:
        raise CatalogError(f"is larger than {MAX_BYTES} bytes", file=str(path))
    return data


def parse_json(data: bytes, kind: Any) -> Any:
    """These bytes, with or without a byte order mark, as a value of this type.

    Raises CatalogError, with the key that does not fit.
    """
    if data.startswith(LFS_POINTER):
        raise CatalogError("is a Git LFS pointer, not the file that it stands for; try `git lfs pull`")
    try:
        return msgspec.json.decode(data.removeprefix(codecs.BOM_UTF8), type=kind)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at `")
        raise CatalogError(problem, key=where.strip("$`").lstrip(".")) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CatalogError(f"is not valid JSON: {error}") from None
    except RecursionError:
        raise CatalogError("is not valid JSON: it is nested too deeply") from None
