"""Which parts of a file are there: disjoint ranges of bytes, in order."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator

Range = tuple[int, int]
"""First byte, and the byte after the last one."""


class Ranges:
    """A set of byte positions, kept as the fewest ranges that hold them."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._ranges: list[Range] = []
        for start, stop in ranges:
            self.add(start, stop)

    def __iter__(self) -> Iterator[Range]:
        return iter(self._ranges)

    def __bool__(self) -> bool:
        return bool(self._ranges)

    def add(self, start: int, stop: int) -> None:
        """The bytes from `start` up to `stop` are there too; ValueError for what is no range."""
        if not 0 <= start <= stop:
            raise ValueError(f"no range: {start} to {stop}")
        if start == stop:
            return
        first = bisect.bisect_left(self._ranges, start, key=lambda r: r[1])
        last = bisect.bisect_right(self._ranges, stop, key=lambda r: r[0])
        touched = self._ranges[first:last]
        if touched:
            start, stop = min(start, touched[0][0]), max(stop, touched[-1][1])
        self._ranges[first:last] = [(start, stop)]

    @property
    def prefix(self) -> int:
        """How many bytes are there from the beginning without a gap."""
        return self._ranges[0][1] if self._ranges and self._ranges[0][0] == 0 else 0

    def gaps(self, size: int) -> list[Range]:
        """What is missing of a file of this size."""
        edges = [0, *(edge for r in self._ranges for edge in r), size]
        pairs = zip(edges[::2], edges[1::2], strict=True)
        return [(start, min(stop, size)) for start, stop in pairs if start < min(stop, size)]
