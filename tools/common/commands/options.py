"""The options that tools share: what selects models, and where values come from."""

from __future__ import annotations

import argparse
import functools
import itertools
import os
import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..catalog import BUILTIN, SOURCE_VARIABLE, URL_SOURCE, Choice, Source, active_sources, choose
from ..errors import CatalogError, UsageError
from ..reporting.stream import write_text
from ..selection import Filters, parse_list, split_patterns
from ..version import VERSION

ENVIRONMENT_PREFIX = "MODELZOO_"
MAX_LIST = 16 << 20  # bytes; more than that is no list of patterns


class _Formatter(argparse.HelpFormatter):
    """Keeps the lines of a text that has several."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, and whose values can come from the environment."""

    def __init__(self, prog: str, description: str, epilog: str | None = None) -> None:
        # Every argument is formatted once, to try it; to measure the terminal for that takes its time.
        formatter: Any = functools.partial(_Formatter, width=80)
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=formatter,
        )
        self.add_argument("--version", action="version", version=f"modelzoo {VERSION}")
        self._values: list[tuple[argparse.Action, Any]] = []
        self._one_of: tuple[str, ...] = ()

    def error(self, message: str) -> NoReturn:
        """A usage error: one line that names the way to help."""
        raise UsageError(f"{message} (see {self.prog} --help)")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Help and version: a closed standard output is met as it is by everything else."""
        write_text(message)

    def format_help(self) -> str:
        """The help, as wide as the terminal."""
        self.formatter_class = _Formatter
        return super().format_help()

    def add_value(
        self,
        *flags: str,
        help: str,  # noqa: A002
        to: argparse._ActionsContainer | None = None,
        **keywords: Any,
    ) -> None:
        """An option with a value; `MODELZOO_<OPTION>` in the environment is its default."""
        action = (to or self).add_argument(*flags, help=help, **keywords)
        action.help = f"{help} [env: {_variable(action)}]"
        self._values.append((action, action.default))
        action.default = argparse.SUPPRESS  # so that it shows what was given

    def require_one_of(self, *options: str) -> None:
        """One of these has to be given; an argument that nobody knows is a worse mistake than none."""
        self._one_of = options

    def parse(self, arguments: list[str], environ: Mapping[str, str] = os.environ) -> Any:
        """The options, those that were not given taken from the environment; raises UsageError."""
        options = self.parse_args(arguments)
        if self._one_of and not any(getattr(options, option) for option in self._one_of):
            names = " ".join(f"--{option}" for option in self._one_of)
            self.error(f"one of the arguments {names} is required")
        for action, default in self._values:
            if not hasattr(options, action.dest):
                text = environ.get(_variable(action))
                setattr(options, action.dest, self._convert(action, text) if text else default)
        return options

    def _convert(self, action: argparse.Action, text: str) -> Any:
        try:
            value = action.type(text) if callable(action.type) else text
        except (ValueError, argparse.ArgumentTypeError) as error:
            self.error(f"{_variable(action)}: {error}")
        if action.choices is not None and value not in action.choices:
            known = ", ".join(map(str, action.choices))
            self.error(f"{_variable(action)}: invalid choice: {text!r} (choose from {known})")
        return value


def _variable(action: argparse.Action) -> str:
    return ENVIRONMENT_PREFIX + action.dest.upper()


def number(kind: type, minimum: float, maximum: float, what: str) -> Callable[[str], Any]:
    """A type for options: a number in this range; `what` says so in words."""

    def convert(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError(f"expected {what}, got {text[:40]!r}")
        return value

    return convert


def file_path(text: str) -> Path:
    """A type for options: a path. An empty one, as an unset variable leaves it, would mean `.`."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got nothing")
    return Path(text)


def pattern_list(text: str) -> tuple[str, ...]:
    """A type for options: patterns in a comma-separated list."""
    if not (patterns := split_patterns(text)):
        raise argparse.ArgumentTypeError("expected at least one pattern")
    return patterns


