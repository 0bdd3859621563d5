"""find: prints where a downloaded model of a registered source is."""

from __future__ import annotations

from typing import Any

from ...remote.functions import find_model, is_downloaded, model_path, not_downloaded
from ...reporting.stream import write_text
from ..options import Parser
from ..session import OK


def add_options(parser: Parser) -> None:
    """The options of this command."""
    parser.add_argument("model", metavar="MODEL", help="a name, with @<version> for one not the latest")


def run(options: Any) -> int:
    """Run the command; returns the exit status."""
    model = find_model(options.model)
    if not is_downloaded(model):
        raise not_downloaded(model)
    write_text(f"{model_path(model)}\n")
    return OK
