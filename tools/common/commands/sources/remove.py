"""remove: deletes the local files of models; their sources stay registered."""

from __future__ import annotations

from typing import Any

from ...errors import ModelZooError
from ...remote.functions import delete_model, find_model, not_downloaded
from ...reporting.stream import warn, write_text
from ..options import Parser
from ..session import FAILED, OK


def add_options(parser: Parser) -> None:
    """The options of this command."""
    parser.add_argument("models", nargs="+", metavar="MODEL", help="names of models")


def run(options: Any) -> int:
    """Run the command; returns the exit status. What fails does not stop the others."""
    status = OK
    for name in options.models:
        try:
            model = find_model(name)
            removed = delete_model(model)
            if not removed:
                raise not_downloaded(model)
            write_text("".join(f"Removed {path}\n" for path in removed))
        except ModelZooError as error:
            warn(str(error))
            status = FAILED
    return status
