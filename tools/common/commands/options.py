"""The options that tools share: what selects models, and where values come from."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from ..catalog import BUILTIN, active_sources, load_catalog
from ..errors import UsageError
from ..model import Model
from ..reporting.stream import write_text
from ..selection import Filters, parse_list, select, split_patterns
from ..version import VERSION

ENVIRONMENT_PREFIX = "MODELZOO_"
MAX_LIST = 16 << 20  # bytes; more than that is no list of patterns


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, and whose values can come from the environment."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)
        self.add_argument("--version", action="version", version=f"modelzoo {VERSION}")
        self._values: list[tuple[argparse.Action, Any]] = []

    def error(self, message: str) -> NoReturn:
        """A usage error: one line that names the way to help."""
        raise UsageError(f"{message} (see {self.prog} --help)")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Help and version: a closed standard output is met as it is by everything else."""
        write_text(message)

    def add_value(self, *flags: str, help: str, **keywords: Any) -> None:  # noqa: A002
        """An option with a value; `MODELZOO_<OPTION>` in the environment is its default."""
        action = self.add_argument(*flags, help=help, **keywords)
        action.help = f"{help} [env: {_variable(action)}]"
        self._values.append((action, action.default))
        action.default = argparse.SUPPRESS  # so that it shows what was given

    def parse(self, arguments: list[str], environ: Mapping[str, str] = os.environ) -> Any:
        """The options, those that were not given taken from the environment; raises UsageError."""
        options = self.parse_args(arguments)
        for action, default in self._values:
            if not hasattr(options, action.dest):
                text = environ.get(_variable(action))
                setattr(options, action.dest, self._convert(action, text) if text else default)
        return options

    def _convert(self, action: argparse.Action, text: str) -> Any:
        if isinstance(action, argparse._AppendAction):
            return [line.strip() for line in text.splitlines() if line.strip()]
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


def add_selection(parser: Parser) -> None:
    """The options by which every tool selects models."""
    one = parser.add_argument_group("selection", "exactly one of these").add_mutually_exclusive_group(
        required=True
    )
    one.add_argument("--all", action="store_true", help="all models")
    one.add_argument("--name", metavar="PAT[,PAT...]", help="models that match one of these patterns")
    one.add_argument(
        "--list", type=Path, metavar="FILE", help="models that match a pattern in FILE, one a line"
    )
    one.add_argument("--print_all", action="store_true", help="print the names of all models")
    narrow = parser.add_argument_group("conditions", "which narrow the selection down")
    for option, what in (
        ("--exclude", "not the models that match one of these patterns"),
        ("--task", "only models for these types of task"),
        ("--framework", "only models in the formats of these frameworks"),
        ("--license", "only models whose license URL matches one of these patterns"),
        ("--tag", "only models with one of these tags"),
    ):
        narrow.add_argument(option, action="append", default=[], metavar="PAT[,PAT...]", help=what)
    parser.add_value(
        "--source",
        action="append",
        metavar="SOURCE",
        help="take the models from this folder instead of the built-in sources; "
        f"also {' and '.join(BUILTIN)}; can be repeated",
    )


def selected(options: Any, warn: Callable[[str], None]) -> list[Model]:
    """The models that the options mean; raises SelectionError, CatalogError or UsageError."""
    patterns = _patterns(options)
    catalog = load_catalog(active_sources(options.source or ()), warn)
    filters = Filters(
        patterns=patterns,
        exclude=_split(options.exclude),
        tasks=_split(options.task),
        frameworks=_split(options.framework),
        licenses=_split(options.license),
        tags=_split(options.tag),
    )
    return select(catalog, filters)


def _patterns(options: Any) -> tuple[str, ...] | None:
    if options.name is not None:
        if not (patterns := split_patterns(options.name)):
            raise UsageError("--name: expected at least one pattern")
        return patterns
    if options.list is None:
        return None
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


def _split(values: list[str]) -> tuple[str, ...]:
    return tuple(pattern for value in values for pattern in split_patterns(value))
