"""sources: registers sources of models, shows what all of them offer, and looks after them."""

from __future__ import annotations

import sys

from ..subcommands import dispatch


def main(arguments: list[str], program: str) -> int:
    """Run the tool; returns the exit status."""
    return dispatch(sys.modules[__name__], arguments, program)
