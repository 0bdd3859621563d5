"""The small languages inside Model Optimizer's arguments: names with ports, shapes, lists, values.

Written from the help texts of Model Optimizer 2021.4 and 2024.6.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_NAMED_LIST = re.compile(r"\s*([^\[(,]*?)\s*[\[(]([^\])]*)[\])]\s*(?:,|$)")
_SHAPE = re.compile(r"\s*[\[(]([^\])]*)[\])]\s*(?:,|$)")
_INPUT = re.compile(r"(?P<name>[^\[{}>]+?)(?:\[(?P<shape>[^\]]*)\])?(?:->(?P<value>.+))?")
_LAYOUT = re.compile(r"(?:(?P<name>[^(\[]+)\((?P<named>[^)]+)\))|(?P<bare>[^(]+)")

Dimension = int | str
"""A number; -1 where anything goes; or a range as OpenVINO writes it (`1..8`)."""
Shape = tuple[Dimension, ...]


class Malformed(ValueError):
    """An argument whose value says nothing that could be done."""


class Port(NamedTuple):
    """A place in a graph: a node's name, and maybe one of its ports (`0:name` in, `name:0` out)."""

    node: str
    input_port: int | None = None
    output_port: int | None = None

    def __str__(self) -> str:
        if self.input_port is not None:
            return f"{self.input_port}:{self.node}"
        return self.node if self.output_port is None else f"{self.node}:{self.output_port}"


class Input(NamedTuple):
    """One entry of `--input`."""

    port: Port
    shape: Shape | None = None
    value: str | None = None


class Layout(NamedTuple):
    """How the model takes a tensor (`source`), and how the converted one shall (`target`)."""

    source: str | None
    target: str | None


def parse_port(text: str) -> Port:
    """A name as `--input` and `--output` take it; quotes around it are not part of it."""
    name = text.strip().strip("\"'")
    if not name:
        raise Malformed(f"a name is missing in {text!r}")
    head, _, rest = name.partition(":")
    if rest and head.isdecimal():
        return Port(rest, input_port=int(head))
    head, _, rest = name.rpartition(":")
    if head and rest.isdecimal():
        return Port(head, output_port=int(rest))
    return Port(name)


def parse_outputs(text: str) -> tuple[Port, ...]:
    """The names of `--output`."""
    return tuple(map(parse_port, _parts(text)))


def _parts(text: str) -> list[str]:
    return text.split(",") if text.strip() else []


def parse_input(text: str) -> tuple[Input, ...]:
    """`name[1 3 224 224]->value, …`: only the name is required."""
    return tuple(_parse_one_input(part.strip()) for part in _parts(text))


def _parse_one_input(text: str) -> Input:
    match = _INPUT.fullmatch(text)
    if match is None:
        raise Malformed(f"--input: {text!r} is not name, name[shape] or name->value")
    shape = None if match["shape"] is None else _dimensions(match["shape"])
    return Input(parse_port(match["name"]), shape, match["value"])


def parse_shapes(text: str) -> tuple[Shape, ...]:
    """`[1,3,224,224],[1,2]`, in either kind of brackets."""
    shapes = []
    position = 0
    while position < len(text):
        match = _SHAPE.match(text, position)
        if match is None:
            raise Malformed(f"--input_shape: {text!r} is not a list like [1,3,224,224],[1,2]")
        shapes.append(_dimensions(match[1]))
        position = match.end()
    return tuple(shapes)


def _dimensions(text: str) -> Shape:
    return tuple(_dimension(word) for word in re.split(r"[\s,]+", text.strip()) if word)


def _dimension(text: str) -> Dimension:
    if re.fullmatch(r"-1|\?", text):
        return -1
    if text.isdecimal():
        return int(text)
    if re.fullmatch(r"\d*\.\.\d*", text) and text != "..":
        return text
    raise Malformed(f"{text!r} is not a dimension of a shape")


def parse_named_lists(option: str, text: str) -> tuple[tuple[str, tuple[float, ...]], ...]:
    """`name[1,2,3],other[4]` or, without names, `[1,2,3],[4]`, for means and scales."""
    found = []
    position = 0
    while position < len(text):
        match = _NAMED_LIST.match(text, position)
        if match is None:
            raise Malformed(f"{option}: {text!r} is not a list like name[1,2,3] or [1,2,3]")
        found.append((match[1].strip("\"'"), _numbers(option, match[2])))
        position = match.end()
    if len({bool(name) for name, _ in found}) > 1:
        raise Malformed(f"{option}: {text!r} must have names everywhere or nowhere")
    return tuple(found)


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        raise Malformed(f"{option}: {text!r} is not a list of numbers") from None


def parse_frozen(text: str) -> tuple[tuple[Port, str], ...]:
    """`name->value,other->[1 2]`; a value is typed only when it is known what it replaces."""
    found = []
    for part in _parts(text):
        name, arrow, value = part.partition("->")
        if not arrow or not value.strip():
            raise Malformed(f"--freeze_placeholder_with_value: {part!r} is not name->value")
        found.append((parse_port(name), value.strip()))
    return tuple(found)


def parse_value(text: str) -> list[str]:
    """The words of a value: one, or those in brackets."""
    return re.split(r"[\s,]+", text.strip("[]() ").strip())


def parse_layouts(text: str) -> tuple[tuple[str, Layout], ...]:
    """`name(NHWC->NCHW),other(NC)`, or one layout without a name; `->` and what follows is optional."""
    found = []
    for part in re.split(r",(?![^(\[]*[)\]])", text) if text.strip() else ():
        match = _LAYOUT.fullmatch(part.strip())
        if match is None:
            raise Malformed(f"--layout: {part!r} is not a layout like name(NCHW) or NHWC->NCHW")
        source, _, target = (match["named"] or match["bare"]).partition("->")
        layout = Layout(source.strip().upper() or None, target.strip().upper() or None)
        found.append(((match["name"] or "").strip(), layout))
    return tuple(found)
