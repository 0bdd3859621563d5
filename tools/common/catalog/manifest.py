"""A FiftyOne manifest.json as it is written: what its fields may hold, checked with their paths."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Annotated, Any

import msgspec

from ..errors import CatalogError, UnsafePathError
from ..files.bounded import read_bounded
from ..files.paths import require_safe

MAX_BYTES = 16 << 20  # FiftyOne's own, with hundreds of models, has less than one MiB
MAX_MODELS = 100_000

_MISSING = re.compile(r"Object missing required field `(.*)`")
_NUMBER = re.compile(rb"-?[0-9][0-9.eE+-]*")
_NOT_IN_NAMES = frozenset("@,[]")


class Class(msgspec.Struct):
    """A class by its dotted path, and its configuration."""

    type: str
    config: dict[str, Any] | None = None


class Runtime(msgspec.Struct):
    """What a model needs on one kind of device."""

    support: bool | None = None
    packages: list[str] | str | dict[str, Any] | None = None
    cuda_version: str | None = None
    cudnn_version: str | None = None


class Requirements(msgspec.Struct):
    """What a model needs."""

    packages: list[str] | str | dict[str, Any] | None = None
    cpu: Runtime | None = None
    gpu: Runtime | None = None


class Declared(msgspec.Struct, kw_only=True):
    """One model of a manifest."""

    base_name: str
    base_filename: str | None = None
    version: msgspec.Raw = msgspec.Raw(b"null")
    author: str | None = None
    url: str | None = None
    license: str | None = None
    source: str | None = None
    description: str | None = None
    tags: list[str] | None = None
    training_data: list[Any] | None = None
    size_bytes: Annotated[int, msgspec.Meta(ge=0)] | None = None
    date_added: str | None = None
    requirements: Requirements | None = None
    manager: Class | None = None
    default_deployment_config_dict: Class | None = None


class Manifest(msgspec.Struct, kw_only=True):
    """The document."""

    models: list[Declared]
    name: str | None = None
    url: str | None = None


_DECODER = msgspec.json.Decoder(Manifest)


class ManifestFile:
    """One manifest on disk: typed, and as it is. Raises CatalogError with the field's path."""

    def __init__(self, path: Path) -> None:
        self.file, self.folder, self.base = str(path), str(path.parent), f"{path.parent.as_uri()}/"
        data = read_bounded(path, MAX_BYTES).removeprefix(codecs.BOM_UTF8)
        try:
            self.document: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])
        except (ValueError, RecursionError) as error:
            raise CatalogError(f"is not usable JSON: {error}", file=self.file) from None
        try:
            self.manifest = _DECODER.decode(data)
        except msgspec.ValidationError as error:
            raise self._misfit(str(error)) from None
        except RecursionError:
            raise CatalogError("is nested too deeply", file=self.file) from None
        if len(self.manifest.models) > MAX_MODELS:
            raise self.error("models", f"holds more than {MAX_MODELS} models")

    @property
    def name(self) -> str | None:
        """The source's name, checked, None where the manifest has none."""
        name = self.manifest.name
        return None if name is None else self._safe(name, "name")

    def error(self, key: str, problem: str, model: str = "") -> CatalogError:
        """An error about a field."""
        model = model[:80] if model.isprintable() else repr(model[:80])
        return CatalogError(problem, file=self.file, model=model, key=key)

    def _misfit(self, text: str) -> CatalogError:
        problem, _, path = text.partition(" - at `")
        path = path.removeprefix("key` in `").strip("$`").lstrip(".")
        if missing := _MISSING.fullmatch(problem):
            problem, path = "is required", f"{path}.{missing[1]}".lstrip(".")
        return self.error(path, problem, self._model_at(path))

    def _model_at(self, path: str) -> str:
        """The name of the model that a path leads into."""
        match = re.match(r"models\[([0-9]+)\]", path)
        models = self.document.get("models")
        if match and isinstance(models, list) and isinstance(model := models[int(match[1])], dict):
            return str(model.get("base_name", ""))
        return ""

    def base_name(self, number: int) -> str:
        """The name of a model, checked."""
        declared = self.manifest.models[number]
        key = f"models[{number}].base_name"
        if not _NOT_IN_NAMES.isdisjoint(declared.base_name):
            raise self.error(key, "must not hold any of @ , [ ]", declared.base_name)
        return self._safe(declared.base_name, key, declared.base_name)

    def version(self, number: int) -> str | None:
        """The version of a model as text, as it is written where it is a number; None for none."""
        declared = self.manifest.models[number]
        raw = bytes(declared.version)
        if raw == b"null":  # which most are, and a manifest can have very many
            return None
        key = f"models[{number}].version"
        if _NUMBER.fullmatch(raw):
            text: Any = raw.decode()
        else:
            text = msgspec.json.decode(raw)
        if text is None or text == "":
            return None
        if not isinstance(text, str):
            raise self.error(key, "expected text or a number", declared.base_name)
        if "/" in text or not _NOT_IN_NAMES.isdisjoint(text):
            raise self.error(key, "must not hold any of / @ , [ ]", declared.base_name)
        return self._safe(text, key, declared.base_name)

    def _safe(self, text: str, key: str, model: str = "") -> str:
        try:
            require_safe(text)
        except UnsafePathError as error:
            raise self.error(key, str(error), model) from None
        return text

    def safe_file(self, name: str, number: int, key: str) -> str:
        """A file name of a model, checked."""
        return self._safe(name, f"models[{number}].{key}", self.manifest.models[number].base_name)
