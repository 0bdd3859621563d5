"""Catalogs made on the spot: trees of model.yml whose files are served by a test's own server."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml


def content(name: str, size: int) -> bytes:
    """Bytes that look like nothing else: reproducible, different for every name."""
    return random.Random(name).randbytes(size)


def file_entry(name: str, data: bytes, source: Any, **extra: Any) -> dict[str, Any]:
    """An entry of `files:` that tells the truth about `data`."""
    digest = hashlib.sha384(data).hexdigest()
    return {"name": name, "size": len(data), "checksum": digest, "source": source, **extra}


def model_config(files: Sequence[Mapping[str, Any]], **extra: Any) -> dict[str, Any]:
    """A model.yml as a dictionary; `extra` replaces or adds keys (None removes)."""
    config: dict[str, Any] = {
        "description": "A model for tests.",
        "task_type": "classification",
        "files": [dict(file) for file in files],
        "framework": "onnx",
        "license": "https://example.com/LICENSE",
        "model_optimizer_args": ["--input_model=$dl_dir/model.onnx"],
    }
    config.update(extra)
    return {key: value for key, value in config.items() if value is not None}


def add_model(root: Path, subdirectory: str, config: Any) -> Path:
    """Write a model.yml below a catalog's root; returns the model's folder."""
    folder = root / subdirectory
    folder.mkdir(parents=True, exist_ok=True)
    text = config if isinstance(config, str) else yaml.safe_dump(config, sort_keys=False)
    (folder / "model.yml").write_text(text, encoding="utf-8")
    return folder


def add_local_model(root: Path, subdirectory: str, files: Mapping[str, bytes], **extra: Any) -> Path:
    """A model whose files lie beside its model.yml, as in a catalog that is moved with its files."""
    entries = [file_entry(name, data, name) for name, data in files.items()]
    folder = add_model(root, subdirectory, model_config(entries, **extra))
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def make_zoo(
    root: Path, served: Path, url: str, models: int, files: int, size: int, prefix: str = "model"
) -> dict[str, bytes]:
    """A catalog of `models` models with `files` files each, served from `served` at `url`.

    Returns what has to be in the output directory afterwards: relative path -> bytes.
    """
    expected: dict[str, bytes] = {}
    for number in range(models):
        name, entries = f"{prefix}-{number:04}", []
        (served / name).mkdir(parents=True, exist_ok=True)
        for index in range(files):
            file = f"part-{index}.bin"
            data = content(f"{name}/{file}", size)
            (served / name / file).write_bytes(data)
            entries.append(file_entry(file, data, f"{url}/{name}/{file}"))
            expected[f"public/{name}/{file}"] = data
        add_model(root, f"public/{name}", model_config(entries))
    return expected


def wrong_files(output_dir: Path, expected: Mapping[str, bytes]) -> list[str]:
    """The paths that are missing or hold other bytes than expected."""
    return [
        path
        for path, data in expected.items()
        if not (output_dir / path).is_file() or (output_dir / path).read_bytes() != data
    ]


def stray_files(output_dir: Path, expected: Mapping[str, bytes]) -> list[str]:
    """What is in the output directory beside the expected files and the receipts."""
    found = (p.relative_to(output_dir).as_posix() for p in output_dir.rglob("*") if p.is_file())
    return sorted(p for p in found if p not in expected and not p.startswith(".modelzoo/receipts/"))


def tree(folder: Path) -> dict[str, bytes | str]:
    """Everything below a folder: relative path -> a file's bytes, "folder", or where a link leads."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = path.read_bytes()
        else:
            found[name] = "folder" if path.is_dir() else "other"
    return found


def files_of(folder: Path) -> dict[str, bytes]:
    """The files below a folder: relative path -> bytes."""
    return {name: data for name, data in tree(folder).items() if isinstance(data, bytes)}
