"""sources: shows what the sources of models offer, and looks after the places that they name."""

from __future__ import annotations

import sys

from ..subcommands import dispatch


def main(arguments: list[str], program: str) -> int:
    """Run the tool; returns the exit status."""
    return dispatch(sys.modules[__name__], arguments, program)
