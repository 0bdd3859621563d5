"""FiftyOne's format: a folder with a manifest.json and, for what that does not say, an `__init__.py`.

The format is described in docs/remote-sources.md; the folder may hold weights as well, for FiftyOne
keeps them there.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..errors import CatalogError
from ..files.paths import ARCHIVES, MANIFEST, archive_format, archive_stem, clash, is_code
from ..model import TASK_TYPES, DownloadModel, Model, ModelFile, Origin, Step, UnpackArchive
from ..stores import require_usable
from ..versions import fiftyone_name, versioned_filename, versioned_name
from .manifest import ManifestFile

FORMAT = "FiftyOne manifest"

_MANAGERS = ("fiftyone.core.models.ModelManager", "eta.core.models.ModelManager")
_DRIVE_ID = re.compile(r"[0-9A-Za-z_-]+")
_FRAMEWORKS = {"torch": "pytorch", "tf": "tf", "tf1": "tf", "tf2": "tf", "onnx": "onnx"}
_TASKS = {"segmentation": "semantic_segmentation", "instances": "instance_segmentation"}

Warn = Callable[[str], None]


def recognises(path: Path) -> bool:
    """Whether the folder is a source of this format."""
    return os.path.isfile(path / MANIFEST)


def load(path: Path, source: str, warn: Warn) -> list[Model]:
    """The models of a source, in the order of its manifest. Raises CatalogError."""
    folder = path.resolve()
    file = ManifestFile(folder / MANIFEST)
    readers = [_Reader(file, number, source) for number in range(len(file.manifest.models))]
    several = {name for name, n in Counter(reader.base for reader in readers).items() if n > 1}
    models = [reader.read(reader.base in several) for reader in readers]
    _require_different(file, [model.name for model in models], "base_name")
    _require_different(file, [place for model in models for place in weights(model)], "base_filename")
    return models


def weights(model: Model) -> list[str]:
    """Where the files of a model belong in its source's folder: files, and folders of such."""
    files = [file.name for file in model.files]
    files += [s.file for s in model.postprocessing if isinstance(s, DownloadModel)]
    archives = [s.file for s in model.postprocessing if isinstance(s, UnpackArchive)]
    return files + [stem for name in archives if (stem := archive_stem(name)) != name]


def _require_different(file: ManifestFile, names: list[str], key: str) -> None:
    if two := clash(names):
        which = f'"{two[0]}" and "{two[1]}"' if two[0] != two[1] else f'"{two[0]}"'
        raise file.error(f"models[].{key}", f"two models cannot both be there: {which}")


class _Reader:
    """Makes a Model of one entry."""

    def __init__(self, file: ManifestFile, number: int, source: str) -> None:
        self._file, self._number, self._source = file, number, source
        self._entry = file.manifest.models[number]
        self.base, self._version = file.base_name(number), file.version(number)
        self._at = f"models[{number}]"

    def _error(self, key: str, problem: str) -> CatalogError:
        return self._file.error(f"{self._at}.{key}", problem, self.base)

    def read(self, has_siblings: bool) -> Model:
        """The model; beside other versions, the one that has none is called `<name>@`."""
        is_bare = has_siblings and self._version is None
        called = f"{self.base}@" if is_bare else versioned_name(self.base, self._version)
        entry, origin = self._entry, self._origin()
        name = self._filename(origin)
        tags = tuple(entry.tags or ())
        return Model(
            id=called,
            name=called,
            source=self._source,
            subdirectory=self._source,
            description=entry.description or "",
            framework=next((_FRAMEWORKS[t] for t in tags if t in _FRAMEWORKS), ""),
            task_type=next((t for t in (_TASKS.get(t, t) for t in tags) if t in TASK_TYPES), ""),
            license_url=entry.license or "",
            files=(self._model_file(name, origin),) if name and origin else (),
            version=self._version,
            tags=tags,
            postprocessing=self._steps(name, origin),
            model_info=self._file.document["models"][self._number],
            config_dir=self._file.folder,
        )

    def _model_file(self, name: str, origin: Origin) -> ModelFile:
        announced = self._entry.size_bytes
        return ModelFile(name, None, None, (origin,), announced=announced, adoptable=False)

    def _filename(self, origin: Origin | None) -> str | None:
        """The name of its file or folder; a download without one is called as its URL ends."""
        written = self._entry.base_filename
        if written is None and origin is not None:
            written = unquote(urlsplit(origin.url).path).rpartition("/")[2]
            if not written:
                raise self._error("base_filename", "is required: the download has no other name")
        if written is None:
            return None
        name = self._file.safe_file(
            versioned_filename(written, self._version), self._number, "base_filename"
        )
        if is_code(name):
            raise self._error("base_filename", f'"{name}" would replace a file of the source')
        return name

    def _origin(self) -> Origin | None:
        """Where a manager that we know fetches from."""
        manager = self._entry.manager
        if manager is None or manager.type not in _MANAGERS:
            return None
        config = manager.config or {}
        for key in ("url", "google_drive_id"):
            if not isinstance(config.get(key), str | None):
                raise self._error(f"manager.config.{key}", "expected text")
        if drive := config.get("google_drive_id"):
            if not _DRIVE_ID.fullmatch(drive):
                raise self._error("manager.config.google_drive_id", "is no id of Google Drive")
            return Origin(f"gdrive://{drive}")
        return self._url_origin(config["url"]) if config.get("url") else None

    def _url_origin(self, url: str) -> Origin:
        """A URL, or a path relative to the manifest."""
        try:
            relative = "://" not in url and not urlsplit(url).scheme
            if not relative:
                require_usable(url)
        except ValueError as error:
            raise self._error("manager.config.url", f"cannot be used: {error}") from None
        if relative:
            self._file.safe_file(url, self._number, "manager.config.url")
        return Origin(url, self._file.base)

    def _steps(self, name: str | None, origin: Origin | None) -> tuple[Step, ...]:
        """What brings the model where its manager does not, or is to be done afterwards."""
        manager = self._entry.manager
        if name is None:
            return ()
        if manager is None:
            return (self._download(name),)
        config = manager.config or {}
        if origin is not None and config.get("extract_archive"):
            return (self._unpacking(name, config.get("delete_archive")),)
        if manager.type not in _MANAGERS:
            return (self._download(name, manager.type),)
        return ()

    def _unpacking(self, name: str, delete: object) -> UnpackArchive:
        written = self._entry.base_filename or name
        if (form := archive_format(written)) is None:
            known = ", ".join(ARCHIVES)
            raise self._error("base_filename", f"is no archive that can be extracted ({known})")
        return UnpackArchive(name, form, keep=not delete, beside_code=True)

    def _download(self, name: str, manager: str = "") -> DownloadModel:
        config = self._entry.manager.config if self._entry.manager else None
        return DownloadModel(
            file=name,
            model=fiftyone_name(self.base, self._version),
            source=self._source,
            manager=manager,
            config=config or {},
            announced=self._entry.size_bytes,
        )
