"""Reading YAML from outside: size, depth, aliases and tags are bounded before anything is built."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from .errors import CatalogError

MAX_BYTES = 1 << 20  # real ones have some kilobytes, and a byte can become a kilobyte of values
MAX_DEPTH = 64

_Base: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# What looks like a date stays text: no format here has dates, and JSON could not print them.
_RESOLVERS = {
    first: [(tag, pattern) for tag, pattern in known if not tag.endswith(":timestamp")]
    for first, known in _Base.yaml_implicit_resolvers.items()
}
_Loader: type[Any] = type("_Loader", (_Base,), {"yaml_implicit_resolvers": _RESOLVERS})

# Building a value recurses in C, where depth ends the process: it has to be known before. Block
# collections nest by one column of dashes, question marks or indentation at least, all others by
# brackets, by two levels each: a document without a long run of those and with few brackets is
# shallow. The run is looked for everywhere, for YAML knows more line ends than `^` does.
_SUSPICIOUS = re.compile(rf"[&*!]|[ \-?:]{{{MAX_DEPTH // 2 - 2}}}")


def read_yaml(path: Path, name: str, model: str = "") -> Any:
    """The document in a file; CatalogError (with the line) for anything but small, plain YAML.

    `name` and `model` are what the error calls the file, and the model it is about.
    """
    try:
        if path.exists() and not path.is_file():  # opening a pipe or a device could block for ever
            raise CatalogError("is not a regular file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        return parse_yaml(data)
    except OSError as error:
        raise CatalogError(f"cannot be read: {error.strerror}", file=name, model=model) from None
    except CatalogError as error:
        raise CatalogError(error.problem, file=name, model=model) from None


def parse_yaml(data: bytes) -> Any:
    """The document in these bytes; see read_yaml."""
    if len(data) > MAX_BYTES:
        raise CatalogError(f"is larger than {MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
        if _SUSPICIOUS.search(text) or text.count("[") + text.count("{") > MAX_DEPTH // 4:
            _inspect(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a safe loader
    except yaml.YAMLError as error:
        raise CatalogError(f"is not valid YAML: {_one_line(error)}") from None
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise CatalogError(f"is not valid YAML: {error}") from None


def _inspect(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            _refuse(event, "aliases are not allowed")
        if getattr(event, "anchor", None) is not None:
            _refuse(event, "anchors are not allowed")
        if (tag := getattr(event, "tag", None)) is not None:
            _refuse(event, f"tags are not allowed, found {tag}")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                _refuse(event, f"is nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _refuse(event: Any, problem: str) -> None:
    raise CatalogError(f"line {event.start_mark.line + 1}: {problem}")


def _one_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}: " if mark else ""
    return where + " ".join((getattr(error, "problem", None) or str(error)).split())