def byte_rate(text: str) -> float:
    """A type for options: bytes per second, `500K`, `1.5M`; powers of 1024."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)([KMG]?)", text, re.ASCII | re.IGNORECASE)
    rate = float(match[1]) * 1024 ** " KMG".index(match[2].upper() or " ") if match else 0.0
    if rate < 1:
        raise argparse.ArgumentTypeError(f"expected a rate like 500K or 1.5M, got {text!r}")
    return rate


def add_selection(parser: Parser) -> None:
    """The options by which every tool selects models."""
    one = parser.add_argument_group("selection", "exactly one of these").add_mutually_exclusive_group()
    one.add_argument("--all", action="store_true", help="all models")
    one.add_argument(
        "--name",
        type=pattern_list,
        metavar="PAT[,PAT...]",
        help="models that match one of these patterns",
    )
    one.add_argument(
        "--list", type=file_path, metavar="FILE", help="models that match a pattern in FILE, one a line"
    )
    one.add_argument("--print_all", action="store_true", help="print the names of all models")
    parser.require_one_of("all", "name", "list", "print_all", "url")
    parser.add_argument(
        "--url",
        action="append",
        default=[],
        metavar="NAME/FILE=URL",
        help="one more file of a model that is no more than URLs, if known with #sha256=DIGEST; "
        "can be repeated; without other selection these models are meant",
    )
    narrow = parser.add_argument_group("conditions", "which narrow the selection down")
    for option, what in (
        ("--exclude", "not the models that match one of these patterns"),
        ("--task", "only models for these types of task"),
        ("--framework", "only models in the formats of these frameworks"),
        ("--license", "only models whose license URL matches one of these patterns"),
        ("--tag", "only models with one of these tags"),
    ):
        narrow.add_argument(
            option,
            action="extend",
            type=pattern_list,
            default=[],
            metavar="PAT[,PAT...]",
            help=what,
        )
    parser.add_argument(  # the catalog itself reads the variable
        "--source",
        action="append",
        metavar="SOURCE",
        help="take the models from this folder or list of URLs instead of the built-in sources; "
        f"also {' and '.join(BUILTIN)}; can be repeated [env: {SOURCE_VARIABLE}]",
    )


def chosen(options: Any, warn: Callable[[str], None]) -> Choice:
    """The models that the options mean; raises SelectionError, CatalogError or UsageError."""
    filters = Filters(
        patterns=_patterns(options),
        exclude=tuple(options.exclude),
        tasks=tuple(options.task),
        frameworks=tuple(options.framework),
        licenses=tuple(options.license),
        tags=tuple(options.tag),
    )
    sources = _sources(options)
    return choose(sources, filters, lambda message: warn(f"warning: {message}"))


def _sources(options: Any) -> tuple[Source, ...]:
    """The sources that are named; where only URLs are given, those are all that is asked for."""
    if not options.url:
        return active_sources(options.source or ())
    filtered = options.all or options.name or options.list or options.print_all
    named = active_sources(options.source or ()) if filtered else ()
    return (*named, _of_urls(options.url, {source.name for source in named}))


def _of_urls(urls: Sequence[str], taken: Container[str]) -> Source:
    """The source of the models that are given as URLs, under a name that no other has."""
    from ..catalog.urls import models_of, parse_entry
    from ..credentials import mask

    entries = []
    for text in urls:
        try:
            entries.append(parse_entry(text))
        except CatalogError as error:
            target, equals, url = text.partition("=")
            raise UsageError(f"--url {target}{equals}{mask(url)}: {error}") from None
    names = (f"{URL_SOURCE}-{number}" if number > 1 else URL_SOURCE for number in itertools.count(1))
    name = next(name for name in names if name not in taken)
    try:
        return Source(name, Path(), models=tuple(models_of(entries, name)))
    except CatalogError as error:
        raise UsageError(f"--url: {error}") from None


def print_names(names: Iterable[str]) -> None:
    """What `--print_all` prints."""
    write_text("".join(f"{name}\n" for name in names))


def _patterns(options: Any) -> tuple[str, ...] | None:
    if options.list is None:
        patterns: tuple[str, ...] | None = options.name
        return patterns
    try:
        return parse_list(_read_list(options.list))
    except (OSError, UnicodeDecodeError) as error:
        problem = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise UsageError(f"--list: {options.list}: {problem}") from None
    except UsageError as error:
        raise UsageError(f"--list: {options.list}: {error}") from None


def _read_list(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(MAX_LIST + 1)
    if len(data) > MAX_LIST:
        raise UsageError(f"is larger than {MAX_LIST} bytes")
    return data.decode("utf-8-sig")
