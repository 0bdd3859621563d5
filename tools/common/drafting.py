"""A first model.yml for files that are somewhere: names, sizes and checksums, ready to be completed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from .cache.entries import Cache
from .catalog import omz
from .catalog.omz.config import ConfigReader
from .catalog.urls import models_of, parse_entry
from .checksum import Checksum, file_checksum, parse_checksum
from .errors import CatalogError, Interrupted, ModelZooError, Reason, UnsafePathError, UsageError
from .events import Report
from .files.disk import storage_error, storage_errors, walk, write_whole
from .files.paths import STATE_DIR, safe_path
from .model import KNOWN_PRECISIONS, Model
from .run.setup import fetch, make_engine
from .variants import EVERY_VARIANT

_ALGORITHM = "sha384"  # that of Open Model Zoo's own files

_FRAMEWORKS = {
    ".onnx": "onnx",
    ".pb": "tf",
    ".h5": "tf",
    ".tflite": "tf",
    ".caffemodel": "caffe",
    ".params": "mxnet",
    ".pt": "pytorch",
    ".pth": "pytorch",
    ".ckpt": "pytorch",
    ".safetensors": "pytorch",
}
"""What files with such a name are made for, as a rule."""

_HEAD = """\
# A draft: names, sizes and checksums are right; description, task_type, framework, license and the
# arguments for the conversion are to be completed. docs/catalog.md describes the format.
"""

_PLACEHOLDERS = {
    "description": "To be completed: what the model does and where it comes from.",
    "task_type": "classification",
    "license": "https://example.com/to-be-completed",
}

File = dict[str, Any]
"""An entry of `files` in a model.yml."""


def draft_of_urls(
    name: str,
    entries: Iterable[str],
    tree: Path,
    *,
    report: Report,
    cache_dir: Path | None = None,
    num_attempts: int = 1,
    timeout: float = 60.0,
) -> str:
    """The model.yml for `FILE=URL` entries, each of which is fetched once, to the disk of `tree`.

    Raises CatalogError for entries that make no sense, ModelZooError for what does not come, or
    Interrupted. Nothing stays of it, and `tree` is not made.
    """
    (model,) = models_of([parse_entry(f"{name}/{entry}") for entry in entries], "draft")
    cache = None if cache_dir is None else Cache(cache_dir)
    engine = make_engine(report=report, cache=cache, attempts=num_attempts, timeout=timeout)
    with storage_errors(tree):
        folder = tempfile.TemporaryDirectory(prefix=".draft-", dir=_what_is_there(tree))
    with folder:
        summary = fetch([model], Path(folder.name), EVERY_VARIANT, 1, engine)
    if summary.interrupted:
        raise Interrupted
    (outcome,) = summary.models
    if failed := next((file for file in outcome.files if not file.successful), None):
        # The folder is gone, and nobody has to know where it was.
        problem = (failed.message or "did not come").replace(folder.name, str(tree))
        raise ModelZooError(f"{failed.name}: {problem}", failed.reason or Reason.NETWORK)
    came = {file.name: file for file in outcome.files}
    return _text(name, list(_of_model(model, came)))


def _what_is_there(tree: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    place = tree.absolute()
    return next(path for path in (place, *place.parents) if os.path.lexists(path))


def _of_model(model: Model, came: Mapping[str, Any]) -> Iterator[File]:
    for file in model.files:
        outcome = came[file.name]
        urls = [origin.written for origin in file.origins]
        yield {
            "name": file.name,
            "size": outcome.size,
            "checksum": _written(parse_checksum(outcome.checksum)),
            "source": urls[0],
        }


def draft_of_folder(folder: Path) -> str:
    """The model.yml for the files of a folder, to lie beside them; raises UsageError, StorageError."""
    name = folder.resolve().name
    files = []
    try:
        paths = list(_files_below(folder))
    except OSError as error:
        raise storage_error(error, Path(error.filename or folder)) from None
    for path in paths:
        relative = path.relative_to(folder).as_posix()
        try:
            safe_path(relative)
        except UnsafePathError as error:
            raise UsageError(f"{path}: {error}") from None
        with storage_errors(path):
            checksum, size = file_checksum(path, _ALGORITHM), path.stat().st_size
        written = _written(checksum)
        files.append({"name": relative, "size": size, "checksum": written, "source": quote(relative)})
    if not files:
        raise UsageError(f"{folder} holds no files")
    return _text(name, files)


def _files_below(folder: Path) -> Iterator[Path]:
    """The files of a folder, sorted; hidden ones, and what the tools keep there, are left out."""
    for place, folders, names in walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != "." and name != STATE_DIR)
        for name in sorted(names):
            path = Path(place, name)
            if name[0] != "." and path.is_file() and path != folder / omz.MODEL_CONFIG:
                yield path


def _written(checksum: Checksum) -> str | dict[str, str]:
    if checksum.type == _ALGORITHM:
        return checksum.value
    return {"$type": checksum.type, "value": checksum.value}


def _text(name: str, files: Sequence[File]) -> str:
    """The document; raises CatalogError when it would not load."""
    import yaml

    framework = _framework(name, [file["name"] for file in files])
    config: dict[str, Any] = {**_PLACEHOLDERS, "framework": framework, "files": list(files)}
    if framework != "dldt":
        config["model_optimizer_args"] = []
    if framework == "pytorch":
        config["conversion_to_onnx_args"] = ["--to-be-completed"]
    order = ("description", "task_type", "files", "framework", "license")
    keys = [*order, *(key for key in config if key not in order)]
    text = _HEAD + yaml.safe_dump(
        {k: config[k] for k in keys if k in config}, sort_keys=False, width=100
    )
    _require_loadable(name, text)
    return text


def _framework(name: str, files: Sequence[str]) -> str:
    if _is_ir(name, files):
        return "dldt"
    known = (_FRAMEWORKS.get(PurePosixPath(file).suffix.lower()) for file in files)
    return next(filter(None, known), "onnx")


def _is_ir(name: str, files: Sequence[str]) -> bool:
    """Whether these are the files of an OpenVINO model, where Open Model Zoo has them."""
    folders = {file.partition("/")[0] for file in files} & {*KNOWN_PRECISIONS}
    expected = {f"{folder}/{name}{suffix}" for folder in folders for suffix in (".xml", ".bin")}
    return bool(expected) and expected <= {*files}


def _require_loadable(name: str, text: str) -> None:
    """Raise CatalogError where the strict rules of the built-in catalog refuse the document."""
    with tempfile.TemporaryDirectory() as root:
        write_whole(Path(root, name, omz.MODEL_CONFIG), text.encode())
        ConfigReader(Path(root).resolve(), name, "draft", _refuse, True, None).read()


def _refuse(message: str) -> None:
    raise CatalogError(message)


def write_draft(text: str, folder: Path) -> Path:
    """Put a model.yml into the model's folder; returns its path. Raises StorageError."""
    path = folder / omz.MODEL_CONFIG
    with storage_errors(path):
        write_whole(path, text.encode())
    return path
