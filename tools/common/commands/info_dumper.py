"""info_dumper: prints what is known about models as stable JSON."""

from __future__ import annotations

import json

from ..description import describe
from ..reporting.stream import warn, write_all
from .options import Parser, add_selection, selected


def main(arguments: list[str], program: str) -> int:
    """Run the tool; returns the exit status."""
    parser = Parser(program, "Print information about models as a JSON array.")
    add_selection(parser)
    options = parser.parse(arguments)
    models = selected(options, warn)
    if options.print_all:
        text = "".join(f"{model.id}\n" for model in models)
    else:
        text = json.dumps([describe(model) for model in models], indent=4) + "\n"
    write_all(text.encode())
    return 0
