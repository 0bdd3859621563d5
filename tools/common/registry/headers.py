"""The documents of a repository: headers, meta information and aliases, byte for byte as audmodel's.

They are YAML in the order of their keys, without characters beyond ASCII. Tuples have a tag of Python's
own, which is the only one that is read beside YAML's: others would run code that a header names.
"""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import msgspec
import yaml
from yaml import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent

from ..errors import CatalogError, InvalidValueError, UnsafePathError
from ..files.documents import MAX_BYTES, MAX_DEPTH, is_suspicious, one_line
from .identifiers import Uid, is_version, split_uid
from .layout import archive_key

MAX_VALUES = MAX_BYTES
"""Values that a document stands for, those that an anchor repeats counted every time."""

_TUPLE = "tag:yaml.org,2002:python/tuple"
_PLAIN_TAGS = {
    f"tag:yaml.org,2002:{kind}"
    for kind in ("binary", "bool", "float", "int", "map", "null", "omap", "pairs", "seq", "set", "str")
}
_KNOWN_TAGS = {*_PLAIN_TAGS, "tag:yaml.org,2002:timestamp", _TUPLE}


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What was published, by whom and when; it never changes."""

    author: str | None
    date: dt.date | str
    name: str
    parameters: dict[str, Any]
    subgroup: str = ""
    version: str
    group: str = ""
    """The folder of its archive's folder, where that does not follow from name and subgroup."""


_KEYS = ("author", "date", "name", "parameters", "subgroup", "version")
"""The keys of a header, in its order."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader, and tuples."""


_Loader.add_constructor(_TUPLE, lambda loader, node: tuple(loader.construct_sequence(node, deep=True)))


class _Dumper(yaml.SafeDumper):
    """The safe dumper, tuples, and mappings in their own order."""


# Like oyaml, which audmodel writes with: sets stay sorted, mappings are not.
for _kind in (dict, OrderedDict):
    _Dumper.add_representer(_kind, lambda dumper, value: dumper.represent_dict(value.items()))
_Dumper.add_representer(tuple, lambda dumper, value: dumper.represent_sequence(_TUPLE, value))


def header_dict(header: Header) -> dict[str, Any]:
    """The header as audmodel returns it."""
    return {key: getattr(header, key) for key in _KEYS}


def dump_header(header: Header) -> bytes:
    """The bytes of a header; raises InvalidValueError for parameters that could not be read again."""
    return _dump(header_dict(header))


def dump_meta(meta: Mapping[str, Any] | None) -> bytes:
    """The bytes of meta information; raises InvalidValueError."""
    return _dump(None if meta is None else dict(meta))


def dump_alias(uid: Uid) -> bytes:
    """The bytes that say which model an alias means."""
    return _dump({"uid": f"{uid.short_id}-{uid.version}"})


def dump_aliases(aliases: Iterable[str]) -> bytes:
    """The bytes of the list of a model's aliases."""
    return _dump({"aliases": sorted(aliases)})


def _dump(value: Any) -> bytes:
    try:
        # The C emitter breaks some long lines elsewhere.
        text = yaml.dump(value, Dumper=_Dumper)
        data = text.encode()
        parse_document(data, "")
    except CatalogError as error:
        raise InvalidValueError(f"cannot be published: {error.problem}") from None
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise InvalidValueError(
            f"cannot be written as YAML of plain values: {_first_line(error)}"
        ) from None
    return data


def _first_line(error: Exception) -> str:
    if isinstance(error, yaml.representer.RepresenterError) and len(error.args) == 2:
        return f"a value is of type {type(error.args[1]).__name__}"
    return str(error).partition("\n")[0][:200]


def parse_header(data: bytes, file: str) -> Header:
    """The header in these bytes; CatalogError, which names the file, for what is none."""
    document = _mapping(data, file)
    values: dict[str, Any] = {key: document.get(key) for key in _KEYS}
    values["subgroup"] = values["subgroup"] or ""
    values["parameters"] = {} if values["parameters"] is None else values["parameters"]
    for key, kinds, expected in _EXPECTED:
        if not isinstance(values[key], kinds):
            problem = f"expected {expected}, got {type(values[key]).__name__}"
            raise CatalogError(problem, file=file, key=key)
    header = Header(**values)
    _require_places(header, file)
    return header


_EXPECTED: tuple[tuple[str, tuple[type, ...], str], ...] = (
    ("author", (str, type(None)), "text"),
    ("date", (dt.date, str), "a date"),
    ("name", (str,), "text"),
    ("parameters", (dict,), "a mapping"),
    ("subgroup", (str,), "text"),
    ("version", (str,), "text"),
)


