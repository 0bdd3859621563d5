"""Versions of models: which is the latest, and how names and file names carry them."""

from __future__ import annotations

import os
import re
from typing import Any

_PART = re.compile(r"([0-9]+)|([^0-9.]+)")
_MAX_DIGITS = 18


def version_key(version: str | None) -> tuple[Any, ...]:
    """What sorts versions, the latest last: as PEP 440 says, else by dotted part, else as text.

    A missing version is lower than every other, and what PEP 440 cannot read lower than what it can.
    """
    if version is None:
        return (0,)
    from packaging.version import InvalidVersion, Version

    try:
        return (2, Version(version), version)
    except (InvalidVersion, ValueError):
        return (1, _parts(version), version)


def _parts(version: str) -> tuple[tuple[int, int, str], ...]:
    """Numbers compare as numbers and are higher than text, so that `1.x` comes before `1.2`."""
    found = _PART.findall(version)
    return tuple(
        (1, int(n), "") if n and len(n) <= _MAX_DIGITS else (0, 0, n or text) for n, text in found
    )


def release_key(version: str) -> tuple[Any, ...]:
    """What sorts the versions of a registry, the latest last: `1.9.0-rc1`, `1.9.0`, `1.10.0`.

    They are semantic versions (semver.org, 11): with a suffix they come before the same without.
    """
    numbers, dash, suffix = version.partition("-")
    return _parts(numbers), not dash, _parts(suffix), version


def versioned_filename(filename: str, version: str | None) -> str:
    """The name that FiftyOne gives the file of a version: `clip.pt` of 2.0 is `clip-v2.0.pt`."""
    if version is None:
        return filename
    base, extension = os.path.splitext(filename)
    return f"{base}-v{version}{extension}"


def versioned_name(name: str, version: str | None) -> str:
    """The name of one version of a model: `clip@2.0`."""
    return name if version is None else f"{name}@{version}"


def fiftyone_name(name: str, version: str | None) -> str:
    """The same as FiftyOne writes it, whatever looks like an extension last: `clip@2.0.pt`."""
    if version is None:
        return name
    base, extension = os.path.splitext(name)
    return f"{base}@{version}{extension}"


def base_name(name: str, version: str | None) -> str:
    """A model's name without its version, where it carries one."""
    return name.removesuffix(f"@{version or ''}") if "@" in name else name
