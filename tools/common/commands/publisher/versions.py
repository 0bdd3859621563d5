"""versions: prints the versions of a model, the latest last"""

from __future__ import annotations

from typing import Any

from ...errors import UnknownModelError
from ...registry.writing import search
from ...reporting.json import document
from ...reporting.stream import write_all, write_text
from ..options import Parser
from ..repositories import add_repositories
from ..session import OK


def add_options(parser: Parser) -> None:
    """The options of this command."""
    parser.add_argument("model", metavar="MODEL", help="an id, with or without a version, or an alias")
    what = "one version a line, or a JSON list"
    parser.add_value("--format", choices=("text", "json"), default="text", help=what)
    add_repositories(parser)


def run(options: Any) -> int:
    """Print them; raises UnknownModelError where there are none."""
    versions = search(options.repository).versions(options.model)
    if not versions:
        raise UnknownModelError(f"No repository has a model with ID '{options.model}'.")
    text = "".join(f"{version}\n" for version in versions)
    write_all(document(versions)) if options.format == "json" else write_text(text)
    return OK
