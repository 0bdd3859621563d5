"""remove entries of a cache by size, age or use, and what killed runs left in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ....errors import UsageError
from ....files.disk import readable
from ....keeping.cache_upkeep import Pruned, prune_cache
from ....keeping.functions import used_digests
from ....reporting.stream import warn
from ....reporting.table import count
from ....sources import every_model
from ...installed import add_cache_dir, byte_size, cache_dir, duration, show
from ...options import Parser, add_format, file_path
from ...session import FAILED, OK


def add_options(parser: Parser) -> None:
    """What the action understands."""
    add_cache_dir(parser)
    add_format(parser)
    add = parser.add_value
    what = "remove entries, those first that were used longest ago, down to this size (500M, 10G)"
    add("--max_size", type=byte_size, metavar="SIZE", help=what)
    what = "remove entries that were not used for so long (12h, 30d, 4w)"
    add("--older_than", type=duration, metavar="TIME", help=what)
    parser.add_argument(
        "--unused",
        action="store_true",
        help="remove entries that neither the catalog nor a receipt in --output_dir names",
    )
    parser.add_argument(
        "-o",
        "--output_dir",
        action="append",
        type=file_path,
        metavar="DIR",
        help="with --unused: where models are installed (default: here); can be repeated",
    )
    parser.add_argument(
        "--source",
        action="append",
        metavar="SOURCE",
        help="with --unused: a source of the catalog; as for the downloader, can be repeated",
    )
    parser.add_argument("--dry_run", action="store_true", help="only say what would be removed")


def run(options: Any) -> int:
    """Run it; returns the exit status."""
    if not options.unused and (options.source or options.output_dir):
        raise UsageError("--source and --output_dir say what is in use, they need --unused")
    pruned = prune_cache(
        cache_dir(options),
        max_size=options.max_size,
        older_than=options.older_than,
        used=_used(options) if options.unused else None,
        dry_run=options.dry_run,
    )
    show(options, pruned, _as_text(pruned))
    for problem in pruned.problems:
        warn(problem)
    return FAILED if pruned.problems else OK


def _used(options: Any) -> set[str]:
    models = every_model(options.source or (), lambda message: warn(f"warning: {message}"))
    return used_digests(models, options.output_dir or [Path()], cache_dir(options))


def _as_text(pruned: Pruned) -> str:
    lines = [f"{entry.path}, {entry.size} bytes" for entry in pruned.removed]
    lines += [f"{path}, left over" for path in pruned.left_overs]
    word = "would be removed" if pruned.dry_run else "removed"
    gone = f"{count(len(pruned.removed), 'entry')} ({readable(pruned.removed_size)})"
    left = f"{count(len(pruned.left_overs), 'left-over')}"
    stay = f"{count(pruned.entries, 'entry')} ({readable(pruned.size)})"
    lines.append(f"{gone} and {left} {word}; {stay} stay.")
    return "".join(f"{line}\n" for line in lines)
