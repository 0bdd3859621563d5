"""What the models of a registry are called: short ids, ids with a version, legacy ids, aliases.

The rules are audmodel's: a name, its subgroup and its parameters make the short id, so that all
versions of a model share it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ..checksum import new_hasher
from ..errors import InvalidValueError

LEGACY_REPOSITORIES = ("models-public-local", "models-private-local")
"""Where models with legacy ids were published, for everybody and for some."""

_GROUP = "com.audeering.models"
_SHORT = "[0-9a-f]{8}"
_LEGACY = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_VERSION = "[0-9][A-Za-z0-9._-]*"
_NAME = re.compile("[A-Za-z0-9._-]+")
_MODEL = re.compile(f"({_LEGACY}|{_SHORT})(?:-({_VERSION}))?")
_SEMANTIC = re.compile(r"([0-9]+)\.([0-9]+)\.([0-9]+)(-[A-Za-z0-9._-]*)?")
_LONGEST = 100
"""Characters of a version or an alias: they become parts of file names, with something around them."""


class Uid(msgspec.Struct, frozen=True, gc=False):
    """The id of one version of a model; prints as `<short id>-<version>`, a legacy id as itself."""

    short_id: str
    version: str

    def __str__(self) -> str:
        return self.short_id if is_legacy(self.short_id) else f"{self.short_id}-{self.version}"


def short_id(name: str, parameters: Mapping[str, Any], subgroup: str | None = None) -> str:
    """The short id of a model, whatever the order of its parameters; raises InvalidValueError.

    Only the outermost parameters are sorted, and `1`, `1.0` and `True` differ.
    """
    try:
        ordered = {key: parameters[key] for key in sorted(parameters)}
    except TypeError:
        raise InvalidValueError("the names of parameters have to be text") from None
    return _md5(f"{subgroup or ''}.{name}{ordered}")[-8:]


def legacy_id(
    name: str,
    parameters: Mapping[str, Any],
    version: str,
    subgroup: str | None = None,
    private: bool = False,
) -> str:
    """The id that early releases gave a model: 36 characters, for this order of the parameters."""
    group = f"{_GROUP}.{subgroup}.{name}" if subgroup is not None else f"{_GROUP}.{name}"
    repository = LEGACY_REPOSITORIES[private]
    digest = _md5(f"{dict(parameters)}{group}lookup{version}{repository}")
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:]))


def _md5(text: str) -> str:
    hasher = new_hasher("md5")
    try:
        hasher.update(text.encode())
    except UnicodeEncodeError:
        raise InvalidValueError("the name and the parameters have to be valid Unicode") from None
    return hasher.hexdigest()


def split_uid(text: str) -> tuple[str, str | None] | None:
    """The short (or legacy) id and the version, None for the latest; None where it is no id at all."""
    match = _MODEL.fullmatch(text)
    return (match[1], match[2]) if match else None


def is_legacy(model: str) -> bool:
    """Whether an id without a version is a legacy one."""
    return len(model) == 36


def is_model_id(text: str) -> bool:
    """Whether this is a short or a legacy id, without a version."""
    return (found := split_uid(text)) is not None and found[1] is None


def is_version(text: str) -> bool:
    """Whether a repository can hold a version of this name."""
    return len(text) <= _LONGEST and re.fullmatch(_VERSION, text) is not None


def require_version(text: str) -> None:
    """Raise InvalidValueError for what no model can be published as: X.Y.Z, and what follows a dash."""
    if not _SEMANTIC.fullmatch(text) or not is_version(text):
        raise InvalidValueError(
            f"{text[:80]!r} is no version: expected X.Y.Z of whole numbers, which a dash and letters, "
            "digits, dots, dashes and underscores may follow, like 1.0.0 or 1.0.0-rc1"
        )


def is_alias(text: str) -> bool:
    """Whether this can be an alias: of plain characters, and not to be taken for an id."""
    plain = len(text) <= _LONGEST and _NAME.fullmatch(text) and text.strip(".")
    return bool(plain) and split_uid(text) is None


def require_alias(text: str) -> None:
    """Raise InvalidValueError for what can be no alias."""
    if not is_alias(text):
        raise InvalidValueError(
            f"{text[:80]!r} is no alias: expected letters, digits, dots, dashes and underscores that "
            "cannot be taken for an id"
        )