def _require_places(header: Header, file: str) -> None:
    if not is_version(header.version):
        raise CatalogError(f"is no version: {header.version[:80]!r}", file=file, key="version")
    try:
        archive_key(Uid("0" * 8, header.version), header.name, header.subgroup)
    except UnsafePathError as error:
        raise CatalogError(str(error), file=file, key="name") from None


def parse_meta(data: bytes, file: str) -> dict[str, Any]:
    """The meta information in these bytes, which may be null; CatalogError."""
    return {} if parse_document(data, file) is None else _mapping(data, file)


def parse_alias(data: bytes, file: str) -> Uid:
    """The model that an alias means; CatalogError."""
    text = _mapping(data, file).get("uid")
    model, version = (split_uid(text) if isinstance(text, str) else None) or ("", None)
    if version is None or not is_version(version):
        raise CatalogError("expected an id with a version", file=file, key="uid")
    return Uid(model, version)


def parse_aliases(data: bytes, file: str) -> list[str]:
    """The aliases of a model; CatalogError."""
    document = parse_document(data, file)
    aliases = [] if document is None else _mapping(data, file).get("aliases", [])
    if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
        raise CatalogError("expected a list of text", file=file, key="aliases")
    return aliases


def _mapping(data: bytes, file: str) -> dict[str, Any]:
    document = parse_document(data, file)
    if not isinstance(document, dict):
        raise CatalogError(f"expected a mapping, got {type(document).__name__}", file=file)
    return document


def parse_document(data: bytes, file: str) -> Any:
    """The value in a YAML document; CatalogError for one that is large, deep, odd, or names code."""
    if len(data) > MAX_BYTES:
        raise CatalogError(f"is larger than {MAX_BYTES} bytes", file=file)
    try:
        text = data.decode("utf-8-sig")
        if is_suspicious(data):
            _inspect(text, file)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a safe loader
    except yaml.YAMLError as error:
        raise CatalogError(f"is not valid YAML: {one_line(error)}", file=file) from None
    except (AttributeError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise CatalogError(f"is not valid YAML: {str(error)[:200]}", file=file) from None


def _inspect(text: str, file: str) -> None:
    """Look at the events before anything is built of them."""
    look = _Look(file)
    for event in yaml.parse(text, Loader=_Loader):
        look.at(event)


class _Look:
    """Counts what a document would become: an alias stands for all that its anchor does."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._values = 0
        self._open: list[list[Any]] = []
        """Of each open collection its anchor, how many values were before it, and its levels."""
        self._anchors: dict[str, tuple[int, int]] = {}

    def at(self, event: Any) -> None:
        """Take the next event; raises CatalogError."""
        if (tag := getattr(event, "tag", None)) is not None and tag not in _KNOWN_TAGS:
            self._refuse(event, f"the tag {tag[:100]} is not allowed: it could run code")
        if isinstance(event, CollectionStartEvent):
            self._open.append([event.anchor, self._values, 0])
            self._count(event, 1, 0)
        elif isinstance(event, ScalarEvent):
            self._count(event, 1, 0)
            if event.anchor is not None:
                self._anchors[event.anchor] = 1, 0
        elif isinstance(event, AliasEvent):
            self._count(event, *self._meant(event))
        elif isinstance(event, CollectionEndEvent):
            self._close()

    def _meant(self, event: Any) -> tuple[int, int]:
        if event.anchor not in self._anchors:
            self._refuse(event, f"the alias {event.anchor[:80]} stands for nothing that is complete")
        return self._anchors[event.anchor]

    def _close(self) -> None:
        anchor, before, levels = self._open.pop()
        if anchor is not None:
            self._anchors[anchor] = self._values - before, levels + 1
        if self._open:
            self._open[-1][2] = max(self._open[-1][2], levels + 1)

    def _count(self, event: Any, values: int, levels: int) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            self._refuse(event, f"holds more than {MAX_VALUES} values")
        if len(self._open) + levels > MAX_DEPTH:
            self._refuse(event, f"is nested deeper than {MAX_DEPTH} levels")
        if self._open:
            self._open[-1][2] = max(self._open[-1][2], levels)

    def _refuse(self, event: Any, problem: str) -> NoReturn:
        raise CatalogError(f"line {event.start_mark.line + 1}: {problem}", file=self._file)
