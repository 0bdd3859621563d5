"""inventory: shows, verifies and removes what is on this disk."""

from __future__ import annotations

import sys

from ..subcommands import dispatch


def main(arguments: list[str], program: str) -> int:
    """Run the tool; returns the exit status."""
    return dispatch(sys.modules[__name__], arguments, program)
