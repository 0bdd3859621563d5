"""delete: removes registered sources, and the files of their models with them."""

from __future__ import annotations

from typing import Any

from ...errors import SelectionError
from ...remote.installing import delete
from ...reporting.stream import warn, write_text
from ...run.setup import make_engine
from ...sources import Registered, zoo_dir
from ..options import Parser
from ..session import FAILED, OK


def add_options(parser: Parser) -> None:
    """The options of this command."""
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="names or references")


def run(options: Any) -> int:
    """Run the command; returns the exit status. What is unknown does not stop the others."""
    status = OK
    for text in options.sources:
        try:
            removed = delete(text, zoo_dir(), make_engine(report=lambda event: None))
        except SelectionError as error:
            warn(str(error))
            status = FAILED
            continue
        for one in removed:
            write_text(f"Removed {_where(one.source)}\n")
            write_text("".join(f"Removed {one.source.name}:{name}\n" for name in one.models))
    return status


def _where(source: Registered) -> str:
    return f"{source.name} ({source.path(zoo_dir())})"
