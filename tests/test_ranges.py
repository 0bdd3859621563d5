"""Ranges of bytes behave like the set of positions that they stand for."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.files.ranges import Ranges

SIZE = 40
PAIRS = st.lists(st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)).map(lambda p: (min(p), max(p))))


@given(PAIRS)
def test_like_a_set(pairs: list[tuple[int, int]]) -> None:
    ranges, positions = Ranges(), set()
    for start, stop in pairs:
        ranges.add(start, stop)
        positions |= set(range(start, stop))
    found = list(ranges)
    assert {p for start, stop in found for p in range(start, stop)} == positions
    assert all(a[1] < b[0] for a, b in itertools.pairwise(found))
    assert bool(ranges) == bool(positions)
    missing = {p for start, stop in ranges.gaps(SIZE) for p in range(start, stop)}
    assert missing == set(range(SIZE)) - positions
    assert ranges.prefix == next(p for p in range(SIZE + 1) if p not in positions)
    assert list(Ranges(found)) == found


@pytest.mark.parametrize("bad", [(-1, 3), (3, 1)])
def test_what_is_no_range(bad: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no range"):
        Ranges().add(*bad)


def test_gaps_of_a_smaller_file() -> None:
    assert Ranges([(2, 5), (8, 30)]).gaps(6) == [(0, 2), (5, 6)]
    assert Ranges([(2, 5), (8, 30)]).gaps(1) == [(0, 1)]
