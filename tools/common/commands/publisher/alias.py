"""alias: lets a name mean a model, or says which model it means"""

from __future__ import annotations

from typing import Any

from ...registry.writing import search, set_alias
from ...reporting.stream import write_text
from ..options import Parser
from ..repositories import add_repositories
from ..session import OK


def add_options(parser: Parser) -> None:
    """The options of this command."""
    parser.add_argument("alias", metavar="ALIAS", help="the name")
    parser.add_argument(
        "model", nargs="?", metavar="MODEL", help="what it means from now on: an id or another alias"
    )
    add_repositories(parser)


def run(options: Any) -> int:
    """Set it, if there is something to set, and print the id of the model that it means."""
    if options.model is None:
        uid = str(search(options.repository).resolve_alias(options.alias))
    else:
        uid = set_alias(options.alias, options.model, repository=options.repository)
    write_text(f"{uid}\n")
    return OK
