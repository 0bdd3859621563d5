"""Topaz Video AI's models folder: one JSON file for each version of a model, beside other JSON files.

The format is described in docs/topaz.md.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ...errors import CatalogError, SelectionError
from ...model import Model

FORMAT = "Topaz Video AI models folder"
FOLDER_VARIABLE = "TVAI_MODEL_DIR"
"""Names the folder; it is a source then without being asked for."""

Warn = Callable[[str], None]


def recognises(path: Path) -> bool:
    """Whether the folder holds a model of this format."""
    from .config import read_header

    for file in _json_files(path) if path.is_dir() else ():
        with contextlib.suppress(CatalogError):  # it is somebody else's
            if read_header(file):
                return True
    return False


def load(path: Path, source: str, warn: Warn) -> list[Model]:
    """The models of a folder, sorted by name, each with the files of all its backends.

    A file that is broken is told as a warning, and so is a folder without models. Raises CatalogError
    for one that cannot be read.
    """
    from .config import read_model

    models: dict[str, Model] = {}
    declared: dict[str, Path] = {}
    root = path.resolve()
    for file in _json_files(root):
        try:
            if (model := read_model(file, source)) is None:
                continue
            if other := declared.get(model.name):
                raise CatalogError(f"is also declared in {other}", file=str(file), model=model.name)
        except CatalogError as error:
            warn(str(error))
            continue
        models[model.name], declared[model.name] = model, file
    if not models:
        warn(f"{root}: holds no models of Topaz Video AI")
    return [models[name] for name in sorted(models) if models[name].files]


def _json_files(folder: Path) -> Iterator[Path]:
    """The folder's JSON files, sorted; hidden ones are other systems' notes about them."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise CatalogError(f"cannot be read: {error.strerror}", file=str(folder)) from None
    for name in names:
        path = folder / name
        if name.lower().endswith(".json") and name[0] != "." and not os.path.isdir(path):
            yield path


def default_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the JSON files are on this platform, if nothing else is told; raises SelectionError."""
    if folder := environ.get(FOLDER_VARIABLE, "").strip():
        path, where = Path(os.path.expanduser(folder)), f"{FOLDER_VARIABLE} names {folder}"
    else:
        path = _platform_folder(environ)
        where = f"Topaz Video AI keeps them in {path}; name another folder with {FOLDER_VARIABLE}"
    if not path.is_dir():
        raise SelectionError(f"There is no folder of Topaz models: {where}.")
    return path


def _platform_folder(environ: Mapping[str, str]) -> Path:
    if sys.platform == "win32":
        data = environ.get("PROGRAMDATA") or r"C:\ProgramData"
        return Path(data, "Topaz Labs LLC", "Topaz Video AI", "models")
    if sys.platform == "darwin":
        return Path("/Applications/Topaz Video AI.app/Contents/Resources/models")
    return Path("/opt/TopazVideoAIBETA/models")
