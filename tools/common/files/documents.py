"""Reading YAML and JSON from outside: size, depth, aliases and tags are bounded before building."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from yaml import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from ..errors import CatalogError
from .bounded import read_bounded

MAX_BYTES = 1 << 20  # real ones have some kilobytes, and a byte can become a kilobyte of values
MAX_DEPTH = 64

_Base: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# What looks like a date stays text: no format here has dates, and JSON could not print them.
_RESOLVERS = {
    first: [(tag, pattern) for tag, pattern in known if not tag.endswith(":timestamp")]
    for first, known in _Base.yaml_implicit_resolvers.items()
}
_Loader: type[Any] = type("_Loader", (_Base,), {"yaml_implicit_resolvers": _RESOLVERS})
_CONSTRUCTOR = yaml.constructor.SafeConstructor()
_PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "null")}

# Building a value recurses in C, where depth ends the process: it has to be known before. Block
# collections nest by one column of dashes, question marks or indentation at least, all others by
# brackets, by two levels each: a document without a long run of those and with few brackets is
# shallow. The run is looked for everywhere, for YAML knows more line ends than `^` does.
_IN_RUNS = bytes(sign in b" -?:" for sign in range(256))
_LONG_RUN = bytes([True]) * (MAX_DEPTH // 2 - 2)


def read_yaml(path: str | Path, name: str, model: str = "") -> Any:
    """The document in a file; CatalogError (with the line) for anything but small, plain YAML.

    `name` and `model` are what the error calls the file, and the model it is about.
    """
    try:
        return parse_yaml(read_bounded(path, MAX_BYTES))
    except CatalogError as error:
        raise CatalogError(error.problem, file=name, model=model) from None


def parse_yaml(data: bytes) -> Any:
    """The document in these bytes; see read_yaml."""
    if len(data) > MAX_BYTES:
        raise CatalogError(f"is larger than {MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
        if is_suspicious(data):
            _inspect(text)
        return _load(text)
    except yaml.YAMLError as error:
        raise CatalogError(f"is not valid YAML: {one_line(error)}") from None
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise CatalogError(f"is not valid YAML: {error}") from None


def _load(text: str) -> Any:
    """What yaml.load() gives, from the events and without its nodes: in half the time."""
    parser = _Loader(text)
    try:
        return _document(parser.get_event)
    except (TypeError, ValueError):
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a safe loader
    finally:
        parser.dispose()


def _document(next_event: Callable[[], Any]) -> Any:
    """The only document; TypeError or ValueError for what the loader has its own rules for."""
    next_event()  # the stream begins
    value = None
    if type(next_event()) is DocumentStartEvent:
        value = _value(next_event(), next_event)
        next_event()  # the document ends
        if type(next_event()) is not StreamEndEvent:
            raise ValueError
    return value


def _value(event: Any, next_event: Callable[[], Any]) -> Any:
    kind = type(event)
    if kind is ScalarEvent:
        return _scalar(event.value) if event.implicit[0] else event.value
    if kind is SequenceStartEvent:
        items = []
        while type(event := next_event()) is not SequenceEndEvent:
            items.append(_value(event, next_event))
        return items
    if kind is not MappingStartEvent:
        raise ValueError
    mapping = {}
    while type(event := next_event()) is not MappingEndEvent:
        key = _value(event, next_event)
        mapping[key] = _value(next_event(), next_event)
    return mapping


@functools.lru_cache(maxsize=4096)  # keys are the same in all documents
def _scalar(text: str) -> Any:
    """What a scalar without quotes means."""
    for tag, pattern in _RESOLVERS.get(text[:1], ()):
        if pattern.match(text):
            if tag not in _PLAIN:
                raise ValueError  # it merges, say
            return _CONSTRUCTOR.yaml_constructors[tag](_CONSTRUCTOR, yaml.ScalarNode(tag, text))
    return text


def is_suspicious(data: bytes) -> bool:
    """Whether there may be something in it that has to be refused."""
    deep = data.count(b"[") + data.count(b"{") > MAX_DEPTH // 4
    return deep or _LONG_RUN in data.translate(_IN_RUNS) or any(sign in data for sign in b"&*!")


def _inspect(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, AliasEvent):
            _refuse(event, "aliases are not allowed")
        if getattr(event, "anchor", None) is not None:
            _refuse(event, "anchors are not allowed")
        if (tag := getattr(event, "tag", None)) is not None:
            _refuse(event, f"tags are not allowed, found {tag}")
        if isinstance(event, CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                _refuse(event, f"is nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, CollectionEndEvent):
            depth -= 1


def _refuse(event: Any, problem: str) -> None:
    raise CatalogError(f"line {event.start_mark.line + 1}: {problem}")


def one_line(error: yaml.YAMLError) -> str:
    """What the parser says, with the line but without the text around it."""
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}: " if mark else ""
    return where + " ".join((getattr(error, "problem", None) or str(error)).split())
