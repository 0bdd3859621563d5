"""The filters that all tools share: which models of a catalog are meant. Pure functions."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from .errors import SelectionError, UsageError
from .model import KNOWN_PRECISIONS
from .parameters import Condition
from .versions import base_name, fiftyone_name, release_key, version_key

_WILDCARD = re.compile(r"[*?\[]")


class _Selectable(Protocol):
    """What the filters look at: a Model, or the little that a catalog's index holds of one."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def composite(self) -> str | None: ...
    @property
    def version(self) -> str | None: ...
    @property
    def framework(self) -> str: ...
    @property
    def task_type(self) -> str: ...
    @property
    def license_url(self) -> str: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def parameters(self) -> Mapping[str, Any]: ...
    @property
    def aliases(self) -> tuple[str, ...]: ...
    @property
    def family(self) -> str: ...
    @property
    def titles(self) -> tuple[str, ...]: ...


M = TypeVar("M", bound=_Selectable)


class Filters(msgspec.Struct, frozen=True):
    """What to select: patterns (None: every model), and conditions that narrow the choice down."""

    patterns: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = ()
    licenses: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    parameters: tuple[Condition, ...] = ()

    @property
    def by_name_alone(self) -> bool:
        """Whether nothing but names decides, and only those of the models that are meant."""
        # A wildcard can mean a version too, and that of any model.
        plain = self.patterns is not None and not any(map(re.compile(r"[*?\[@]").search, self.patterns))
        conditions = (self.tasks, self.frameworks, self.licenses, self.tags, self.parameters)
        return plain and not any(conditions)


def split_patterns(text: str) -> tuple[str, ...]:
    """The patterns in a comma-separated list."""
    return tuple(part for part in (piece.strip() for piece in text.split(",")) if part)


def parse_list(text: str) -> tuple[str, ...]:
    """The patterns in a list file: the first shell word of each line, `#` starts a comment.

    Raises UsageError with the number of the line that a shell could not split.
    """
    import shlex

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


def select(models: Sequence[M], filters: Filters) -> list[M]:
    """The models meant, in the order of the patterns, then of the catalog, each one once.

    Raises SelectionError for a pattern that matches nothing, a bare name that several sources
    declare, and conditions that leave nothing.
    """
    chosen = list(models)
    if filters.patterns is not None:
        chosen = _matching(models, filters.patterns)
    for option, value, wanted in _conditions(filters):
        for pattern in wanted:
            _require(option, pattern, [value(m) for m in models])
        chosen = [m for m in chosen if not wanted or _any_match(value(m), wanted)]
    for condition in filters.parameters:
        _require_parameter(condition, models)
        chosen = [m for m in chosen if condition.holds(m.parameters)]
    for pattern in filters.exclude:
        fits = _matcher(pattern)
        chosen = [m for m in chosen if not any(map(fits, _names(m)))]
    if not chosen and filters.patterns != ():
        raise SelectionError("No models are left: no model meets all of the given filters.")
    return chosen


def idle_exclusions(
    models: Sequence[_Selectable], filters: Filters, others: Iterable[str] = ()
) -> Iterator[str]:
    """What to say of each pattern that excludes none of these models: it may be a slip of the pen.

    `others` are names of models that are not there for another reason, and need no excluding.
    """
    for pattern in filters.exclude:
        fits = _matcher(pattern)
        if not any(map(fits, others)) and not any(any(map(fits, _names(m))) for m in models):
            near = near_names(models, pattern)
            hint = f" Did you mean {', '.join(near)}?" if near else ""
            yield f'--exclude "{pattern}" matches no model.{hint}'


def _matching(models: Sequence[M], patterns: Sequence[str]) -> list[M]:
    """The models that the patterns mean, in their order; a pattern without any is an error."""
    plain = {pattern for pattern in patterns if not _WILDCARD.search(pattern)}
    named = _named(models, plain)
    chosen: dict[str, M] = {}
    for pattern in patterns:
        if pattern in plain:
            found = _latest(named[pattern], pattern)
            _refuse_doubt(pattern, found)
        else:
            found = _fitting(models, pattern)
        if not found:
            raise SelectionError(f'No matching models: "{pattern}".', near_names(models, pattern))
        chosen.update((m.id, m) for m in found)
    return list(chosen.values())


def _named(models: Iterable[M], names: Collection[str]) -> dict[str, list[M]]:
    """For each of the names the models that answer to it, found in one pass: lists can be long."""
    found: dict[str, list[M]] = {name: [] for name in names}
    # Models of that source or version answer to these, which takes longer to find out.
    composed = any(":" in name or "@" in name for name in names)
    for m in models:
        versioned = "@" in m.name and base_name(m.name, m.version) in found
        shared = m.titles or m.aliases
        if versioned or m.name in found or m.composite in found or composed or shared:
            for name in {*_names(m)} & found.keys():
                found[name].append(m)
    return found


