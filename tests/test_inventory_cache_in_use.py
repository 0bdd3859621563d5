"""A cache that is pruned and verified while downloads use it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import modelzoo
from modelzoo.events import Event, Notice

from tests.zoo import add_local_model, content


def test_downloads_go_on_while_a_cache_is_pruned(tmp_path: Path) -> None:
    """They bring the same files, whether or not an entry is still there."""
    files = {f"{number}.bin": content(str(number), 20_000) for number in range(20)}
    add_local_model(tmp_path / "zoo", "m", files)
    cache, stop = tmp_path / "cache", threading.Event()
    events: list[Event] = []

    def keep(act: Callable[..., Any], **options: Any) -> int:
        rounds = 0
        while not stop.is_set():
            act(cache, **options)
            rounds += 1
        return rounds

    def download(number: int) -> None:
        out = tmp_path / f"out-{number}"
        options = {"sources": [tmp_path / "zoo"], "cache_dir": cache, "jobs": 4}
        modelzoo.download("m", out, report=events.append, **options)
        assert {name: (out / "m" / name).read_bytes() for name in files} == files

    download(0)
    with ThreadPoolExecutor() as pool:
        keepers = [pool.submit(keep, modelzoo.prune_cache, max_size=50_000) for _ in range(2)]
        keepers.append(pool.submit(keep, modelzoo.verify_cache, jobs=2))
        try:
            for number in range(1, 6):
                download(number)
        finally:
            stop.set()
        assert all(keeper.result(30) for keeper in keepers)
    assert [event.message for event in events if isinstance(event, Notice)] == []
