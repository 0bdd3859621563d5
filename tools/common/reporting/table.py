"""A table for people: columns as wide as they have to be, the last one as it comes."""

from __future__ import annotations

from collections.abc import Sequence

from .stream import printable


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """The rows below a head; numbers are set to the right."""
    cells = [list(head), *([printable(str(cell)) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numeric = [all(isinstance(cell, int) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for line in cells:
        padded = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric or [False] * len(widths), strict=True)
        ]
        lines.append("  ".join(padded).rstrip() + "\n")
    return "".join(lines)
