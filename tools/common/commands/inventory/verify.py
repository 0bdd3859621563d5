"""hash the installed files again, and say (or repair) what is broken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...catalog import choose
from ...files.disk import readable
from ...keeping.functions import Chosen, repair_choice, verify_choice
from ...keeping.verification import Verification
from ...model import Model
from ...reporting.stream import warn
from ...reporting.table import count, table
from ...sources import active
from ..installed import (
    add_installed,
    add_progress,
    chosen_installed,
    hashing_progress,
    is_source,
    show,
    transfer_progress,
)
from ..options import Parser, add_format, file_path, number
from ..session import FAILED, OK


def add_options(parser: Parser) -> None:
    """What the subcommand understands."""
    add_installed(parser)
    add_format(parser)
    add_progress(parser)
    parser.add_argument(
        "--repair", action="store_true", help="fetch again what is broken and the catalog knows"
    )
    add = parser.add_value
    add("--cache_dir", type=file_path, metavar="DIR", help="the cache to repair from")
    attempts = number(int, 1, 10**6, "a whole number from 1 to 1000000")
    add("--num_attempts", type=attempts, default=1, metavar="N", help="attempts for each file")


def run(options: Any) -> int:
    """Run it; returns the exit status."""
    choice = chosen_installed(options)
    reporter = hashing_progress(options)
    try:
        found = verify_choice(choice, options.jobs, reporter)
    finally:
        reporter.close()
    if options.repair and found.broken:
        found = _repair(options, choice, found)
    show(options, found, _as_text(found))
    return OK if found.successful else FAILED


def _repair(options: Any, choice: Chosen, found: Verification) -> Verification:
    reporter = transfer_progress(options)
    try:
        return repair_choice(
            choice,
            found,
            lambda: _catalog(options),
            options.jobs,
            reporter,
            options.cache_dir,
            options.num_attempts,
        )
    finally:
        reporter.close()


def _catalog(options: Any) -> Iterator[Model]:
    """The models of the active sources; what `--source` names may be gone."""
    sources = active([s for s in options.source or () if is_source(s)])
    return choose(sources, None, lambda message: warn(f"warning: {message}")).models()


def _as_text(found: Verification) -> str:
    rows = [(f.model, f.path, "repaired" if f.repaired else f.state, f.message) for f in found.broken]
    listing = table(("MODEL", "FILE", "STATE", "PROBLEM"), rows) if rows else ""
    repaired = sum(file.repaired for file in found.broken)
    left = len(found.broken) - repaired
    verdict = f"{count(left, 'file')} broken" if left else "all whole"
    verdict += f", {count(repaired, 'file')} repaired" if repaired else ""
    files = f"{count(found.files, 'file')} of {count(found.models, 'model')}"
    return f"{listing}{files}, {readable(found.size)} hashed in {found.seconds:.1f} s: {verdict}\n"
