"""publisher: publishes models to shared repositories, names them, and says what they hold."""

from __future__ import annotations

import sys

from ..subcommands import dispatch


def main(arguments: list[str], program: str) -> int:
    """Run the tool; returns the exit status."""
    return dispatch(sys.modules[__name__], arguments, program)
