"""show how much a cache holds, and how long ago that was used."""

from __future__ import annotations

from typing import Any

from ....cache.contents import CacheInfo, cache_info
from ....files.disk import readable
from ....reporting.table import count, table
from ...installed import add_cache_dir, cache_dir, show
from ...options import Parser, add_format
from ...session import OK


def add_options(parser: Parser) -> None:
    """What the action understands."""
    add_cache_dir(parser)
    add_format(parser)


def run(options: Any) -> int:
    """Run it; returns the exit status."""
    info = cache_info(cache_dir(options))
    show(options, info, _as_text(info))
    return OK


def _as_text(info: CacheInfo) -> str:
    rows = [
        (
            f"within {group.within}" if group.within else "earlier",
            str(group.entries),
            readable(group.size),
        )
        for group in info.ages
    ]
    lines = [f"{info.cache_dir}: {count(info.entries, 'entry')}, {readable(info.size)}"]
    if info.staging:
        size = readable(info.staging_size)
        lines.append(f"{count(info.staging, 'file')} being written or left over, {size}")
    if info.other:
        lines.append(f"{count(info.other, 'thing')} that are no entries")
    ages = table(("LAST USED", "ENTRIES", "SIZE"), rows, right=[1, 2])
    return "".join(f"{line}\n" for line in lines) + ages
