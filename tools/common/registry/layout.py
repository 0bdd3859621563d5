"""Where a repository keeps what: the keys of its objects, relative to its root, as audmodel has them.

Every key passes `paths.safe_path`, so that no name in a header leads out of the repository.
"""

from __future__ import annotations

import re

from ..errors import InvalidValueError, UnsafePathError
from ..files.paths import safe_path
from .identifiers import Uid, is_alias, is_model_id, is_version

UIDS, ALIASES, DIGESTS = "_uid", "_alias", "_digest"
"""The folders of headers, aliases and digests; audmodel does not look at the last."""

OLD_ROOT = "com/audeering/models"
"""The folder of everything in repositories of audmodel's first releases."""

ROOTS = (UIDS, OLD_ROOT)
"""One of these is in every repository that holds a model."""

CLAIMS = "_claim"
"""The folder of claims, by which two who publish one model find out about each other."""

_OURS = {UIDS, ALIASES, DIGESTS, CLAIMS}
_ALIAS_VERSION = "1.0.0"
_PLAIN = re.compile("[A-Za-z0-9._-]+")
_HEADER = re.compile(r"_uid/([^/]+)/([^/]+)/\1-\2\.header\.yaml")
_ALIAS = re.compile(rf"_alias/([^/]+)/{_ALIAS_VERSION}/\1-{_ALIAS_VERSION}\.alias\.yaml")


def header_key(uid: Uid) -> str:
    """Where the header of a model is; what makes the model exist."""
    return _versioned(f"_uid/{uid.short_id}", uid.version, "header.yaml")


def meta_key(uid: Uid) -> str:
    """Where what is known beyond its parameters is, which can change."""
    return _versioned(f"_uid/{uid.short_id}", uid.version, "meta.yaml")


def aliases_key(uid: Uid) -> str:
    """Where the list of a model's aliases is."""
    return _versioned(f"_uid/{uid.short_id}.aliases", uid.version, "yaml")


def alias_key(alias: str) -> str:
    """Where it says which model an alias means."""
    return _versioned(f"_alias/{alias}", _ALIAS_VERSION, "alias.yaml")


def digest_key(uid: Uid) -> str:
    """Where the digests of what was published are."""
    return _versioned(f"_digest/{uid.short_id}", uid.version, "json")


def archive_key(uid: Uid, name: str, subgroup: str = "") -> str:
    """Where the archive is; raises UnsafePathError for a name or a subgroup that leads elsewhere."""
    folder = model_folder(name, subgroup)
    if folder.partition("/")[0] in _OURS:
        raise UnsafePathError(folder, "is where a repository keeps its own files")
    return _versioned(f"{folder}/{uid.short_id}", uid.version, "zip")


def model_folder(name: str, subgroup: str = "") -> str:
    """The folder of all models of a name; raises UnsafePathError.

    A subgroup is split at its dots, a name is not; empty parts do not count.
    """
    parts = [*filter(None, re.split("[./]", subgroup)), *filter(None, name.split("/"))]
    return str(safe_path("/".join(parts) if name else ""))


def _versioned(folder: str, version: str, extension: str) -> str:
    base = folder.rpartition("/")[2]
    return str(safe_path(f"{folder}/{version}/{base}-{version}.{extension}"))


def header_of(key: str) -> Uid | None:
    """The model whose header has this key, None for the key of anything else."""
    match = _HEADER.fullmatch(key)
    if match and is_model_id(match[1]) and is_version(match[2]):
        return Uid(match[1], match[2])
    return None


def alias_of(key: str) -> str | None:
    """The alias that has this key, None for the key of anything else."""
    match = _ALIAS.fullmatch(key)
    return match[1] if match and is_alias(match[1]) else None


def require_names(name: str, subgroup: str = "") -> None:
    """Raise InvalidValueError for a name or a subgroup that nothing should be published under."""
    for what, text, parts in (
        ("name", name, [name]),
        ("subgroup", subgroup, re.split("[./]", subgroup) if subgroup else []),
    ):
        if not all(map(_PLAIN.fullmatch, parts)):
            raise InvalidValueError(
                f"{text[:80]!r} is no {what}: expected letters, digits, dashes, underscores and dots"
            )
    try:
        archive_key(Uid("0" * 8, "1.0.0"), name, subgroup)
    except UnsafePathError as error:
        raise InvalidValueError(f"{name!r} of the subgroup {subgroup!r}: {error}") from None
