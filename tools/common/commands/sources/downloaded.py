"""downloaded: shows the models of registered sources that are on this machine, and where."""

from __future__ import annotations

from typing import Any

from ...remote.functions import downloaded_models
from ...reporting.json import document
from ...reporting.stream import write_all, write_text
from ..options import Parser
from ..session import OK


def add_options(parser: Parser) -> None:
    """The options of this command."""
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print it")


def run(options: Any) -> int:
    """Run the command; returns the exit status."""
    found = {name: str(path) for name, (path, _) in downloaded_models().items()}
    if options.format == "json":
        write_all(document(found))
        return OK
    width = max(map(len, found), default=0)
    write_text("".join(f"{name:<{width}}  {path}\n" for name, path in found.items()))
    return OK
