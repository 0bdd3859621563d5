"""One model.yml: its schema, its rules, and the Model that it describes."""

from __future__ import annotations

import functools
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import msgspec

from ...checksum import Checksum, make_checksum
from ...errors import CatalogError, UnsafePathError
from ...files.documents import read_yaml
from ...files.paths import clash, require_safe
from ...model import (
    FRAMEWORKS,
    KNOWN_PRECISIONS,
    TASK_TYPES,
    Model,
    ModelFile,
    Origin,
    RegexReplace,
    Step,
    UnpackArchive,
)
from . import MODEL_CONFIG, Warn
from .origins import read_origin

MODEL_NAME = re.compile(r"[0-9a-zA-Z._-]+")
_MISSING = re.compile(r"Object missing required field `(.*)`")
ARCHIVE_FORMATS = ("zip", "tar", "gztar", "bztar", "xztar")

Count = Annotated[int, msgspec.Meta(ge=0)]


class _File(msgspec.Struct):
    name: str
    size: Count
    source: Any
    checksum: str | dict[str, Any] | None = None
    sha256: str | None = None
    original_source: Any = None
    """Where the releases from 2022 on had a file from that they now keep themselves; not used."""


class _Input(msgspec.Struct, omit_defaults=True):
    name: str
    shape: list[int | str] | None = None
    layout: str | None = None


class _Config(msgspec.Struct, kw_only=True):
    description: str
    task_type: str
    files: list[_File]
    framework: str
    license: str
    postprocessing: list[RegexReplace | UnpackArchive] = []
    model_optimizer_args: list[str] | None = None
    conversion_to_onnx_args: list[str] | None = None
    quantizable: bool = False
    quantized: str | None = None
    input_info: list[_Input] = []
    model_info: dict[str, Any] = {}
    version: str | None = None
    tags: list[str] = []


_KEYS, _FILE_KEYS = frozenset(_Config.__struct_fields__), frozenset(_File.__struct_fields__)


def convert(document: Any, kind: type[Any], file: str, model: str) -> Any:
    """The document as a value of this type; CatalogError with the key that does not fit."""
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `")
        path = path.removeprefix("key` in `").strip("$`")
        if missing := _MISSING.fullmatch(problem):
            problem, path = "is required", f"{path}.{missing[1]}"
        raise CatalogError(problem, file=file, model=model, key=path.lstrip(".")) from None


@functools.lru_cache(maxsize=1)  # it is asked for again with every model of a tree
def _uri(root: Path) -> str:
    return f"{root.as_uri()}/"


