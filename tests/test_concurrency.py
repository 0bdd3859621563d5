"""`-j auto`: the number of transfers follows what a server, a link and its troubles allow."""

from __future__ import annotations

import threading
from pathlib import Path

import modelzoo
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.concurrency import MOST, REST, START, WINDOW, Governor, Sample

from tests.conftest import tool
from tests.servers.faulty import Exchange, FaultyServer, drip, serve
from tests.zoo import add_local_model, add_model, content, file_entry, model_config


class Link:
    """What transfers get: each so many bytes a second, all together not more than the capacity."""

    def __init__(self, each: float, capacity: float) -> None:
        self.each, self.capacity = each, capacity
        self.received = self.time = 0.0
        self.troubles = 0
        self.governor = Governor(MOST, lambda: Sample(int(self.received), 0, self.troubles))
        self.history: list[int] = []

    def go_on(self, windows: int) -> int:
        """Let time go by; returns the number of transfers in the end."""
        for _ in range(windows):
            self.governor.look(self.time)
            self.history.append(self.governor.allowed)
            self.received += WINDOW * min(self.capacity, self.each * self.governor.allowed)
            self.time += WINDOW
        return self.governor.allowed


def test_more_while_it_pays() -> None:
    assert Link(each=1e6, capacity=1e12).go_on(8) == MOST


def test_not_more_than_a_link_can_carry() -> None:
    link = Link(each=1e6, capacity=10e6)
    link.go_on(100)
    assert max(link.history) <= 32
    assert 8 <= sorted(link.history)[50] <= 16  # it tries more from time to time


def test_a_link_that_grows_is_noticed() -> None:
    link = Link(each=1e6, capacity=5e6)
    link.go_on(30)
    link.capacity = 1e12
    assert max(link.history) <= 16
    assert link.go_on(3 * REST) == MOST


def test_trouble_halves_at_once_and_is_remembered() -> None:
    link = Link(each=1e6, capacity=1e12)
    link.go_on(8)
    link.troubles += 1
    assert link.go_on(1) == MOST // 2
    assert link.go_on(REST - 1) == MOST // 2


@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 99), st.integers(0, 3)), max_size=60),
    st.integers(1, 2000),
)
def test_always_within_its_limits(steps: list[tuple[int, int, int]], most: int) -> None:
    total = Sample(0, 0, 0)
    governor = Governor(most, lambda: total)
    for number, step in enumerate(steps):
        total = Sample(*(a + b for a, b in zip(total, step, strict=True)))
        governor.look(number * WINDOW)
        assert 1 <= governor.allowed <= most


class Busy:
    """Serves slowly, and counts how many requests it has at one time."""

    def __init__(self, data: bytes) -> None:
        self._answer = drip(serve(data), 10_000)
        self._lock = threading.Lock()
        self.now = self.most = 0

    def __call__(self, exchange: Exchange) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            self._answer(exchange)
        finally:
            with self._lock:
                self.now -= 1


@pytest.mark.parametrize("number", ["auto", "2"])
def test_a_server_that_makes_wait_is_asked_more(
    faulty: FaultyServer, tmp_path: Path, number: str
) -> None:
    files, data = 120 if number == "auto" else 12, content("x", 1000)
    faulty.default = busy = Busy(data)
    entries = [file_entry(f"{n}.bin", data, f"{faulty.url}/{n}") for n in range(files)]
    add_model(tmp_path / "zoo", "m", model_config(entries))
    tool("downloader", "--all", "--source", tmp_path / "zoo", "-o", tmp_path / "out", "-j", number)
    assert busy.most > START if number == "auto" else busy.most == 2


def test_jobs_of_python_may_be_auto(tmp_path: Path) -> None:
    add_local_model(tmp_path / "zoo", "m", {"a.bin": b"a", "b.bin": b"b"})
    modelzoo.download("m", tmp_path / "out", jobs="auto", sources=tmp_path / "zoo")
    assert (tmp_path / "out" / "m" / "b.bin").read_bytes() == b"b"
