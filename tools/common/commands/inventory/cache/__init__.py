"""show what a cache holds (status, the default), verify its entries, or prune it."""

from __future__ import annotations

import sys

from ...subcommands import dispatch

_ABOUT = ("-h", "--help", "--version")


def main(arguments: list[str], program: str) -> int:
    """Run the action that the first argument names, or show the status."""
    is_option = not arguments or arguments[0].startswith("-")
    if is_option and arguments[:1] not in [[about] for about in _ABOUT]:
        arguments = ["status", *arguments]
    return dispatch(sys.modules[__name__], arguments, program)
