"""Runs that are killed, interrupted, or not alone: nothing is lost, nothing is fetched twice."""

from __future__ import annotations

import random
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.processes import Downloader
from tests.servers import faulty as f
from tests.servers.faulty import FaultyServer
from tests.servers.nginx import Nginx
from tests.zoo import (
    add_model,
    content,
    file_entry,
    make_zoo,
    model_config,
    stray_files,
    wrong_files,
)

MIB = 1 << 20
JOBS = 8


def test_killed_ten_times(nginx: Nginx, tmp_path: Path) -> None:
    """300 models, 3,000 files: all runs together cost little more than one."""
    zoo, output = tmp_path / "zoo", tmp_path / "output"
    expected = make_zoo(zoo, nginx.root, nginx.url, models=294, files=10, size=16 * 1024)
    expected |= make_zoo(zoo, nginx.root, nginx.url, 6, 10, 2 * MIB, prefix="large")
    choose = random.Random(20211)
    kills = 10
    for kind in choose.choices(["model_file_download_end", "model_file_download_progress"], k=kills):
        with Downloader("--source", zoo, "-o", output, f"-j{JOBS}") as run:
            run.until(kind, choose.randint(1, 250))
            run.signal(signal.SIGKILL)
            run.wait()
        # Whatever has its final name already is whole.
        there = {p: data for p, data in expected.items() if (output / p).exists()}
        assert wrong_files(output, there) == []
    with Downloader("--source", zoo, "-o", output, f"-j{JOBS}") as run:
        assert run.until("run_end")[-1]["successful"], run.errors()
        assert run.wait() == 0
    assert wrong_files(output, expected) == []
    assert stray_files(output, expected) == []
    total = sum(map(len, expected.values()))
    assert nginx.bytes_sent() <= total + 8 * MIB * JOBS * kills
    # The bound above is generous; a file that was finished is not asked for a second time.
    assert len(nginx.requests()) <= len(expected) + JOBS * kills


def test_two_at_once(nginx: Nginx, tmp_path: Path) -> None:
    """One output folder, one cache: both succeed, every file is fetched once."""
    zoo, output, cache = tmp_path / "zoo", tmp_path / "output", tmp_path / "cache"
    expected = make_zoo(zoo, nginx.root, nginx.url, models=40, files=5, size=128 * 1024)
    options = ["--source", zoo, "-o", output, "--cache_dir", cache, "-j4"]
    with Downloader(*options) as one, Downloader(*options) as two:
        ends: list[dict[str, object]] = []
        readers = [
            threading.Thread(target=lambda run=run: ends.append(run.until("run_end")[-1]))  # type: ignore[misc]
            for run in (one, two)
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(60)
        assert [end["successful"] for end in ends] == [True, True]
        assert (one.wait(), two.wait()) == (0, 0)
    assert wrong_files(output, expected) == []
    assert stray_files(output, expected) == []
    assert sorted(r.uri for r in nginx.wait_for(len(expected))) == sorted(
        "/" + path.removeprefix("public/") for path in expected
    )
    assert sum(1 for p in cache.rglob("*") if p.is_file()) == len(expected)


def test_two_outputs_one_cache(nginx: Nginx, tmp_path: Path) -> None:
    """As in many CI jobs at once: whoever comes second waits for the first one's copy."""
    zoo, cache = tmp_path / "zoo", tmp_path / "cache"
    expected = make_zoo(zoo, nginx.root, nginx.url, models=10, files=4, size=512 * 1024)
    options = ["--source", zoo, "--cache_dir", cache, "-j4"]
    outputs = [tmp_path / "one", tmp_path / "two"]
    with Downloader(*options, "-o", outputs[0]) as one, Downloader(*options, "-o", outputs[1]) as two:
        reader = threading.Thread(target=one.until, args=["run_end"])
        reader.start()
        two.until("run_end")
        reader.join(60)
        assert (one.wait(), two.wait()) == (0, 0)
    assert [wrong_files(output, expected) for output in outputs] == [[], []]
    assert len(nginx.wait_for(len(expected))) == len(expected)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(number: signal.Signals, faulty: FaultyServer, tmp_path: Path) -> None:
    """One connection is silent in the middle of a body, one before the answer: both are left."""
    data, never = content("big", 6 * MIB), threading.Event()
    faulty.add("/big.bin", f.stall_after(f.serve(data), 4 * MIB), f.serve(data))
    faulty.add("/late.bin", f.pause_before(f.serve(data), never), f.serve(data))
    entries = [file_entry(name, data, f"{faulty.url}/{name}") for name in ("big.bin", "late.bin")]
    add_model(tmp_path / "zoo", "m", model_config(entries))
    options = ["--source", tmp_path / "zoo", "-o", tmp_path / "output", "-j2"]
    with Downloader(*options) as run:
        run.until("model_file_download_progress")
        faulty.wait_for(2)
        size = 0
        partial = tmp_path / "output" / "m" / "big.bin.download"
        while size < 4 * MIB:  # a loop without a sleep: the bytes are on their way
            size = partial.stat().st_size
        started = time.monotonic()
        run.signal(number)
        events = list(run.events())
        assert run.wait() == 130
        assert time.monotonic() - started < 3  # promised is one second; the machine may be busy
        assert "interrupted" in run.errors()
    assert events[-1]["$type"] == "run_end"
    assert events[-1]["reason"] == "interrupted"
    ends = [e for e in events if e["$type"] == "model_file_download_end"]
    assert [e["reason"] for e in ends] == ["interrupted"] * 2
    assert events[-2] == {"$type": "model_download_end", "model": "m", "successful": False}
    assert partial.stat().st_size == 4 * MIB
    with Downloader(*options) as again:
        assert again.until("run_end")[-1]["successful"]
    big = [r.headers.get("range") for r in faulty.requests if r.path == "/big.bin"]
    assert big == [None, f"bytes={4 * MIB}-"]
    expected = {f"m/{name}": data for name in ("big.bin", "late.bin")}
    assert stray_files(tmp_path / "output", expected) == []


def test_interrupted_while_waiting_to_retry(faulty: FaultyServer, tmp_path: Path) -> None:
    faulty.default = f.status(503, headers={"Retry-After": "200"})
    entry = file_entry("m.bin", b"data", f"{faulty.url}/m.bin")
    add_model(tmp_path / "zoo", "m", model_config([entry]))
    with Downloader("--source", tmp_path / "zoo", "-o", tmp_path / "o", "--num_attempts=2") as run:
        assert run.until("model_file_retry")[-1]["wait"] == 200
        run.signal(signal.SIGINT)
        assert run.until("run_end")[-1]["reason"] == "interrupted"
        assert run.wait() == 130
    assert list((tmp_path / "o" / "m").iterdir()) == []
