"""Several processes that share one run: whatever becomes of one of them, the run says so."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from modelzoo.concurrency import processors
from modelzoo.events import json_schema

from tests.conftest import ROOT
from tests.processes import Downloader, children
from tests.servers.faulty import FaultyServer, serve, stall_after
from tests.servers.nginx import Nginx
from tests.zoo import add_model, content, file_entry, make_zoo, model_config, stray_files, wrong_files

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or processors() < 2, reason="one process does all the work here"
)


def members(run: Downloader) -> list[int]:
    """The processes that share the run."""
    return children(run.process.pid)


def await_end(pid: int, seconds: float) -> bool:
    """Whether the process, which may be nobody's child, ends in time."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


def options(tmp_path: Path) -> list[str | Path]:
    return ["--source", tmp_path / "zoo", "-o", tmp_path / "out", "-j8"]


def unended(events: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """The files that begin more often than they end."""
    count: Counter[tuple[str, str]] = Counter()
    for event in events:
        if event["$type"].startswith("model_file_download_"):
            step = {"begin": 1, "end": -1}.get(event["$type"].rpartition("_")[2], 0)
            count[event["model"], event["model_file"]] += step
    return +count


def test_small_files_in_great_number(nginx: Nginx, tmp_path: Path) -> None:
    expected = make_zoo(tmp_path / "zoo", nginx.root, nginx.url, models=60, files=10, size=4096)
    with Downloader(*options(tmp_path)) as run:
        events = run.until("model_file_download_end")
        assert len(members(run)) == min(processors(), 600 // 128)
        events += run.events()
        assert run.wait() == 0
        assert run.errors() == ""
    assert wrong_files(tmp_path / "out", expected) == []
    assert stray_files(tmp_path / "out", expected) == []
    assert events[0]["$type"] == "run_begin"
    assert events[-1]["bytes_network"] == sum(map(len, expected.values())) == nginx.bytes_sent()
    validator = jsonschema.Draft202012Validator(json_schema())
    assert [error.message for event in events for error in validator.iter_errors(event)] == []
    kinds = Counter(event["$type"] for event in events)
    assert (kinds["model_file_download_end"], kinds["model_download_end"]) == (600, 60)
    with Downloader(*options(tmp_path)) as again:
        assert again.until("run_end")[-1]["bytes_local"] == sum(map(len, expected.values()))


def test_a_member_that_is_killed(nginx: Nginx, tmp_path: Path) -> None:
    """Its open files end, the run fails, and the next one does the rest."""
    expected = make_zoo(tmp_path / "zoo", nginx.root, nginx.url, models=100, files=10, size=4096)
    with Downloader(*options(tmp_path)) as run:
        events = run.until("model_file_download_end", 5)
        os.kill(members(run)[0], signal.SIGKILL)
        events += run.events()
        assert run.wait() == 1
        assert "Traceback" not in run.errors()
    assert unended(events) == Counter()
    assert events[-1]["$type"] == "run_end"
    assert not events[-1]["successful"]
    with Downloader(*options(tmp_path)) as again:
        assert again.until("run_end")[-1]["successful"]
    assert wrong_files(tmp_path / "out", expected) == []


def test_members_do_not_outlive_their_run(nginx: Nginx, tmp_path: Path) -> None:
    make_zoo(tmp_path / "zoo", nginx.root, nginx.url, models=100, files=10, size=4096)
    with Downloader(*options(tmp_path)) as run:
        run.until("model_file_download_end", 5)
        others = members(run)
        run.signal(signal.SIGKILL)
        assert others
        assert [await_end(pid, 5) for pid in others] == [True] * len(others)


@pytest.mark.parametrize("everybody", [False, True], ids=["kill", "terminal"])
def test_interrupted(faulty: FaultyServer, tmp_path: Path, everybody: bool) -> None:
    """A terminal sends Ctrl-C to all processes of a run, `kill` to one."""
    data = content("x", 4096)
    faulty.default = serve(data)
    for m in range(30):
        entries = [file_entry(f"{n}.bin", data, f"{faulty.url}/{m}/{n}") for n in range(10)]
        add_model(tmp_path / "zoo", f"m{m}", model_config(entries))
    for m in (3, 4, 5, 6):
        faulty.add(f"/{m}/5", stall_after(serve(data), 100))
    with Downloader(*options(tmp_path)) as run:
        events = run.until("model_file_download_end", 296)
        faulty.wait_for(300)
        for pid in [run.process.pid, *(members(run) if everybody else [])]:
            os.kill(pid, signal.SIGINT)
        events += run.events()
        assert run.wait() == 130
        assert run.errors().splitlines() == ["downloader.py: interrupted"]
    assert unended(events) == Counter()
    assert (events[-1]["$type"], events[-1]["reason"]) == ("run_end", "interrupted")
    ends = [e for e in events if e["$type"] == "model_file_download_end"]
    assert Counter(e.get("reason") for e in ends) == {None: 296, "interrupted": 4}


SHARED = """
import json, os
from modelzoo.cancel import Cancel
from modelzoo.clock import Clock
from modelzoo.run.crew import Crew, Ended
from modelzoo.transfer.engine import Engine
from modelzoo.events import Notice
from modelzoo.web.gates import Hold
from modelzoo.stores import Settings, Stores
import threading

def act(position, numbers, link):
    learned = threading.Event()
    link.listen(lambda lesson: (link.tell(Notice(message=repr(lesson))), learned.set()))
    if next(numbers) == 0:
        link.teach(Hold("host:80", 5.0))
    else:
        learned.wait()
    return Ended({}, False, 1000)

told = []
crew = Crew(2, 2, act)
engine = Engine(Stores(Settings()), None, told.append, Clock(), Cancel())
with crew:
    ended = crew.relay(engine)
print(json.dumps([[event.message for event in told], ended.network, engine.gates.wait("http://host/")]))
"""


def test_what_one_learns_all_respect() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHARED], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    messages, network, wait = json.loads(done.stdout)
    assert messages == ["Hold(gate='host:80', seconds=5.0)"]
    assert network == 2000
    assert 0 < wait <= 5
