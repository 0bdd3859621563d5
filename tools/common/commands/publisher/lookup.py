"""lookup: prints the published models of a name with all their parameters"""

from __future__ import annotations

from typing import Any

from ...published import find_published
from ...registry.lookup import LookupTable
from ...reporting.json import document
from ...reporting.stream import warn, write_all, write_text
from ...reporting.table import table
from ..options import Parser, add_param
from ..repositories import add_repositories
from ..session import OK

OWN_VERSION = True
"""`--version` is that of the models here."""


def add_options(parser: Parser) -> None:
    """The options of this command."""
    add = parser.add_argument
    add("--name", metavar="NAME", help="only models of this name")
    add("--subgroup", metavar="GROUP", help="only models of this subgroup")
    add("--version", metavar="X.Y.Z", help="only this version")
    add_param(parser)
    what = "text: a table for people; csv: as old repositories keep it; json: a list of rows"
    parser.add_value("--format", choices=("text", "csv", "json"), default="text", help=what)
    add_repositories(parser)


def run(options: Any) -> int:
    """Print the table; that it is empty is no failure."""
    found = find_published(
        options.name,
        subgroup=options.subgroup,
        version=options.version,
        param=options.param,
        repository=options.repository,
        warn=lambda message: warn(f"warning: {message}"),
    )
    if options.format == "json":
        write_all(document(found.records()))
    else:
        write_text(found.to_csv() if options.format == "csv" else _text(found))
    return OK


def _text(found: LookupTable) -> str:
    heading = ("id", *found.columns)
    return table(heading, [(uid, *row) for uid, row in found.rows.items()]) if found.rows else ""
