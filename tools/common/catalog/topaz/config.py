"""One JSON file of a Topaz models folder: its schema, its rules, and the Model that it describes."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import msgspec

from ...errors import CatalogError, UnsafePathError
from ...files.bounded import read_bounded
from ...files.json_documents import MAX_BYTES, parse_json
from ...files.paths import clash, safe_path
from ...gpu import FAMILIES
from ...model import Model, ModelFile, Origin, Retries
from ...variants import Target, variant_of
from ...web.topaz_cdn import base_url

RUNTIMES = {"Windows": 8500, "Linux": 8517}
"""TensorRT's code of each system that there are engines for."""

DATA_VARIABLE = "TVAI_MODEL_DATA_DIR"
"""Names the folder in which the application keeps the files, all beside each other."""

MAX_FILES = 10_000  # of one model; real ones have some hundreds
AVERAGE = 91 << 20  # bytes: what the author of vaimm found
RETRIES = Retries(attempts=5, cubic=True)

_MODEL_NAME = re.compile(r"[0-9a-zA-Z][0-9a-zA-Z._-]*")
_BACKEND_NAME = re.compile(r"[a-z][0-9a-z_.-]{0,63}")
_PLACEHOLDER = re.compile(r"\[([HWSRC])\]")

Size = Annotated[int, msgspec.Meta(ge=0)]


class _Scale(msgspec.Struct):
    nets: list[str] = []
    blocks: list[Size] = []


class _Backend(msgspec.Struct):
    scales: dict[str, _Scale] = {}
    capabilities: list[int] = []


class _Gui(msgspec.Struct):
    name: str | None = None
    desc: str | None = None


class _Named(msgspec.Struct, rename="camel"):
    short_name: str
    version: str | int

    @property
    def name(self) -> str:
        return f"{self.short_name}-{self.version}"


class _Config(_Named, rename="camel"):
    backends: dict[str, _Backend]
    gui: _Gui | None = None
    display_name: str | None = None

    @property
    def description(self) -> str:
        """What the application calls the model, and says about it."""
        gui = self.gui or _Gui()
        shown = gui.name or self.display_name or self.short_name
        return " ".join(f"{shown}: {gui.desc}".split()) if gui.desc else shown


_Values = dict[str, msgspec.Raw] | list[msgspec.Raw] | str | int | float | bool | None
_REQUIRED = ("shortName", "version", "backends")


def read_header(path: Path) -> bytes | None:
    """The bytes of a file that describes a model; None for other JSON. Raises CatalogError."""
    data = read_bounded(path, MAX_BYTES)
    try:
        document = parse_json(data, _Values)
    except CatalogError as error:
        raise CatalogError(error.problem, file=str(path)) from None
    is_model = isinstance(document, dict) and all(key in document for key in _REQUIRED)
    return data if is_model else None


def read_model(path: Path, source: str) -> Model | None:
    """The model that a file describes, None where it describes none; raises CatalogError."""
    if (data := read_header(path)) is None:
        return None
    name = ""
    try:
        named: _Named = parse_json(data, _Named)
        _check_name(named.name)
        name = named.name  # which errors about the rest can tell
        return _model(parse_json(data, _Config), source, path)
    except CatalogError as error:
        raise CatalogError(error.problem, file=str(path), model=name, key=error.key) from None


def _check_name(name: str) -> None:
    if not _MODEL_NAME.fullmatch(name):
        raise CatalogError("may hold only 0-9 a-z A-Z . _ -, a digit or letter first", key="shortName")
    _require_safe(name, "shortName")


def _model(config: _Config, source: str, path: Path) -> Model:
    return Model(
        id=config.name,
        name=config.name,
        source=source,
        subdirectory="",
        description=config.description,
        framework="topaz",
        task_type="image_processing",
        license_url="",
        files=_files(config),
        version=str(config.version),
        config_dir=str(path.parent),
        home=os.path.expanduser(os.environ.get(DATA_VARIABLE, "").strip()),
        retries=RETRIES,
    )


def _files(config: _Config) -> tuple[ModelFile, ...]:
    """The files of all backends, sorted; one that is named more than once counts once."""
    targets: dict[str, set[Target]] = {}
    for number, (name, target, key) in enumerate(_named(config)):
        if number == MAX_FILES:
            raise CatalogError(f"names more than {MAX_FILES} files", key="backends")
        if name not in targets:
            _require_safe(name, key)
        targets.setdefault(name, set()).add(target)
    if two := clash(targets):
        raise CatalogError(f'"{two[0]}" and "{two[1]}" cannot both exist in one folder', key="backends")
    base = base_url()
    return tuple(_file(name, base, frozenset(targets[name])) for name in sorted(targets))


def _require_safe(name: str, key: str) -> None:
    try:
        path = safe_path(name)
    except UnsafePathError as error:
        raise CatalogError(str(error), key=key) from None
    if len(path.parts) > 1:
        raise CatalogError(f"the name of a file must not hold a slash: {name!r}", key=key)


def _file(name: str, base: str, targets: frozenset[Target]) -> ModelFile:
    variant, estimate = _variant(targets)
    return ModelFile(name, None, None, (Origin(quote(name), base),), variant, estimate)


@functools.lru_cache(maxsize=256)  # a folder has many files for few backends
def _variant(targets: frozenset[Target]) -> tuple[str, int]:
    """The variant of files for these, and what such files weigh as a rule."""
    small = any(target.backend.endswith("16") for target in targets)
    return variant_of(targets), AVERAGE // 2 if small else AVERAGE


def _named(config: _Config) -> Iterator[tuple[str, Target, str]]:
    """Every file that the backends name, what it is made for, and the key that names it."""
    for backend, settings in config.backends.items():
        if not _BACKEND_NAME.fullmatch(backend):
            raise CatalogError("is no name of a backend", key=f"backends.{_shown(backend)}")
        for scale, lists in settings.scales.items():
            key = f"backends.{backend}.scales.{_shown(scale)}"
            if len(lists.blocks) % 2:
                raise CatalogError("expected pairs of width and height", key=f"{key}.blocks")
            for net in lists.nets:
                for name, target in _expanded(net, scale, lists.blocks, backend, settings.capabilities):
                    file = f"{config.short_name}-v{config.version}-{name}"
                    yield file, target, f"{key}.nets"


def _shown(key: str) -> str:
    """A key as an error may show it: a short line without control characters."""
    return "".join(c if c.isprintable() else "\ufffd" for c in key[:80])


def _expanded(
    net: str, scale: str, blocks: list[int], backend: str, capabilities: list[int]
) -> Iterator[tuple[str, Target]]:
    """One template with every size, and where that matters every GPU family and system."""
    for family in _families(net, capabilities):
        for system in RUNTIMES if "[R]" in net else ("",):
            values: dict[str, Any] = {"S": scale, "R": RUNTIMES.get(system), "C": FAMILIES.get(family)}
            for width, height in zip(blocks[::2], blocks[1::2], strict=True):
                values |= {"H": height, "W": width}
                yield _filled(net, values), Target(backend, family, system)


def _filled(net: str, values: dict[str, Any]) -> str:
    return _PLACEHOLDER.sub(lambda match: str(values[match[1]]), net)


def _families(net: str, capabilities: list[int]) -> tuple[str, ...]:
    """The GPU families that the template is for; "" where it is the same for all."""
    if capabilities:
        return tuple(family for family, code in FAMILIES.items() if code in capabilities)
    return tuple(FAMILIES) if "[C]" in net else ("",)
