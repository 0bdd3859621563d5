"""The lookup files of old repositories: `id`, the other columns sorted, CRLF, nothing for None."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import CatalogError

INDEX = "id"
"""What the first column is called."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}")
_WORDS = {"": None, "True": True, "False": False}


def write_csv(columns: Sequence[str], rows: Mapping[str, Sequence[Any]]) -> str:
    """The table of these columns, and of the values of each id in their order."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    order = sorted(range(len(columns)), key=lambda number: columns[number])
    writer.writerow([INDEX, *(columns[number] for number in order)])
    for uid, row in rows.items():
        writer.writerow([uid, *(row[number] for number in order)])
    return out.getvalue()


def read_csv(data: bytes, file: str) -> dict[str, dict[str, Any]]:
    """The parameters of each id, without those that have none; CatalogError names the file."""
    try:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise CatalogError(f"is not valid CSV: {error}", file=file) from None
    if not rows or rows[0][:1] != [INDEX]:
        raise CatalogError(f"expected a first column {INDEX}", file=file)
    columns = rows[0][1:]
    found = {}
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        if len(row) != len(columns) + 1:
            problem = f"line {number}: expected {len(columns) + 1} cells, got {len(row)}"
            raise CatalogError(problem, file=file)
        values = zip(columns, map(parse_cell, row[1:]), strict=True)
        found[row[0]] = {column: value for column, value in values if value is not None}
    return found


def parse_cell(text: str) -> Any:
    """What a cell holds: nothing, True or False, an int, a float, else text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text
