"""info_dumper: prints what is known about models as stable JSON."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import msgspec

from ..description import describe
from ..model import Model
from ..reporting.stream import warn, write_all
from .options import Parser, add_selection, chosen, print_names

_BATCH = 256  # models that are printed at a time, so that memory does not grow with the catalog


def main(arguments: list[str], program: str) -> int:
    """Run the tool; returns the exit status."""
    parser = Parser(program, "Print information about models as a JSON array.")
    add_selection(parser)
    options = parser.parse(arguments)
    choice = chosen(options, warn)
    if options.print_all:
        print_names(choice.ids)
    else:
        for piece in _document(choice.models()):
            write_all(piece)
    return 0


def _document(models: Iterator[Model]) -> Iterator[bytes]:
    """The bytes of `json.dumps(..., indent=4)`, which would do the same in Python, without C."""
    start = b"["
    while batch := [describe(model) for model in itertools.islice(models, _BATCH)]:
        yield start + _indented(batch)[1:-2]
        start = b","
    yield b"[]\n" if start == b"[" else b"\n]\n"


def _indented(batch: list[dict[str, Any]]) -> bytes:
    with contextlib.suppress(UnicodeEncodeError):  # half of a surrogate pair
        data = msgspec.json.encode(batch)
        if data.isascii() and b"\x7f" not in data:
            return msgspec.json.format(data, indent=4)
    import json

    data = json.dumps(batch).encode()
    with contextlib.suppress(msgspec.DecodeError):  # the same
        return msgspec.json.format(data, indent=4)
    return json.dumps(batch, indent=4).encode()
