"""Lookup tables: the models of a name with their parameters, one row for each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ..parameters import Condition, all_hold
from ..versions import release_key
from .headers import Header
from .identifiers import Uid
from .lookup_csv import INDEX, write_csv


class LookupTable(msgspec.Struct, frozen=True):
    """Published ids with the values of all parameters seen; None where a model has no such one.

    It reads like what audmodel's first releases returned: `table.columns`, `table.ids`, `table[id]`.
    """

    columns: tuple[str, ...]
    rows: dict[str, tuple[Any, ...]]

    @property
    def ids(self) -> list[str]:
        """The ids, in the order of the rows."""
        return list(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __getitem__(self, uid: str) -> dict[str, Any]:
        return dict(zip(self.columns, self.rows[uid], strict=True))

    def __str__(self) -> str:
        lines = [(INDEX, *self.columns), *((uid, *map(str, row)) for uid, row in self.rows.items())]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        padded = (zip(line, widths, strict=True) for line in lines)
        return "\n".join("  ".join(c.ljust(w) for c, w in line).rstrip() for line in padded)

    def records(self) -> list[dict[str, Any]]:
        """The rows as mappings of plain values, for JSON."""
        return [{INDEX: uid, **self[uid]} for uid in self.rows]

    def to_csv(self) -> str:
        """The table as the lookup files of old repositories have it: sorted columns, CRLF."""
        return write_csv(self.columns, self.rows)


def make_table(
    headers: Mapping[Uid, Header],
    *,
    name: str | None = None,
    subgroup: str | None = None,
    version: str | None = None,
    conditions: Sequence[Condition] = (),
) -> LookupTable:
    """The table of the models with this name, subgroup and version, of all where one is None."""
    chosen = {
        uid: header
        for uid, header in sorted(headers.items(), key=_order)
        if name in (None, header.name)
        and subgroup in (None, header.subgroup)
        and version in (None, header.version)
        and all_hold(conditions, header.parameters)
    }
    columns = sorted({str(key) for header in chosen.values() for key in header.parameters})
    return LookupTable(tuple(columns), {str(uid): tuple(_row(h, columns)) for uid, h in chosen.items()})


def _order(item: tuple[Uid, Header]) -> tuple[Any, ...]:
    header = item[1]
    date = header.date.isoformat() if isinstance(header.date, dt.date) else header.date
    return header.subgroup, header.name, release_key(header.version), date


def _row(header: Header, columns: Iterable[str]) -> Iterator[Any]:
    values = {str(key): value for key, value in header.parameters.items()}
    return (values.get(column) for column in columns)


def as_frame(table: LookupTable) -> Any:
    """The table as a pandas DataFrame, with the ids as its index; itself where pandas is missing."""
    try:
        import pandas as pd
    except ImportError:
        return table
    index = pd.Index(table.ids, name=INDEX, dtype=object)
    rows = list(table.rows.values())
    return pd.DataFrame(rows, index=index, columns=list(table.columns), dtype=object)
