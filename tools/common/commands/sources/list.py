"""list: shows the registered sources, one a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import CatalogError
from ...remote import models_of
from ...reporting.json import document
from ...reporting.stream import warn, write_all, write_text
from ...sources import Registered, registered, zoo_dir
from ..options import Parser
from ..session import OK

_SHORT = 12  # characters of a commit that tell it from others


def add_options(parser: Parser) -> None:
    """The options of this command."""
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print it")


def run(options: Any) -> int:
    """Run the command; returns the exit status."""
    rows = [(source, _count(source)) for source in registered(zoo_dir())]
    if options.format == "json":
        write_all(document([facts(source) | {"models": count} for source, count in rows]))
    elif rows:
        write_text(_table(rows))
    return OK


def facts(source: Registered) -> dict[str, Any]:
    """What is known of a source, for programs."""
    return {
        "name": source.name,
        "reference": source.reference,
        "revision": source.revision,
        "date": source.date,
        "format": source.format,
        "path": str(source.path(zoo_dir())),
    }


def _count(source: Registered) -> int | None:
    """How many models it declares, None where that cannot be read."""
    try:
        return len(models_of(source))
    except CatalogError as error:
        warn(f"{source.name}: {error}")
        return None


def _table(rows: Sequence[tuple[Registered, int | None]]) -> str:
    cells = [("NAME", "REFERENCE", "REVISION", "DATE", "MODELS")]
    for source, count in rows:
        revision = (source.revision or "-").removeprefix("sha256:")[:_SHORT]
        number = "?" if count is None else str(count)
        cells.append((source.name, source.reference or "-", revision, source.date[:10], number))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)).rstrip() for row in cells)
    return "".join(f"{line}\n" for line in lines)
