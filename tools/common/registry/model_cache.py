"""The folder that loaded models are kept in, which audmodel uses as well.

A model is in `<short id>/<version>`, its header beside it. The first releases of audmodel kept it in
`<subgroup>/<name>/<version>/<id>`: such folders are found too.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CatalogError, UnsafePathError
from ..files.disk import storage_errors, write_whole
from ..files.paths import STATE_DIR
from ..versions import release_key
from .identifiers import Uid, is_alias, is_version, split_uid
from .layout import OLD_ROOT, model_folder

if TYPE_CHECKING:
    import filelock

    from .headers import Header

# Who looks for a model that is there waits for no locks and no YAML: they are imported when needed.

VARIABLE = "AUDMODEL_CACHE_ROOT"
DEFAULT_ROOT = "~/audmodel"
_LOCK_MODE = 0o664  # groups share caches
_FOLLOWED = 100_000
"""Folders that are looked into for a model that only an old release has loaded."""


def default_root() -> Path:
    """Where models are kept unless a caller says otherwise."""
    return Path(os.path.expanduser(os.environ.get(VARIABLE) or DEFAULT_ROOT))


class ModelCache:
    """The models that are kept in one folder."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(os.path.expanduser(root)))
        self.state = self.root / STATE_DIR

    def folder(self, uid: Uid) -> Path:
        """Where a model is, or would be."""
        return self.root / uid.short_id / uid.version

    def document(self, uid: Uid, kind: str) -> Path:
        """Where its `header` or `meta` information is, or would be."""
        return self.root / uid.short_id / f"{uid.version}.{kind}.yaml"

    def loaded(self, uid: Uid, header: Header | None = None) -> Path | None:
        """The folder of a model that is there whole, where an old release has put it, too."""
        if _has_something(folder := self.folder(uid)):
            return folder
        return self._by_old_release(uid, header or self.header(uid))

    def settled(self, text: str) -> Path | None:
        """The folder of a model that is there, for an id that will mean the same tomorrow.

        An alias may mean another model then, and a short id a later version.
        """
        known = self.known(text)
        if known is None or text not in (str(known), f"{known.short_id}-{known.version}"):
            return None
        return self.loaded(known)

    def _by_old_release(self, uid: Uid, header: Header | None) -> Path | None:
        if header is not None:
            with contextlib.suppress(UnsafePathError):
                below = f"{model_folder(header.name, header.subgroup)}/{uid.version}/{uid}"
                for place in (below, f"{OLD_ROOT}/{below}"):
                    if _has_something(folder := self.root / place):
                        return folder
        return None

    def search(self, uid: Uid) -> Path | None:
        """The same for a model of which nobody can be asked where an old release has put it."""
        wanted = os.path.join(uid.version, str(uid))
        for looked, (folder, folders, _) in enumerate(os.walk(self.root)):
            if looked > _FOLLOWED:
                break
            folders[:] = [name for name in folders if name[0] != "."]
            if folder.endswith(os.sep + wanted) and _has_something(Path(folder)):
                return Path(folder)
        return None

    def header(self, uid: Uid) -> Header | None:
        """The header that is kept of a model; None for one that is not there, or is none."""
        from .headers import parse_header

        path = self.document(uid, "header")
        with contextlib.suppress(OSError, CatalogError):
            header = parse_header(path.read_bytes(), str(path))
            return header if header.version == uid.version else None
        return None

    def versions(self, model: str) -> list[str]:
        """The versions of a short id that are there, the latest last."""
        with contextlib.suppress(OSError):
            names = [n for n in os.listdir(self.root / model) if is_version(n)]
            there = [n for n in names if _has_something(self.root / model / n)]
            return sorted(there, key=release_key)
        return []

    def known(self, text: str) -> Uid | None:
        """The model that an id, a short id or an alias means as far as this folder knows."""
        model, version = split_uid(text) or ("", None)
        if version is not None:
            return Uid(model, version)
        if model:
            versions = self.versions(model)
            return Uid(model, versions[-1]) if versions else None
        with contextlib.suppress(OSError, ValueError):
            if is_alias(text):
                parts = split_uid(self._alias_path(text).read_text("ascii").strip())
                return Uid(parts[0], parts[1]) if parts and parts[1] else None
        return None

    def remember(self, alias: str, uid: Uid) -> None:
        """Note which model an alias means, for when nobody can be asked; best effort."""
        path = self._alias_path(alias)
        with contextlib.suppress(OSError):
            text = f"{uid.short_id}-{uid.version}\n".encode()
            if not path.is_file() or path.read_bytes() != text:
                write_whole(path, text)

    def _alias_path(self, alias: str) -> Path:
        return self.state / "aliases" / f"{alias}.txt"

    def keep(self, uid: Uid, kind: str, data: bytes) -> None:
        """Keep a document beside the model; raises StorageError."""
        path = self.document(uid, kind)
        with storage_errors(path):
            write_whole(path, data)

    @contextlib.contextmanager
    def alone(self, uid: Uid, wait: Callable[[], None]) -> Iterator[bool]:
        """Be the only one who loads this model here, audmodel included; `wait` while another one does.

        False where locks do not work: several may load it then, and who renames first has done it.
        """
        import filelock

        folder = self.folder(uid)
        with storage_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder.parent / f".{uid.version}.lock", mode=_LOCK_MODE)
        locked = _acquire(lock, wait)
        try:
            yield locked
        finally:
            if locked:
                lock.release()


def _acquire(lock: filelock.BaseFileLock, wait: Callable[[], None]) -> bool:
    from filelock import Timeout

    while True:
        try:
            lock.acquire(timeout=0)
            return True
        except Timeout:
            wait()
        except (OSError, NotImplementedError):
            return False


def _has_something(folder: Path) -> bool:
    """Whether it is a folder that is not empty, which is how audmodel tells a model that is there."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return next(entries, None) is not None
    return False
