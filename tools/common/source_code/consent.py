"""Consent to run the code of a source: what was in its folder when somebody said yes.

It is kept in the user's data folder, not beside the code, where whoever can change the one could
change the other.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from ..checksum import file_checksum
from ..errors import ConsentRequired
from ..files.claiming import claim
from ..files.disk import storage_errors, walk, write_whole
from ..files.paths import PARTIAL_SUFFIX

MAX_BYTES = 64 << 20
BUSY_POLL = 0.02  # seconds between looks at a record that another process is changing
_changing = threading.Lock()
_PASSING = (PARTIAL_SUFFIX, f"{PARTIAL_SUFFIX}.json")


class Consent(msgspec.Struct, frozen=True):
    """One yes: the digests of all files but weights, where those belong, and what code has brought."""

    folder: str
    time: str
    files: dict[str, str]
    weights: tuple[str, ...]
    brought: tuple[str, ...] = ()


def grant(folder: Path, weights: Iterable[str]) -> None:
    """Allow the code that is in the folder now; raises StorageError."""
    with _alone(path := _path(folder)):
        old, now = _load(folder), datetime.now(timezone.utc)
        brought = old.brought if old else ()
        consent = Consent(str(folder), now.isoformat("T", "seconds"), {}, tuple(weights), brought)
        with storage_errors(folder):
            consent.files.update(
                (name, digest)
                for name, digest in digests(folder)
                if is_importable(name) or not _is_expected(name, consent)
            )
        _write(path, consent)


def extend(folder: Path, names: Iterable[str]) -> None:
    """Expect these files too, which came by what was allowed; raises StorageError."""
    if _load(folder) is None:
        return
    with _alone(path := _path(folder)):
        if (consent := _load(folder)) is not None:
            known = dict.fromkeys([*consent.brought, *(n for n in names if n not in consent.files)])
            _write(path, msgspec.structs.replace(consent, brought=tuple(known)))


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Have a record alone: several models of one source can come at once, also in several processes."""
    with _changing:
        while (reservation := claim(path)) is None:
            time.sleep(BUSY_POLL)
        with reservation:
            try:
                yield
            finally:
                reservation.discard()


def _write(path: Path, consent: Consent) -> None:
    with storage_errors(path):
        write_whole(path, msgspec.json.encode(consent))


def revoke(folder: Path) -> None:
    """Forget the consent, if there is any; raises StorageError."""
    with storage_errors(path := _path(folder)):
        path.unlink(missing_ok=True)


def require(folder: Path, source: str, code: str = "__init__.py") -> None:
    """Raise ConsentRequired unless the code is what somebody has allowed; raises StorageError.

    `code` is the file in which it begins.
    """
    consent, init = _load(folder), str(folder / code)
    if consent is None:
        raise ConsentRequired(source, str(folder), init, "has not been allowed to run")
    with storage_errors(folder):
        changed = _first_change(consent, dict(digests(folder)))
    if changed:
        raise ConsentRequired(source, str(folder), str(folder / changed), "has changed since")


def is_given(folder: Path) -> bool:
    """Whether the code may run as it is; raises StorageError."""
    try:
        require(folder, "")
    except ConsentRequired:
        return False
    return True


def digests(folder: Path) -> Iterator[tuple[str, str]]:
    """The relative path and SHA-256 of every file that came with a source, sorted; raises OSError."""
    for path, folders, names in walk(folder):
        folders[:] = sorted(f for f in folders if f != "__pycache__")
        links = [f for f in folders if os.path.islink(os.path.join(path, f))]
        for name in sorted([*names, *links]):
            whole = os.path.join(path, name)
            if not name.endswith(_PASSING):
                yield os.path.relpath(whole, folder).replace(os.sep, "/"), _digest(whole)


def tree_digest(folder: Path) -> str:
    """One SHA-256 over the names and contents of all files; raises OSError."""
    whole = hashlib.sha256()
    for name, digest in digests(folder):
        whole.update(os.fsencode(name) + b"\0" + digest.encode() + b"\n")
    return whole.hexdigest()


def _digest(path: str) -> str:
    if os.path.isfile(path):
        return file_checksum(Path(path), "sha256").value
    return f"-> {os.readlink(path)}" if os.path.islink(path) else "no file"


def _first_change(consent: Consent, found: Mapping[str, str]) -> str | None:
    """The first file that is not what it was; weights may come and go."""
    for name, digest in consent.files.items():
        if found.get(name) != digest:
            return name
    new = (name for name in found if name not in consent.files)
    return next((name for name in new if not _is_expected(name, consent)), None)


def _is_expected(name: str, consent: Consent) -> bool:
    """Whether a file may come and go: allowed code has brought it, or it is where weights belong."""
    if name in consent.brought:
        return True
    belongs = any(name == place or name.startswith(f"{place}/") for place in consent.weights)
    return belongs and not is_importable(name)


def is_importable(name: str) -> bool:
    """Whether Python could run a file of this name by importing it."""
    return name.lower().endswith((".py", ".pyc", ".so", ".pyd"))


def _load(folder: Path) -> Consent | None:
    path = _path(folder)
    try:
        with path.open("rb") as file:
            consent = msgspec.json.decode(file.read(MAX_BYTES), type=Consent)
    except (OSError, ValueError, RecursionError):
        return None
    return consent if consent.folder == str(folder) else None


def _path(folder: Path) -> Path:
    from platformdirs import user_data_path

    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()
    return user_data_path("modelzoo") / "consent" / f"{digest[:32]}.json"
