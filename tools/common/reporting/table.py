"""Tables of plain text for people."""

from __future__ import annotations

from collections.abc import Sequence

from .stream import printable


def table(heading: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[int] = ()) -> str:
    """The rows below their heading in aligned columns; numbers and those in `right` end together."""
    cells = [[printable(str(cell)) for cell in row] for row in (heading, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numeric = [all(isinstance(cell, int) for cell in column) for column in zip(*rows, strict=True)]
    ends = {*right, *(i for i, numbers in enumerate(numeric) if numbers)}
    lines = []
    for row in cells:
        pairs = enumerate(zip(row, widths, strict=True))
        padded = [c.rjust(width) if i in ends else c.ljust(width) for i, (c, width) in pairs]
        lines.append("  ".join(padded).rstrip())
    return "".join(f"{line}\n" for line in lines)


def count(number: int, noun: str) -> str:
    """`1 file`, `2 files`, `1 entry`, `2 entries`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"
