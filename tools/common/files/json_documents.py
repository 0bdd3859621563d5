"""Reading JSON from outside; msgspec bounds the depth itself."""

from __future__ import annotations

import codecs
from typing import Any

import msgspec

from ..content import LFS_POINTER
from ..errors import CatalogError

MAX_BYTES = 4 << 20  # real ones have some dozens of kilobytes


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
