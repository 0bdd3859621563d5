"""The filters that all tools share: which models of a catalog are meant. Pure functions."""

from __future__ import annotations

import difflib
import fnmatch
import re
import shlex
from collections.abc import Callable, Iterable, Sequence

import msgspec

from .errors import SelectionError, UsageError
from .model import KNOWN_PRECISIONS, Model

_WILDCARD = re.compile(r"[*?\[]")


class Filters(msgspec.Struct, frozen=True):
    """What to select: patterns (None: every model), and conditions that narrow the choice down."""

    patterns: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = ()
    licenses: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


def split_patterns(text: str) -> tuple[str, ...]:
    """The patterns in a comma-separated list."""
    return tuple(part for part in (piece.strip() for piece in text.split(",")) if part)


def parse_list(text: str) -> tuple[str, ...]:
    """The patterns in a list file: the first shell word of each line, `#` starts a comment.

    Raises UsageError with the number of the line that a shell could not split.
    """
    patterns = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise UsageError(f"line {number}: {error}") from None
        patterns += words[:1]
    return tuple(patterns)


def parse_precisions(text: str) -> frozenset[str]:
    """The precisions in a comma-separated list; an unknown one raises SelectionError."""
    wanted = split_patterns(text)
    for precision in wanted:
        if precision not in KNOWN_PRECISIONS:
            raise SelectionError(
                f'Unknown precision "{precision}"; known are {", ".join(KNOWN_PRECISIONS)}.'
            )
    if not wanted:
        raise SelectionError(f"No precision given; known are {', '.join(KNOWN_PRECISIONS)}.")
    return frozenset(wanted)


def select(models: Sequence[Model], filters: Filters) -> list[Model]:
    """The models meant, in the order of the patterns, then of the catalog, each one once.

    Raises SelectionError for a pattern that matches nothing, a bare name that several sources
    declare, and conditions that leave nothing.
    """
    chosen = list(models)
    if filters.patterns is not None:
        chosen = _unique(m for pattern in filters.patterns for m in matching(models, pattern))
    for option, value, wanted in _conditions(filters):
        for pattern in wanted:
            _require(option, pattern, [value(m) for m in models])
        chosen = [m for m in chosen if not wanted or _any_match(value(m), wanted)]
    chosen = [m for m in chosen if not any(matches(m, pattern) for pattern in filters.exclude)]
    if not chosen and filters.patterns != ():
        raise SelectionError("No models are left: no model meets all of the given filters.")
    return chosen


def matching(models: Sequence[Model], pattern: str) -> list[Model]:
    """The models that one pattern means; raises SelectionError when there is none, or a doubt."""
    found = [m for m in models if matches(m, pattern)]
    if not found:
        raise SelectionError(f'No matching models: "{pattern}".', near_names(models, pattern))
    if not _WILDCARD.search(pattern):
        _refuse_doubt(pattern, found)
    return found


def matches(model: Model, pattern: str) -> bool:
    """Whether a pattern means this model.

    A model answers to its name and its composite's, bare or with the source, and with its version.
    """
    return any(name == pattern or fnmatch.fnmatchcase(name, pattern) for name in _names(model))


def _names(model: Model) -> Iterable[str]:
    for name in (model.name, model.composite):
        if name is not None:
            yield name
            yield f"{model.source}:{name}"
    if model.version is not None:
        yield f"{model.name}@{model.version}"
        yield f"{model.qualified}@{model.version}"


def _refuse_doubt(pattern: str, found: Sequence[Model]) -> None:
    sources = {m.source for m in found}
    if len(sources) > 1:
        names = [f"{source}:{pattern}" for source in sorted(sources)]
        raise SelectionError(f'"{pattern}" is declared by several sources; choose one.', names)


def near_names(models: Iterable[Model], pattern: str) -> list[str]:
    """Up to three names that look like the pattern."""
    names = list(dict.fromkeys(n for m in models for n in (m.id, m.composite) if n))
    plain = _WILDCARD.sub("", pattern).lower()
    close = difflib.get_close_matches(plain, names, n=3, cutoff=0.6)
    return close or [n for n in names if plain and plain in n.lower()][:3]


_Values = Callable[[Model], Sequence[str]]


def _conditions(filters: Filters) -> Iterable[tuple[str, _Values, tuple[str, ...]]]:
    yield "--task", lambda m: (m.task_type,), filters.tasks
    yield "--framework", lambda m: (m.framework,), filters.frameworks
    yield "--license", lambda m: (m.license_url,), filters.licenses
    yield "--tag", lambda m: m.tags, filters.tags


def _any_match(values: Sequence[str], patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(value, pattern) for value in values for pattern in patterns)


def _require(option: str, pattern: str, values: Iterable[Sequence[str]]) -> None:
    known = sorted({value for several in values for value in several})
    if not _any_match(known, (pattern,)):
        near = difflib.get_close_matches(pattern, known, n=3) or known[:8]
        raise SelectionError(f'No matching models: {option} "{pattern}".', near)


def _unique(models: Iterable[Model]) -> list[Model]:
    return list({m.id: m for m in models}.values())
