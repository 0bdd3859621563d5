"""hash all entries of a cache, and remove those that are not what their names say."""

from __future__ import annotations

from typing import Any

from ....files.disk import readable
from ....keeping.cache_upkeep import CacheVerification
from ....keeping.functions import verify_cache
from ....reporting.table import count, table
from ...installed import add_cache_dir, add_progress, cache_dir, hashing_progress, show
from ...options import Parser, add_format
from ...session import FAILED, OK


def add_options(parser: Parser) -> None:
    """What the action understands."""
    add_cache_dir(parser)
    add_format(parser)
    add_progress(parser)
    parser.add_argument(
        "--dry_run", action="store_true", help="remove nothing, only say what is broken"
    )


def run(options: Any) -> int:
    """Run it; returns the exit status."""
    reporter = hashing_progress(options)
    try:
        found = verify_cache(
            cache_dir(options), dry_run=options.dry_run, jobs=options.jobs, report=reporter
        )
    finally:
        reporter.close()
    show(options, found, _as_text(found))
    return OK if found.successful else FAILED


def _as_text(found: CacheVerification) -> str:
    rows = [(b.path, "removed" if b.removed else "kept", b.message) for b in found.broken]
    listing = table(("ENTRY", "IS", "PROBLEM"), rows) if rows else ""
    verdict = f"{len(rows)} broken" if rows else "all right"
    return f"{listing}{count(found.entries, 'entry')}, {readable(found.size)} hashed: {verdict}\n"
