"""Two runs at once on one output folder, also where files are patched and archives removed."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import modelzoo
import pytest
from modelzoo.events import Event, Notice

from tests.archives import add_patched_model
from tests.processes import Downloader
from tests.servers import faulty as f
from tests.servers.faulty import FaultyServer
from tests.zoo import make_zoo, stray_files, tree, wrong_files


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_postprocessed_model_is_made_once(tmp_path: Path, faulty: FaultyServer, jobs: int) -> None:
    """The second run waits for the first one, and finds all done; nothing is patched twice."""
    files, result = add_patched_model(tmp_path / "zoo", f"{faulty.url}/")
    waiting = threading.Event()
    for name, data in files.items():
        faulty.add(f"/{name}", f.hold_after(f.serve(data), 1, waiting))

    def download() -> list[Event]:
        events: list[Event] = []

        def report(event: Event) -> None:
            events.append(event)
            if isinstance(event, Notice) and event.message == "another process works on m":
                waiting.set()

        modelzoo.download("m", tmp_path / "out", sources=[tmp_path / "zoo"], jobs=jobs, report=report)
        return events

    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(download) for _ in range(2)]
        steps = [{type(event).__name__ for event in run.result(30)} for run in runs]
    assert sum("ModelPostprocessingBegin" in names for names in steps) == 1
    assert Counter(request.path for request in faulty.requests) == {f"/{name}": 1 for name in files}
    assert tree(tmp_path / "out" / "m") == result
    assert [path.name for path in (tmp_path / "out" / ".modelzoo").iterdir()] == ["receipts"]


def test_many_models_and_two_processes(tmp_path: Path, faulty: FaultyServer) -> None:
    served = tmp_path / "served"
    expected = make_zoo(tmp_path / "zoo", served, faulty.url, models=6, files=4, size=70_000)
    files, result = add_patched_model(tmp_path / "zoo", f"{faulty.url}/")
    for path in served.rglob("*.bin"):
        faulty.add(f"/{path.relative_to(served).as_posix()}", f.serve(path.read_bytes()))
    for name, data in files.items():
        faulty.add(f"/{name}", f.serve(data))
    options = ["--source", tmp_path / "zoo", "-o", tmp_path / "out", "-j3"]
    with Downloader(*options) as first, Downloader(*options) as second:
        ends = [downloader.until("run_end")[-1] for downloader in (first, second)]
        assert (first.wait(), second.wait()) == (0, 0)
    assert [end["successful"] for end in ends] == [True, True]
    assert set(Counter(request.path for request in faulty.requests).values()) == {1}
    assert tree(tmp_path / "out" / "m") == result
    assert not wrong_files(tmp_path / "out", expected)
    assert not [name for name in stray_files(tmp_path / "out", expected) if not name.startswith("m/")]
