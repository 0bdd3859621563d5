"""Parameters of models as people write them: `rate=16000` when publishing, `rate>=16000` to choose."""

from __future__ import annotations

import ast
import fnmatch
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from .errors import InvalidValueError

MAX_TEXT = 10_000
"""Characters of one value."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?inf|nan", re.I)
_WORDS = {"True": True, "true": True, "False": False, "false": False, "None": None, "null": None}
_PARTS = re.compile(r"""\s*("[^"]*"|'[^']*'|[^,'"\[\]]*?)\s*(,|$)""")
_CONDITION = re.compile(r"(?P<key>[^=!<>]+)(?P<sign>>=|<=|!=|==|=|>|<)(?P<value>.*)", re.DOTALL)


def parse_value(text: str) -> Any:
    """The value of a text: an int, float, bool, None or list where it looks like one, else the text.

    Quotes keep text as it is (`"16000"`), a list is `[emodb, 'msp, all', 3]`. Raises InvalidValueError.
    """
    if len(text) > MAX_TEXT:
        raise InvalidValueError(f"a value of more than {MAX_TEXT} characters")
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if text[:1] == "[" and text[-1:] == "]":
        return _parse_list(text)
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return _literal(text)
    return text


def _parse_list(text: str) -> list[Any]:
    try:
        value = ast.literal_eval(text)
    except (MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
        return _words_of(text)
    return value if isinstance(value, list) else _words_of(text)


def _words_of(text: str) -> list[Any]:
    """The values of a list whose texts have no quotes."""
    values, place, rest = [], 0, text[1:-1]
    while place < len(rest):
        match = _PARTS.match(rest, place)
        if match is None or match.end() == place or not match[1]:
            raise InvalidValueError(f"expected a list like [a, b, 3], got {text[:80]!r}")
        values.append(parse_value(match[1]))
        place = match.end()
    return values


def _literal(text: str) -> Any:
    """What is between quotes, by Python's rules where they apply."""
    try:
        value = ast.literal_eval(text)
    except (MemoryError, RecursionError, SyntaxError, ValueError):
        return text[1:-1]
    return value if isinstance(value, str) else text[1:-1]


def parse_parameter(text: str) -> tuple[str, Any]:
    """The name and the value in `name=value`; raises InvalidValueError."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InvalidValueError(f"expected NAME=VALUE, got {text[:80]!r}")
    return name.strip(), parse_value(value.strip())


_SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip


class Condition(msgspec.Struct, frozen=True):
    """What a parameter of a model has to be: a sign (`=`, `!=`, `<`, `>`, `<=`, `>=`) and a value."""

    name: str
    sign: str
    text: str
    value: Any

    def __str__(self) -> str:
        return f"{self.name}{self.sign}{self.text}"

    def holds(self, parameters: Mapping[str, Any]) -> bool:
        """Whether it does; a parameter that a model does not have counts as None."""
        found = parameters.get(self.name)
        if self.sign in _SIGNS:
            return _comparable(found, self.value) and _SIGNS[self.sign](found, self.value)
        return self._equals(found) == (self.sign == "=")

    def _equals(self, found: Any) -> bool:
        if isinstance(found, str):  # `*` and `?` stand for any text in it, as in names
            wanted = self.value if isinstance(self.value, str) else self.text
            return fnmatch.fnmatchcase(found, wanted)
        if isinstance(found, tuple):
            found = list(found)
        same_kind = isinstance(found, bool) == isinstance(self.value, bool)
        return same_kind and bool(found == self.value)


def _comparable(one: Any, other: Any) -> bool:
    """Numbers compare with numbers, and text with text."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (one, other))
    return numbers or (isinstance(one, str) and isinstance(other, str))


def parse_condition(text: str) -> Condition:
    """The condition in `name=value`, `name>=value` and so on; raises InvalidValueError."""
    match = _CONDITION.fullmatch(text)
    if match is None or not match["key"].strip():
        raise InvalidValueError(f"expected NAME=VALUE or NAME>=VALUE, got {text[:80]!r}")
    value = match["value"].strip()
    sign = "=" if match["sign"] == "==" else match["sign"]
    condition = Condition(match["key"].strip(), sign, value, parse_value(value))
    if sign in _SIGNS and not _comparable(condition.value, condition.value):
        raise InvalidValueError(f"only numbers and text have an order: {text[:80]!r}")
    return condition


def all_hold(conditions: Iterable[Condition], parameters: Mapping[str, Any]) -> bool:
    """Whether a model with these parameters meets all of the conditions."""
    return all(condition.holds(parameters) for condition in conditions)
