"""One model.yml on the spot: what is right about it, changed key by key, and how it loads."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from modelzoo.catalog import omz
from modelzoo.checksum import LENGTHS
from modelzoo.model import Model

from tests.zoo import add_model, file_entry, model_config

DATA = b"the bytes of a model"
URL = "https://example.com/model.onnx"
ENTRY = file_entry("model.onnx", DATA, URL)
HEX = {algorithm: hashlib.new(algorithm, DATA).hexdigest() for algorithm in LENGTHS}
MODEL = "public/m"
"""The folder of the one model."""


def load(
    root: Path, document: Any, *, strict: bool = False, warnings: list[str] | None = None
) -> Model:
    """The model of a catalog with this model.yml; warnings fail the test unless they are collected."""
    add_model(root, MODEL, document)
    warn = pytest.fail if warnings is None else warnings.append
    (model,) = omz.load(root, "here", warn, strict=strict)
    return model


def config(**changes: Any) -> dict[str, Any]:
    """A right config with these keys changed; None takes one away."""
    changed = {**model_config([ENTRY]), **changes}
    return {key: value for key, value in changed.items() if value is not None}


def with_file(**changes: Any) -> dict[str, Any]:
    """A right config with these keys of its file changed; None takes one away."""
    entry = {**ENTRY, **changes}
    return config(files=[{key: value for key, value in entry.items() if value is not None}])


def with_names(*names: str, **changes: Any) -> dict[str, Any]:
    """A config with files of these names."""
    return config(files=[{**ENTRY, "name": name} for name in names], **changes)


def ir(*names: str, **changes: Any) -> dict[str, Any]:
    """A config of files in Intermediate Representation."""
    return with_names(*names, framework="dldt", model_optimizer_args=None, **changes)


def with_step(kind: str, **changes: Any) -> dict[str, Any]:
    """A config with one step of postprocessing."""
    regex = {"pattern": "a", "replacement": "b"} if kind == "regex_replace" else {"format": "zip"}
    return config(postprocessing=[{"$type": kind, "file": "model.onnx", **regex, **changes}])
