"""The trust boundary for paths: every name from outside passes here before it touches a disk."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from ..errors import UnsafePathError

STATE_DIR = ".modelzoo"
"""The folder in an output directory that belongs to these tools alone."""

MANIFEST = "manifest.json"
"""What describes the models of a source, in FiftyOne's format."""

PARTIAL_SUFFIX = ".download"
"""What the name of a file in flight ends with."""

ARCHIVES = {
    ".tar.gz": "gztar", ".tar.bz2": "bztar", ".tar.xz": "xztar", ".zip": "zip", ".tar": "tar",
    ".tgz": "gztar", ".tbz": "bztar", ".txz": "xztar",
}  # fmt: skip
"""How the names of archives end, and their formats."""

TEXT_LISTS, YAML_LISTS = (".txt", ".lst"), (".yml", ".yaml")
LISTS = (*TEXT_LISTS, *YAML_LISTS)
"""How the names of lists of URLs end."""

_CODE = (".py", ".pyc", ".pyo", ".pyd")

_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(\..*)?", re.I)
_PART = r"(?!con|prn|aux|nul|com|lpt)\w(?:[\w.-]*[\w-])?"
_PLAIN = re.compile(rf"(?!.*\.download){_PART}(?:/{_PART})*", re.A | re.I)
_OURS = re.compile(rf"{re.escape(STATE_DIR)}|modelz~[0-9]+", re.I)
_INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
_NOT_ON_WINDOWS = frozenset('<>:"|?*')
_IN_FLIGHT = (PARTIAL_SUFFIX, PARTIAL_SUFFIX + ".json")


def archive_stem(name: str) -> str:
    """A file name without the ending of an archive."""
    return name[: len(name) - len(_archive_ending(name))]


def archive_format(name: str) -> str | None:
    """The format of an archive of this name, None where it is no archive's."""
    return ARCHIVES.get(_archive_ending(name))


def _archive_ending(name: str) -> str:
    return next((ending for ending in ARCHIVES if name.lower().endswith(ending)), "")


def safe_path(name: str) -> PurePosixPath:
    """The relative POSIX path that `name` means, or UnsafePathError with the rule it breaks."""
    require_safe(name)
    return PurePosixPath(name)


def require_safe(name: str) -> None:
    """Raise UnsafePathError, with the rule it breaks, for a name that is no safe relative path."""
    # Most names keep all of the rules below at a glance; a source can have hundreds of thousands.
    if len(name) <= 200 and _PLAIN.fullmatch(name):
        return
    # A very long path cannot be created on most systems and would fail only halfway through a run.
    if not name or len(name) > 1024:
        raise UnsafePathError(name[:80], "must have 1 to 1024 characters")
    # On Windows a backslash separates folders, so `..\x` would climb there though it cannot here.
    if "\\" in name:
        raise UnsafePathError(name, "must not hold a backslash")
    # A leading slash replaces the folder it is joined to.
    if name.startswith("/"):
        raise UnsafePathError(name, "must not be absolute")
    for part in name.split("/"):
        _check_part(name, part)
    # What the tools keep for themselves must not be planted by a catalog, by its short name either.
    if _OURS.fullmatch(name.split("/")[0]):
        raise UnsafePathError(name, f"{STATE_DIR} is kept for the tools")


def _check_part(name: str, part: str) -> None:
    # "" and "." make two spellings of one path, ".." leaves the folder.
    if part in ("", ".", ".."):
        raise UnsafePathError(name, f"must not have a part {part!r}")
    # Control characters end strings early in C and forge lines in logs; surrogates cannot be written.
    # Format characters are invisible and reorder what is shown; HFS+ and ext4 may even ignore them.
    if not part.isprintable() and any(unicodedata.category(c) in _INVISIBLE for c in part):
        raise UnsafePathError(name, "must not hold control or invisible characters")
    # A colon is a drive or an alternate stream on Windows; the others cannot be in a name there.
    if not _NOT_ON_WINDOWS.isdisjoint(part):
        raise UnsafePathError(name, 'must not hold any of < > : " | ? *')
    # Windows drops a final dot or space, so "x." would silently become "x".
    if part[-1] in ". ":
        raise UnsafePathError(name, "a part must not end with a dot or a space")
    # These open devices on Windows, with any extension and with spaces before it.
    if _RESERVED.fullmatch(part):
        raise UnsafePathError(name, f"{part!r} is a device on Windows")
    # A file or a folder of that name would be in the way of a file in flight, or taken for one.
    if part.casefold().endswith(_IN_FLIGHT):
        raise UnsafePathError(name, f"{PARTIAL_SUFFIX} marks files in flight")
    # File systems limit a name to 255 bytes; our own suffixes need room.
    if len(part.encode()) > 230:
        raise UnsafePathError(name, "a part must not be longer than 230 bytes")


def is_code(name: str) -> bool:
    """Whether a file of this path, in a source's folder, would change what the source is or does.

    Below the source's own folders nothing is imported that its code has not been written for.
    """
    top, _, below = name.partition("/")
    hidden = top.startswith(".") or top.casefold() == "__pycache__"
    return hidden or (not below and (top.casefold() == MANIFEST or top.casefold().endswith(_CODE)))


def staging_folder(root: Path, source: str, name: str) -> Path:
    """Where a model of an output directory is worked on, out of sight, while it is postprocessed."""
    return root / STATE_DIR / "staging" / f"{source}-{name}".replace("/", "%")


def folded(path: PurePosixPath | str) -> str:
    """The form in which two paths are equal on some file system (no case, one Unicode form).

    It is the canonical caseless match of the Unicode standard, definition D145.
    """
    text = str(path)
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())


def clash(paths: Iterable[str]) -> tuple[str, str] | None:
    """The first two of the relative paths that cannot both exist in one folder on every system."""
    seen: dict[str, str] = {}
    for path in paths:
        if (key := folded(path)) in seen:
            return seen[key], path
        seen[key] = path
    for key, path in seen.items():
        while key := key.rpartition("/")[0]:
            if other := seen.get(key):
                return other, path
    return None
