"""The options by which the tool selects among what is installed, and how it prints what it found."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import Any

from ..catalog import BUILTIN, active_sources
from ..errors import UsageError
from ..installation.inventory import Damaged
from ..keeping.functions import Chosen, choose_from
from ..reporting.json import JsonReporter, document
from ..reporting.stream import is_terminal, warn, write_all, write_text
from ..reporting.verifying import WarningReporter, hashing_reporter
from ..run.setup import MAX_JOBS
from ..selection import Filters, idle_exclusions
from .options import Parser, add_param, file_path, name_patterns, number, pattern_list

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def add_installed(parser: Parser) -> None:
    """Which of the installed models: by what receipts know."""
    one = parser.add_argument_group("selection", "at most one of these").add_mutually_exclusive_group()
    one.add_argument("--all", action="store_true", help="everything that is installed")
    one.add_argument(
        "--name",
        type=pattern_list,
        metavar="PAT[,PAT...]",
        help="installed models that match one of these patterns",
    )
    one.add_argument(
        "--list", type=file_path, metavar="FILE", help="those that match a pattern in FILE, one a line"
    )
    narrow = parser.add_argument_group("conditions", "which narrow the selection down")
    narrow.add_argument(
        "--exclude",
        action="extend",
        type=pattern_list,
        default=[],
        metavar="PAT[,PAT...]",
        help="not the models that match one of these patterns",
    )
    add_param(narrow)
    narrow.add_argument(
        "--source",
        action="append",
        metavar="SOURCE",
        help="only models of this source: a folder, a name that `list` shows, "
        f"or {' or '.join(BUILTIN)}; can be repeated",
    )
    add_output_dir(parser)


def add_output_dir(parser: Parser) -> None:
    """Where to look."""
    parser.add_value(
        "-o", "--output_dir", type=file_path, default=Path(), metavar="DIR", help="where the models are"
    )


def add_cache_dir(parser: Parser) -> None:
    """Which cache; there is no default that everybody would mean."""
    parser.add_value("--cache_dir", type=file_path, metavar="DIR", help="the cache (required)")


def cache_dir(options: Any) -> Path:
    """The cache that was named; raises UsageError."""
    if options.cache_dir is None:
        raise UsageError("which cache? --cache_dir or MODELZOO_CACHE_DIR has to say")
    folder: Path = options.cache_dir
    return folder


def add_progress(parser: Parser) -> None:
    """Events instead of results, and how many files are worked on at a time."""
    parser.add_value(
        "--progress_format",
        choices=("text", "json"),
        default="text",
        help="json: print events, one a line, instead of results",
    )
    jobs = number(int, 1, MAX_JOBS, f"a whole number from 1 to {MAX_JOBS}")
    what = "files to hash at a time (default: one for each processor, at most 8)"
    parser.add_value("-j", "--jobs", type=jobs, metavar="N", help=what)


def chosen_installed(options: Any) -> Chosen:
    """The installed models that the options mean; receipts that are of no use are warned of."""
    patterns = name_patterns(options)
    exclude, parameters = tuple(options.exclude), tuple(options.param)
    filters = Filters(patterns=patterns, exclude=exclude, parameters=parameters)
    choice = choose_from(options.output_dir, filters, [_source(s) for s in options.source or ()])
    for doubt in idle_exclusions(choice.inventory.entries, filters):
        warn(f"warning: {doubt}")
    warn_of(choice.damaged)
    return choice


def warn_of(damaged: tuple[Damaged, ...]) -> None:
    """Say which receipts are of no use."""
    for receipt in damaged:
        warn(f"warning: {receipt}")


def _source(text: str) -> str:
    """The name of a source; its folder may be gone, but receipts still name it."""
    return active_sources([text])[0].name if is_source(text) else text


def is_source(text: str) -> bool:
    """Whether this is a source that is there, and not only the name of one."""
    return text in BUILTIN or os.path.exists(os.path.expanduser(text))


def hashing_progress(options: Any) -> Any:
    """The reporter that the options ask for."""
    return JsonReporter() if options.progress_format == "json" else hashing_reporter()


def transfer_progress(options: Any) -> Any:
    """The same for files that are fetched; standard output is left to the results."""
    if options.progress_format == "json":
        return JsonReporter()
    if is_terminal(sys.stderr):
        from ..reporting.live import LiveReporter

        return LiveReporter()
    return WarningReporter()


def show(options: Any, value: Any, text: str) -> None:
    """Print a result in the form that the options ask for."""
    if getattr(options, "progress_format", "text") == "json":
        return  # the events have told everything
    write_all(document(value)) if options.format == "json" else write_text(text)


def byte_size(text: str) -> int:
    """A type for options: bytes, `500M`, `1.5G`; powers of 1024."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)([KMGT]?)", text, re.ASCII | re.IGNORECASE)
    if not match:
        raise argparse.ArgumentTypeError(f"expected a size like 500M or 1.5G, got {text[:40]!r}")
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))


def duration(text: str) -> float:
    """A type for options: `90m`, `12h`, `30d`, `4w`, in seconds."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)([smhdw])", text, re.ASCII | re.IGNORECASE)
    if not match:
        raise argparse.ArgumentTypeError(f"expected a time like 12h, 30d or 4w, got {text[:40]!r}")
    return float(match[1]) * _SECONDS[match[2].lower()]