def _latest(models: Sequence[M], name: str) -> list[M]:
    """Where a name without a version means several versions of one source's model, only the latest."""
    versions: dict[tuple[str, str], list[M]] = {}
    for m in models:
        if m.family:
            exact = name in (*_own_names(m), *_titles_of_version(m))
            versions.setdefault((m.source, m.name if exact else f"@{m.family}"), []).append(m)
            continue
        base = base_name(m.name, m.version)
        is_bare = name in (base, f"{m.source}:{base}")
        versions.setdefault((m.source, base if is_bare else m.name), []).append(m)
    return [several[0] if len(several) == 1 else _newest(several) for several in versions.values()]


def _newest(models: Sequence[M]) -> M:
    if models[0].family:
        return max(models, key=lambda m: release_key(m.version or ""))
    return max(models, key=lambda m: version_key(m.version))


def _fitting(models: Iterable[M], pattern: str) -> list[M]:
    """The models with a name that fits; by what they share with other versions only the latest."""
    fits = _matcher(pattern)

    def own(m: M) -> bool:
        names = (*_own_names(m), *(_titles_of_version(m) if "@" in pattern else ()))
        return any(map(fits, names))

    found = [(m, own(m)) for m in models if any(map(fits, _names(m)))]
    latest = _latest([m for m, is_own in found if not is_own], pattern)
    chosen = {(m.source, m.name) for m in latest}
    return [m for m, is_own in found if is_own or (m.source, m.name) in chosen]


def _matcher(pattern: str) -> Callable[[str], object]:
    """Tells whether a name fits: it is the pattern itself, or matches its wildcards."""
    match = re.compile(fnmatch.translate(pattern)).match
    return lambda name: name == pattern or match(name)


def _names(model: _Selectable) -> Iterable[str]:
    """What a model answers to."""
    yield from _own_names(model)
    yield from _shared_names(model)
    yield from _titles_of_version(model)


def _shared_names(model: _Selectable) -> Iterable[str]:
    """What it and its other versions answer to, where that is no part of its name."""
    for name in model.titles:
        yield name
        yield f"{model.source}:{name}"


def _titles_of_version(model: _Selectable) -> Iterable[str]:
    """Those with its version, which means exactly this one."""
    for name in _shared_names(model):
        yield f"{name}@{model.version}"


def _own_names(model: _Selectable) -> Iterable[str]:
    """Its name and its composite's, its aliases, with its source, with its version."""
    for name in (model.name, model.composite, *model.aliases):
        if name is not None:
            yield name
            yield f"{model.source}:{name}"
    base, version = base_name(model.name, model.version), model.version
    if base != model.name:  # the version is a part of the name
        forms = [base, fiftyone_name(base, version)]
    else:
        forms = [] if version is None else [f"{base}@{version}", fiftyone_name(base, version)]
    for name in forms:
        yield name
        yield f"{model.source}:{name}"


def _refuse_doubt(pattern: str, found: Iterable[_Selectable]) -> None:
    sources = {m.source for m in found}
    if len(sources) > 1:
        names = [f"{source}:{pattern}" for source in sorted(sources)]
        raise SelectionError(f'"{pattern}" is declared by several sources; choose one.', names)


def near_names(models: Iterable[_Selectable], pattern: str) -> list[str]:
    """Up to three names that look like the pattern."""
    names = list(dict.fromkeys(n for m in models for n in (m.id, m.composite) if n))
    plain = _WILDCARD.sub("", pattern).lower()
    return _close(plain, names) or [n for n in names if plain and plain in n.lower()][:3]


def _close(word: str, known: Sequence[str]) -> list[str]:
    import difflib  # only mistakes need it

    return difflib.get_close_matches(word, known, n=3, cutoff=0.6)


_Values = Callable[[_Selectable], Sequence[str]]


def _conditions(filters: Filters) -> Iterable[tuple[str, _Values, tuple[str, ...]]]:
    yield "--task", lambda m: (m.task_type,), filters.tasks
    yield "--framework", lambda m: (m.framework,), filters.frameworks
    yield "--license", lambda m: (m.license_url,), filters.licenses
    yield "--tag", lambda m: m.tags, filters.tags


def _require_parameter(condition: Condition, models: Sequence[_Selectable]) -> None:
    if not any(condition.holds(m.parameters) for m in models):
        names = sorted({name for m in models for name in m.parameters})
        near = _close(condition.name, names) if condition.name not in names else []
        raise SelectionError(f'No matching models: --param "{condition}".', near)


def _any_match(values: Sequence[str], patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(value, pattern) for value in values for pattern in patterns)


def _require(option: str, pattern: str, values: Iterable[Sequence[str]]) -> None:
    known = sorted({value for several in values for value in several})
    if not _any_match(known, (pattern,)):
        near = _close(pattern, known) or known[:8]
        raise SelectionError(f'No matching models: {option} "{pattern}".', near)
