"""requirements: checks that what models need of this machine is there."""

from __future__ import annotations

from typing import Any

from ...remote.functions import find_model
from ...reporting.stream import warn, write_text
from ...requirements import ensure
from ..options import Parser
from ..session import OK


def add_options(parser: Parser) -> None:
    """The options of this command."""
    parser.add_argument("models", nargs="+", metavar="MODEL", help="names of models")


def run(options: Any) -> int:
    """Run the command; returns the exit status."""
    models = [find_model(name) for name in options.models]
    ensure(models, "error", warn)
    write_text("".join(f"{model.id}: all there\n" for model in models))
    return OK
