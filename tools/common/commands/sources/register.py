"""register: makes the models of a GitHub repository, an archive or a folder part of the catalog."""

from __future__ import annotations

from typing import Any

from ...remote.installing import register
from ...reporting.stream import write_text
from ...sources import zoo_dir
from ..options import Parser
from ..remote_models import add_transfer_options, engine_for, in_words
from ..session import OK


def add_options(parser: Parser) -> None:
    """The options of this command."""
    parser.add_argument(
        "reference",
        metavar="REF",
        help="https://github.com/<user>/<repo>[/tree/<branch>|/commit/<sha>], <user>/<repo>[/<ref>], "
        "the URL of an archive, or a local folder or archive",
    )
    parser.add_argument("--refresh", action="store_true", help="fetch a source again that is known")
    parser.add_argument(
        "--replace", action="store_true", help="replace a source of the same name from elsewhere"
    )
    add_transfer_options(parser)


def run(options: Any) -> int:
    """Run the command; returns the exit status."""
    change = register(
        options.reference,
        zoo_dir(),
        engine_for(options),
        refresh=options.refresh,
        replace=options.replace,
    )
    what = "Registered" if change.fetched else "Registered already:"
    write_text("".join(f"{what} {in_words(source)}\n" for source in change.sources))
    write_text("".join(f"Removed {removed.source.name}\n" for removed in change.removed))
    return OK
