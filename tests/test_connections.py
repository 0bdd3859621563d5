"""How many connections a run has: as many as somebody says, and no more than a server bears."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.events import ModelFileDownloadEnd
from modelzoo.web.connections import Connections, share_of

from tests.conftest import tool
from tests.servers import Exchange
from tests.servers import faulty as f
from tests.servers.faulty import FaultyServer
from tests.test_segments import BODY, MIB, SLOW, fetch
from tests.zoo import add_model, content, file_entry, model_config

DATA = content("x", 500)


class Slow:
    """Lets everybody wait a moment, and counts how many do so at one time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = self.most = 0

    def __call__(self, exchange: Exchange) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.01)
        with self._lock:  # before the answer, after which the client may come again
            self.now -= 1
        f.serve(DATA)(exchange)


def add_models(zoo: Path, url: str, models: int, files: int) -> None:
    for number in range(models):
        paths = [f"{number}-{n}.bin" for n in range(files)]
        entries = [file_entry(path, DATA, f"{url}/{path}") for path in paths]
        add_model(zoo, f"m{number}", model_config(entries))


@given(st.integers(0, 100), st.integers(1, 10))
def test_shares_are_the_whole(total: int, members: int) -> None:
    shares = [share_of(total, members, position) for position in range(members)]
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1


def test_each_process_has_its_part() -> None:
    parts = [Connections(None, 5).part(2, position) for position in range(2)]
    assert [(part.total, part.per_host) for part in parts] == [(None, 3), (None, 2)]
    assert [Connections().most, Connections(7, 3).most, Connections(2).most] == [None, 3, 2]


@pytest.mark.parametrize(
    ("options", "most"),
    [
        (["-j8", "--connections", "2"], 2),
        (["-j8", "--connections_per_host", "3"], 3),
        (["-jauto", "--connections_per_host", "1"], 1),
        (["-j3"], 3),
    ],
)
@pytest.mark.parametrize("models", [1, 8], ids=["one process", "several"])
def test_no_more_than_somebody_says(
    options: list[str], most: int, models: int, faulty: FaultyServer, tmp_path: Path
) -> None:
    files = 20 if models == 1 else 40  # several processes share many files
    faulty.default = slow = Slow()
    add_models(tmp_path / "zoo", faulty.url, models, files)
    tool("downloader", "--all", "--source", tmp_path / "zoo", "-o", tmp_path / "out", *options)
    assert len(list((tmp_path / "out").rglob("*.bin"))) == models * files
    assert slow.most == most


def test_auto_learns_from_refusals_at_no_cost(faulty: FaultyServer, tmp_path: Path) -> None:
    """With the one attempt that each file has by default."""
    slow = Slow()

    def step(exchange: Exchange) -> None:
        refuses = slow.now >= 2
        f.status(429, headers={"Retry-After": "0"})(exchange) if refuses else slow(exchange)

    faulty.default = step
    add_models(tmp_path / "zoo", faulty.url, 1, 30)
    tool("downloader", "--all", "--source", tmp_path / "zoo", "-o", tmp_path / "out", "-jauto")
    assert len(list((tmp_path / "out").rglob("*.bin"))) == 30
    assert len(faulty.requests) > 30


def test_parts_wait_as_long_as_the_server_says(faulty: FaultyServer, tmp_path: Path) -> None:
    times, lock = list[float](), threading.Lock()

    def step(exchange: Exchange) -> None:
        with lock:
            began = times[0] if times else time.monotonic()
            early = time.monotonic() - began < 1.0
            if exchange.headers.get("range") is not None:
                times.append(time.monotonic())
        refused = exchange.headers.get("range") is not None and early
        answer = f.status(429, headers={"Retry-After": "1"}) if refused else SLOW
        answer(exchange)

    faulty.add("/model.bin", step)
    (end,) = fetch(f"{faulty.url}/model.bin", tmp_path).of(ModelFileDownloadEnd)
    assert end.successful, end.message
    assert (tmp_path / "m" / "model.bin").read_bytes() == BODY
    # Those that asked at the same time had not heard of it.
    assert [t for t in times if 0.3 < t - times[0] < 0.9] == []


def test_parts_give_way_to_files_that_wait(faulty: FaultyServer, tmp_path: Path) -> None:
    """The second file comes while the first one, with all connections at first, is still on its way."""
    large, small = BODY * 2, content("small", 1000)
    for name, body, rate in (("large.bin", large, 4 * MIB), ("small.bin", small, MIB)):
        faulty.add(f"/{name}", f.drip(f.serve(body), rate))
    entries = [
        file_entry(name, body, f"{faulty.url}/{name}")
        for name, body in (("large.bin", large), ("small.bin", small))
    ]
    add_model(tmp_path / "zoo", "m", model_config(entries))
    run = tool(
        *("downloader", "--all", "--source", tmp_path / "zoo", "-o", tmp_path / "out"),
        *("-j2", "--connections", "4", "--progress_format=json"),
    )
    ends = [line for line in run.stdout.splitlines() if "model_file_download_end" in line]
    assert ["small.bin" in line for line in ends] == [True, False]
