"""URL lists: models that are no more than names, files and URLs, in text, in YAML, or as options.

The two forms of the file are described in docs/urls.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec

from ..checksum import LENGTHS, Checksum, make_checksum, parse_checksum
from ..errors import CatalogError, UnsafePathError
from ..files.bounded import read_bounded
from ..files.documents import read_yaml
from ..files.paths import TEXT_LISTS, YAML_LISTS, clash, safe_path
from ..model import Model, ModelFile, Origin
from ..stores import require_usable
from .omz.config import MODEL_NAME, convert

FORMAT = "URL list"
MAX_TEXT = 16 << 20  # bytes
SHAPE = "NAME/FILE=URL[#ALGORITHM=DIGEST][&size=BYTES]"

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://[^/\s]|file:///")
_HEAD = 1 << 16  # bytes of a YAML file in which its key has to come

Warn = Callable[[str], None]
Count = Annotated[int, msgspec.Meta(ge=0)]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    source: str | list[str]
    size: Count | None = None
    checksum: str | dict[str, Any] | None = None
    sha256: str | None = None


class _Model(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    files: list[_File]
    description: str = ""
    framework: str = ""
    task_type: str = ""
    license: str = ""
    version: str | None = None
    tags: list[str] = []


class _List(msgspec.Struct, forbid_unknown_fields=True):
    models: list[dict[str, Any]]


def recognises(path: Path) -> bool:
    """Whether this is a file that can be a list of URLs, or a folder that holds one as its list."""
    path = _list_at(path)
    if path.suffix in YAML_LISTS and os.path.isfile(path):
        try:
            with path.open("rb") as file:
                return re.search(rb"^models[ ]*:", file.read(_HEAD), re.M) is not None
        except OSError as error:
            raise CatalogError(f"cannot be read: {error.strerror}", file=str(path)) from None
    return path.suffix in TEXT_LISTS and os.path.isfile(path)


def _list_at(path: Path) -> Path:
    """The list itself: in a folder, as a repository is one, the file that is called `models`."""
    inside = (path / f"models{suffix}" for suffix in (*YAML_LISTS, *TEXT_LISTS))
    return next(filter(os.path.isfile, inside), path)


def load(path: Path, source: str, warn: Warn) -> list[Model]:
    """The models of a list in its order; raises CatalogError."""
    path = _list_at(path).resolve()
    try:
        if path.suffix in YAML_LISTS:
            return list(_models_of_yaml(path, source))
        return models_of(_entries(_lines(path), str(path)), source)
    except CatalogError as error:
        if error.file:
            raise
        raise CatalogError(error.problem, file=str(path), model=error.model, key=error.key) from None


Entry = tuple[str, ModelFile]
"""One file, and the name of its model."""


def parse_entry(text: str, mirrors: Iterable[str] = ()) -> Entry:
    """Read what SHAPE describes; raises CatalogError."""
    target, _, url = text.strip().partition("=")
    name, _, file = target.partition("/")
    if not (name and file and url):
        raise CatalogError(f"expected {SHAPE}")
    _check_name(name)
    try:
        url, checksum, size = _split(url)
        safe_path(file)
        return name, ModelFile(file, size, checksum, tuple(map(_origin, (url, *mirrors))))
    except UnsafePathError as error:
        raise CatalogError(str(error), model=name) from None
    except ValueError as error:
        raise CatalogError(str(error), model=name, key=file) from None


def models_of(entries: Iterable[Entry], source: str) -> list[Model]:
    """The models that these files make, in the order of their first ones; raises CatalogError."""
    files: dict[str, list[ModelFile]] = {}
    for name, file in entries:
        files.setdefault(name, []).append(file)
    return [_model(_Model(name, []), several, source) for name, several in files.items()]


def _lines(path: Path) -> list[str]:
    try:
        return read_bounded(path, MAX_TEXT).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise CatalogError("is not UTF-8 text") from None


def _entries(lines: Iterable[str], file: str) -> Iterator[Entry]:
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                yield parse_entry(line)
            except CatalogError as error:
                key = f"line {number}"
                raise CatalogError(error.problem, file=file, model=error.model, key=key) from None


def _models_of_yaml(path: Path, source: str) -> Iterator[Model]:
    document: _List = convert(read_yaml(path, str(path)), _List, str(path), "")
    seen = set()
    for number, item in enumerate(document.models):
        name = item.get("name")
        model: _Model = convert(item, _Model, str(path), name if isinstance(name, str) else "")
        _check_name(model.name)
        if model.name in seen:
            raise CatalogError("is declared twice", model=model.name, key=f"models[{number}]")
        seen.add(model.name)
        yield _model(model, list(_files(model)), source)


def _files(model: _Model) -> Iterator[ModelFile]:
    for number, file in enumerate(model.files):
        urls = [file.source] if isinstance(file.source, str) else file.source
        try:
            safe_path(file.name)
            if not urls:
                raise ValueError("expected at least one source")
            checksum = _checksum(file)
            yield ModelFile(file.name, file.size, checksum, tuple(map(_origin, urls)))
        except (ValueError, UnsafePathError) as error:
            raise CatalogError(str(error), model=model.name, key=f"files[{number}]") from None


def _model(model: _Model, files: list[ModelFile], source: str) -> Model:
    if not files:
        raise CatalogError("expected at least one file", model=model.name, key="files")
    if two := clash(file.name for file in files):
        what = "is given twice" if two[0] == two[1] else f'and "{two[1]}" cannot both exist in a folder'
        raise CatalogError(f'"{two[0]}" {what}', model=model.name, key="files")
    return Model(
        id=model.name,
        name=model.name,
        source=source,
        subdirectory=model.name,
        description=model.description,
        framework=model.framework,
        task_type=model.task_type,
        license_url=model.license,
        files=tuple(files),
        version=model.version,
        tags=tuple(model.tags),
    )


def _check_name(name: str) -> None:
    if not MODEL_NAME.fullmatch(name):
        raise CatalogError(f"a model's name may hold only 0-9 a-z A-Z . _ -, got {name[:80]!r}")
    try:
        safe_path(name)
    except UnsafePathError as error:
        raise CatalogError(str(error)) from None


def _checksum(file: _File) -> Checksum | None:
    if file.sha256 is not None:
        if file.checksum is not None:
            raise ValueError("expected one of checksum and sha256")
        return make_checksum("sha256", file.sha256)
    match file.checksum:
        case None:
            return None
        case str(text):
            return parse_checksum(text) if ":" in text else make_checksum("sha384", text)
        case parts:
            return make_checksum(str(parts.get("$type")), str(parts.get("value")))


def _split(url: str) -> tuple[str, Checksum | None, int | None]:
    """A URL, and the checksum and size that its fragment tells; ValueError for any other fragment."""
    url, mark, fragment = url.partition("#")
    checksum: Checksum | None = None
    size: int | None = None
    for field in fragment.split("&") if mark else ():
        key, _, value = field.partition("=")
        if key in LENGTHS and checksum is None:
            checksum = make_checksum(key, value)
        elif key == "size" and size is None and re.fullmatch("[0-9]{1,18}", value):
            size = int(value)
        else:
            known = ", ".join(LENGTHS)  # the value may be a secret
            raise ValueError(f"after # expected one of {known} with a digest, and size, got {key!r}")
    return url, checksum, size


def _origin(url: str) -> Origin:
    """Raises ValueError for what is no URL that a store could be asked for."""
    if not _SCHEME.match(url) or not url.isprintable() or " " in url:
        raise ValueError("is not a URL with a scheme, such as https://, file:/// or hf://")
    require_usable(url)
    return Origin(url)
