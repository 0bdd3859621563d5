"""The options that tools share: what selects models, and where values come from."""

from __future__ import annotations

import argparse
import functools
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from ..catalog import NAMED, SOURCE_VARIABLE, Choice, choose
from ..errors import InvalidValueError, UsageError
from ..gpu import FAMILIES
from ..parameters import Condition, parse_condition
from ..reporting.stream import write_text
from ..selection import Filters, parse_list, split_patterns
from ..variants import BACKEND_VARIABLES, DEFAULT_BACKEND, GPU_VARIABLES, wanted_variants
from ..version import VERSION
from ..web.credentials import mask
from .urls import add_url, with_urls

ENVIRONMENT_PREFIX = "MODELZOO_"
MAX_LIST = 16 << 20  # bytes; more than that is no list of patterns


class _Formatter(argparse.HelpFormatter):
    """Keeps the lines of a text that has several."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, and whose values can come from the environment."""

    def __init__(
        self, prog: str, description: str, epilog: str | None = None, own_version: bool = False
    ) -> None:
        # Every argument is formatted once, to try it; to measure the terminal for that takes its time.
        formatter: Any = functools.partial(_Formatter, width=80)
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=formatter,
        )
        if not own_version:
            self.add_argument("--version", action="version", version=f"modelzoo {VERSION}")
        self._values: list[tuple[argparse.Action, Any]] = []
        self._one_of: tuple[str, ...] = ()
        self.from_environment: set[str] = set()
        """The options whose values came from there, once they are parsed."""

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
                if text:
                    self.from_environment.add(action.dest)
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


def folder_path(text: str) -> Path:
    """A type for options: a folder of this machine, or one that it shares with others."""
    if "://" in text:
        raise argparse.ArgumentTypeError(f"expected a folder, got {mask(text)!r}")
    return file_path(text)


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


def condition(text: str) -> Condition:
    """A type for options: what a parameter of a model has to be."""
    try:
        return parse_condition(text)
    except InvalidValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


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
    add_url(parser)
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
    add_param(narrow)
    add_sources(parser)
    add_backend(parser)


def add_param(to: argparse._ActionsContainer) -> None:
    """The option that selects by parameters."""
    to.add_argument(
        "--param",
        action="append",
        type=condition,
        default=[],
        metavar="NAME=VALUE",
        help="only models with this parameter, also NAME>=VALUE and other comparisons; can be repeated",
    )


def add_format(parser: Parser) -> None:
    """The option of tools that print a table for people, or the same for programs."""
    parser.add_value(
        "--format",
        choices=("text", "json"),
        default="text",
        help="a table for people, or a JSON document for programs",
    )


def add_sources(parser: Parser) -> None:
    """The option that says where models come from. The catalog itself reads the variable."""
    parser.add_argument(
        "--source",
        action="append",
        metavar="SOURCE",
        help="take the models from this folder, list of URLs or registered source instead of all "
        "known sources; "
        f"also {', '.join(NAMED)}; can be repeated [env: {SOURCE_VARIABLE}]",
    )


def add_backend(parser: Parser) -> None:
    """The options that say what models with files for several backends are for."""
    parser.add_argument(
        "--backend",
        metavar="NAME",
        help="of models for several backends (Topaz Video AI) take the files for this one "
        f"(default: {DEFAULT_BACKEND}) [env: {', '.join(BACKEND_VARIABLES)}]",
    )
    parser.add_argument(
        "--gpu",
        metavar="FAMILY",
        help=f"the GPU that TensorRT files are for: {', '.join(FAMILIES)} (default: this "
        f"machine's) [env: {', '.join(GPU_VARIABLES)}]",
    )


def chosen(options: Any, warn: Callable[[str], None]) -> Choice:
    """The models that the options mean; raises SelectionError, CatalogError or UsageError."""
    filters = Filters(
        patterns=name_patterns(options),
        exclude=tuple(options.exclude),
        tasks=tuple(options.task),
        frameworks=tuple(options.framework),
        licenses=tuple(options.license),
        tags=tuple(options.tag),
        parameters=tuple(options.param),
    )
    variants = wanted_variants(options.backend, options.gpu)
    sources = with_urls(options)
    if getattr(options, "offline", False):
        sources = tuple(msgspec.structs.replace(source, offline=True) for source in sources)
    return choose(sources, filters, lambda message: warn(f"warning: {message}"), variants)


def print_names(names: Iterable[str]) -> None:
    """What `--print_all` prints."""
    write_text("".join(f"{name}\n" for name in names))


def name_patterns(options: Any) -> tuple[str, ...] | None:
    """The patterns of `--name` or `--list`, None when neither was given; raises UsageError."""
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
