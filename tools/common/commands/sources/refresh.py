"""refresh: fetches registered sources again, and keeps the weights that they still describe."""

from __future__ import annotations

from typing import Any

from ...errors import ModelZooError, UsageError
from ...remote.installing import refresh
from ...reporting.stream import warn, write_text
from ...sources import registered, zoo_dir
from ..options import Parser
from ..remote_models import add_transfer_options, engine_for, in_words
from ..session import FAILED, OK


def add_options(parser: Parser) -> None:
    """The options of this command."""
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help="names or references")
    parser.add_argument("--all", action="store_true", help="all registered sources")
    add_transfer_options(parser)


def run(options: Any) -> int:
    """Run the command; returns the exit status. What fails does not stop the others."""
    if options.all == bool(options.sources):
        raise UsageError("expected the names or references of sources, or --all")
    zoo, status = zoo_dir(), OK
    known = registered(zoo)
    # Several sources of one reference come together.
    every = {source.reference or source.name: source.name for source in known}
    for text in options.sources or every.values():
        try:
            change = refresh(text, zoo, engine_for(options))
            write_text("".join(f"Refreshed {in_words(source)}\n" for source in change.sources))
            write_text("".join(f"Removed {removed.source.name}\n" for removed in change.removed))
        except ModelZooError as error:
            warn(f"{text}: {error}")
            status = FAILED
    return status
