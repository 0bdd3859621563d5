"""list: shows the registered sources, one a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import CatalogError
from ...remote.functions import models_of
from ...reporting.json import document
from ...reporting.stream import warn, write_all, write_text
from ...reporting.table import table
from ...sources import Registered, registered, zoo_dir
from ..options import Parser, add_format
from ..session import OK

_SHORT = 12  # characters of a commit that tell it from others


def add_options(parser: Parser) -> None:
    """The options of this command."""
    add_format(parser)


def run(options: Any) -> int:
    """Run the command; returns the exit status."""
    rows = [(source, _count(source)) for source in registered(zoo_dir())]
    if options.format == "json":
        write_all(document([facts(source) | {"models": count} for source, count in rows]))
    elif rows:
        write_text(_table(rows))
    else:
        warn("no source is registered (see sources.py register)")
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
    shown = []
    for source, count in rows:
        revision = (source.revision or "-").removeprefix("sha256:")[:_SHORT]
        number = "?" if count is None else count
        shown.append((source.name, source.reference or "-", revision, source.date[:10], number))
    return table(("NAME", "REFERENCE", "REVISION", "DATE", "MODELS"), shown, right=[4])