class ConfigReader:
    """Reads one model.yml; what it raises and warns about names the file, the model and the key."""

    def __init__(
        self, root: Path, folder: str, source: str, warn: Warn, strict: bool, composite: str | None
    ) -> None:
        self.folder, self.relative = os.path.join(root, folder) if folder else str(root), folder
        self.source, self.composite, self.strict, self._warn = source, composite, strict, warn
        self.file, self.name = os.path.join(self.folder, MODEL_CONFIG), os.path.basename(self.folder)
        self.doubts: list[str] = []
        self._inside = _uri(root)
        below = quote(folder, errors="surrogateescape")
        self._base = f"{self._inside}{below}/" if below else self._inside

    def read(self) -> Model:
        """The model of this folder."""
        if not MODEL_NAME.fullmatch(self.name):
            raise self.error("", "the folder's name may hold only 0-9 a-z A-Z . _ -")
        config = self._config()
        files = tuple(self._files(config.files))
        return Model(
            id=self.name,
            name=self.name,
            source=self.source,
            subdirectory=self._subdirectory(),
            composite=self.composite,
            description=config.description,
            framework=config.framework,
            task_type=config.task_type,
            license_url=config.license,
            files=files,
            version=config.version,
            tags=tuple(config.tags),
            precisions=self._precisions(config, files),
            quantization_output_precisions=_INT8 if config.quantizable else (),
            postprocessing=self._postprocessing(config),
            model_optimizer_args=_optional_tuple(config.model_optimizer_args),
            conversion_to_onnx_args=_optional_tuple(config.conversion_to_onnx_args or None),
            input_info=tuple(msgspec.to_builtins(config.input_info)),
            model_info=config.model_info,
            config_dir=self.folder,
        )

    def error(self, key: str, problem: str) -> CatalogError:
        """An error about one key of this file."""
        return CatalogError(problem, file=self.file, model=self.name, key=key)

    def _config(self) -> _Config:
        document = read_yaml(self.file, self.file, self.name)
        if not isinstance(document, dict):
            raise self.error("", "expected a mapping of keys")
        for key in ("name", "subdirectory"):
            if key in document:
                raise self.error(key, "is not allowed: the folder's path says it")
        config: _Config = convert(document, _Config, self.file, self.name)
        self._doubt_unknown(document, _KEYS, "")
        for number, file in enumerate(document["files"]):
            self._doubt_unknown(file, _FILE_KEYS, f"files[{number}].")
        self._check(config)
        return config

    def doubt(self, key: str, problem: str) -> None:
        """An error in a strict catalog, a warning in others."""
        error = self.error(key, problem)
        if self.strict:
            raise error
        self.doubts.append(str(error))
        self._warn(str(error))

    def _doubt_unknown(self, keys: Mapping[str, Any], known: frozenset[str], where: str) -> None:
        if not keys.keys() <= known:
            for key in keys:
                if key not in known:
                    self.doubt(where + key, "is not a known key")

    def _check(self, config: _Config) -> None:
        if config.task_type not in TASK_TYPES:
            self.doubt("task_type", f'unknown value "{config.task_type}"')
        if config.framework not in FRAMEWORKS:
            self.doubt("framework", f'unknown value "{config.framework}"')
        if not re.match(r"https?://", config.license):
            raise self.error("license", f'expected a URL, got "{config.license}"')
        if config.quantized not in (None, "INT8"):
            raise self.error("quantized", f'expected INT8, got "{config.quantized}"')
        if config.framework in FRAMEWORKS:  # what later ones need is not known
            self._check_conversion(config)

    def _check_conversion(self, config: _Config) -> None:
        if config.model_optimizer_args is None and config.framework != "dldt":
            raise self.error("model_optimizer_args", f"is required with framework {config.framework}")
        needs_onnx = config.framework in ("pytorch", "caffe2")
        if needs_onnx != bool(config.conversion_to_onnx_args):
            rule = "required" if needs_onnx else "not allowed"
            raise self.error("conversion_to_onnx_args", f"is {rule} with framework {config.framework}")

    def _subdirectory(self) -> str:
        path = self.relative or self.name
        try:
            require_safe(path)
        except UnsafePathError as error:
            raise self.error("", str(error)) from None
        return path

    def _files(self, files: Sequence[_File]) -> Iterator[ModelFile]:
        for number, file in enumerate(files):
            key = f"files[{number}]"
            try:
                require_safe(file.name)
            except UnsafePathError as error:
                raise self.error(f"{key}.name", error.problem) from None
            checksum, origins = self._checksum(file, key), self._origins(file, key)
            yield ModelFile(file.name, file.size, checksum, origins, _variant(file.name))
        if two := clash(file.name for file in files):
            raise self.error("files", f'"{two[0]}" and "{two[1]}" cannot both exist in one folder')

    def _checksum(self, file: _File, key: str) -> Checksum:
        if (file.checksum is None) == (file.sha256 is None):
            raise self.error(key, "expected exactly one of checksum and sha256")
        where = "checksum" if file.sha256 is None else "sha256"
        given = file.checksum if file.sha256 is None else {"$type": "sha256", "value": file.sha256}
        parts = given if isinstance(given, dict) else {"$type": "sha384", "value": given}
        try:
            return make_checksum(str(parts.get("$type")), str(parts.get("value")))
        except ValueError as error:
            raise self.error(f"{key}.{where}", str(error)) from None

    def _origins(self, file: _File, key: str) -> tuple[Origin, ...]:
        sources = file.source if isinstance(file.source, list) else [file.source]
        if not sources:
            raise self.error(f"{key}.source", "expected at least one source")
        try:
            return tuple(read_origin(source, self._base, self._inside) for source in sources)
        except ValueError as error:
            raise self.error(f"{key}.source", str(error)) from None

    def _precisions(self, config: _Config, files: Sequence[ModelFile]) -> tuple[str, ...]:
        if config.model_optimizer_args is not None:
            return _INT8 if config.quantized else ("FP16", "FP32")
        names = {file.name for file in files}
        precisions = sorted({file.variant for file in files if file.variant})
        for precision in precisions:
            for suffix in (".xml", ".bin"):
                if config.framework == "dldt" and f"{precision}/{self.name}{suffix}" not in names:
                    raise self.error("files", f"expected {precision}/{self.name}{suffix}")
        return tuple(precisions)

    def _postprocessing(self, config: _Config) -> tuple[Step, ...]:
        for number, step in enumerate(config.postprocessing):
            key = f"postprocessing[{number}]"
            try:
                require_safe(step.file)
            except UnsafePathError as error:
                raise self.error(f"{key}.file", error.problem) from None
            if isinstance(step, RegexReplace) and (problem := _bad_pattern(step.pattern)):
                raise self.error(f"{key}.pattern", f"is not a regular expression: {problem}")
            if isinstance(step, UnpackArchive) and step.format not in ARCHIVE_FORMATS:
                known = ", ".join(ARCHIVE_FORMATS)
                raise self.error(f"{key}.format", f'expected one of {known}, got "{step.format}"')
        return tuple(config.postprocessing)


def _bad_pattern(pattern: str) -> str:
    """What is wrong with a regular expression, or nothing."""
    try:
        with warnings.catch_warnings():  # about what later versions of Python may take differently
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return str(error)
    return ""


_INT8 = ("FP16-INT8", "FP32-INT8")


def _variant(name: str) -> str | None:
    folder, slash, rest = name.partition("/")
    return folder if slash and "/" not in rest and folder in KNOWN_PRECISIONS else None


def _optional_tuple(values: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)
