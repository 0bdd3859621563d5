"""downloaded: shows the models of registered sources that are on this machine, and where."""

from __future__ import annotations

from typing import Any

from ...remote.functions import downloaded_models
from ...reporting.json import document
from ...reporting.stream import warn, write_all, write_text
from ..options import Parser, add_format
from ..session import OK


def add_options(parser: Parser) -> None:
    """The options of this command."""
    add_format(parser)


def run(options: Any) -> int:
    """Run the command; returns the exit status."""
    found = {name: str(path) for name, (path, _) in downloaded_models().items()}
    if options.format == "json":
        write_all(document(found))
        return OK
    if not found:
        warn("no model of a registered source is downloaded")
    width = max(map(len, found), default=0)
    write_text("".join(f"{name:<{width}}  {path}\n" for name, path in found.items()))
    return OK
