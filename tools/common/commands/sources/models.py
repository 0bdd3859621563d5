"""lists the models of the active sources, of those for several backends the ones for a backend"""

from __future__ import annotations

from typing import Any

import msgspec

from ...catalog import active_sources, choose
from ...model import Model
from ...reporting.json import document
from ...reporting.stream import warn, write_all, write_text
from ...reporting.table import table
from ...selection import Filters
from ...variants import wanted_variants
from ..options import Parser, add_backend, add_format, add_sources, pattern_list
from ..session import OK


class Row(msgspec.Struct, frozen=True):
    """A model: what it is called, how many files it has, and what it is."""

    name: str
    source: str
    version: str | None
    files: int
    description: str


def add_options(parser: Parser) -> None:
    """The options of this command."""
    parser.add_argument(
        "--name",
        type=pattern_list,
        metavar="PAT[,PAT...]",
        help="only models that match one of these patterns",
    )
    add_sources(parser)
    add_backend(parser)
    add_format(parser)


def run(options: Any) -> int:
    """Print the models in the catalog's order."""
    variants = wanted_variants(options.backend, options.gpu)
    sources, filters = active_sources(options.source or ()), Filters(patterns=options.name)
    choice = choose(
        sources,
        filters if options.name else None,
        lambda message: warn(f"warning: {message}"),
        variants,
    )
    rows = [_row(model) for model in choice.models()]
    if options.format == "json":
        write_all(document(rows))
    else:
        shown = [(row.name, row.source, row.files, row.description) for row in rows]
        write_text(table(("model", "source", "files", "description"), shown))
    return OK


def _row(model: Model) -> Row:
    return Row(model.id, model.source, model.version, len(model.files), model.description)
