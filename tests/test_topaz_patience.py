"""Topaz models from a server that fails, is slow, or says little; and runs that are cut off."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import modelzoo
import pytest
from modelzoo.errors import Reason
from modelzoo.events import ModelFileDownloadBegin, ModelFileDownloadEnd, ModelFileRetry, RunBegin
from modelzoo.web.topaz_cdn import use_cookie

from tests.conftest import tool
from tests.engine import Recorder, bring_all
from tests.processes import Downloader
from tests.servers.faulty import (
    close_delimited,
    drip,
    drop_connection,
    hold_after,
    pause_before,
    serve,
    status,
    truncate_after,
)
from tests.topaz import COOKIE, ONE, ONNX, Cdn, settle
from tests.zoo import content, tree


@pytest.fixture
def cdn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cdn]:
    """The server; the user is settled."""
    with Cdn() as server:
        settle(tmp_path, server, monkeypatch)
        yield server
        assert server.errors == []


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The application's folder."""
    return tmp_path / "data"


def fetch(name: str, out: Path, **options: int) -> tuple[modelzoo.ModelZooError | None, Recorder]:
    """Fetch a model with a clock that jumps; the events, and what failed."""
    recorder = Recorder()
    use_cookie()
    summary = bring_all(modelzoo.find(name, sources="topaz"), out, recorder=recorder, **options)
    return (None if summary.successful else modelzoo.DownloadFailed(summary)), recorder


@pytest.mark.parametrize(
    ("options", "waits"),
    [({}, [1, 8, 27, 64]), ({"attempts": 3}, [1, 8]), ({"attempts": 1}, [])],
    ids=["five attempts", "as told", "one"],
)
def test_waits_are_cubes_and_a_spent_file_fails_alone(
    cdn: Cdn, tmp_path: Path, options: dict[str, int], waits: list[int]
) -> None:
    cdn.publish_all(*ONNX)
    cdn.add(f"/{ONNX[1]}", cdn.guarded(status(500)))
    error, recorder = fetch("prob-3", tmp_path / "out", **options)
    assert error
    assert [event.wait for event in recorder.of(ModelFileRetry)] == waits
    assert cdn.asked().count(ONNX[1]) == len(waits) + 1
    ends = {event.model_file: event.reason for event in recorder.of(ModelFileDownloadEnd)}
    assert ends == dict.fromkeys(ONNX) | {ONNX[1]: Reason.SERVER_ERROR}


def test_what_passes_is_tried_again(cdn: Cdn, tmp_path: Path) -> None:
    body = content("body", 9000)
    cdn.add(
        f"/{ONE}",
        cdn.guarded(drop_connection()),
        cdn.guarded(status(429, headers={"Retry-After": "3"})),
        cdn.guarded(truncate_after(serve(body), 5000)),
        cdn.guarded(serve(body)),
    )
    error, recorder = fetch("amq-13", tmp_path / "out")
    assert error is None
    assert (tmp_path / "out" / ONE).read_bytes() == body
    assert [event.wait for event in recorder.of(ModelFileRetry)] == [1, 3, 27]
    assert cdn.requests[-1].headers["range"] == "bytes=5000-"
    assert [(e.size, e.size_known) for e in recorder.of(ModelFileDownloadBegin)] == [(-1, False)]


def test_a_stale_cookie_is_not_tried_again(cdn: Cdn, tmp_path: Path) -> None:
    cdn.publish(ONE)
    cdn.cookie = "renewed"
    error, recorder = fetch("amq-13", tmp_path / "out")
    assert error
    assert error.reason == Reason.ACCESS_DENIED
    assert recorder.of(ModelFileRetry) == []


def test_a_file_begins_with_the_size_of_the_answer(cdn: Cdn, tmp_path: Path) -> None:
    cdn.publish(ONE, 4321)
    _, recorder = fetch("amq-13", tmp_path / "out")
    assert recorder.of(RunBegin)[0].size == 0
    assert [(e.size, e.size_known) for e in recorder.of(ModelFileDownloadBegin)] == [(4321, True)]
    _, again = fetch("amq-13", tmp_path / "out")
    assert [(e.size, e.size_known) for e in again.of(ModelFileDownloadBegin)] == [(4321, True)]
    assert [e.origin for e in again.of(ModelFileDownloadEnd)] == ["local"]


def test_an_answer_without_a_length(cdn: Cdn, tmp_path: Path) -> None:
    body = content("body", 2000)
    cdn.add(f"/{ONE}", cdn.guarded(close_delimited(body)))
    error, recorder = fetch("amq-13", tmp_path / "out")
    assert error is None
    assert [(e.size, e.size_known) for e in recorder.of(ModelFileDownloadBegin)] == [(-1, False)]
    assert [(e.size, e.verified) for e in recorder.of(ModelFileDownloadEnd)] == [(2000, False)]


def test_a_page_with_status_200_is_no_model(cdn: Cdn, tmp_path: Path) -> None:
    page = serve(b"<!DOCTYPE html><html>Just a moment...</html>", content_type="text/html")
    cdn.add(f"/{ONE}", cdn.guarded(page))
    error, _ = fetch("amq-13", tmp_path / "out")
    assert error
    assert error.reason == Reason.WRONG_CONTENT
    assert not (tmp_path / "out" / ONE).exists()


def test_every_part_of_a_slow_file_is_asked_for_with_the_cookie(cdn: Cdn, data: Path) -> None:
    body = content(ONE, 6_000_000)
    cdn.add(f"/{ONE}", cdn.guarded(drip(serve(body), 1_500_000)))
    tool("downloader", "--name", "amq-13")
    assert tree(data) == {ONE: body}
    assert len(cdn.requests) > 1
    assert {r.headers["cookie"] for r in cdn.requests} == {f"cf_clearance={COOKIE}"}


def test_a_killed_run_goes_on(cdn: Cdn, data: Path) -> None:
    size, part = 3_000_000, 1_500_000
    body, release = content(ONE, size), threading.Event()
    cdn.add(f"/{ONE}", cdn.guarded(hold_after(serve(body), part, release)), cdn.guarded(serve(body)))
    with Downloader("--name", "amq-13", "--progress_interval=0", all=False) as run:
        for event in run.events():
            if event["$type"] == "model_file_download_progress" and event["size"] == part:
                break
        run.signal(signal.SIGKILL)
        run.wait()
    release.set()
    assert f"{ONE}.download" in tree(data)
    assert ONE not in tree(data)
    tool("downloader", "--name", "amq-13")
    assert tree(data) == {ONE: body}
    assert cdn.requests[-1].headers["range"].startswith("bytes=")


def test_what_an_interrupted_run_began_it_ends(cdn: Cdn, data: Path) -> None:
    never = threading.Event()
    cdn.publish(ONNX[0])
    cdn.add(f"/{ONNX[1]}", cdn.guarded(hold_after(serve(content("x", 3000)), 1000, never)))
    cdn.add(f"/{ONNX[2]}", cdn.guarded(pause_before(serve(b""), never)))
    with Downloader("--name", "prob-3", "-j2", "--progress_interval=0", all=False) as run:
        events = run.until("model_file_download_begin", 2)
        cdn.wait_for(3)  # so the first file has ended
        run.signal(signal.SIGINT)
        events += run.events()
        assert run.wait() == 130
    begun = {e["model_file"]: e["size"] for e in events if e["$type"] == "model_file_download_begin"}
    ended = [e["model_file"] for e in events if e["$type"] == "model_file_download_end"]
    assert sorted(ended) == sorted(begun)
    assert begun.items() >= {ONNX[0]: 3000, ONNX[1]: 3000}.items()
    assert ONNX[3] not in begun
    assert (events[-1]["$type"], events[-1]["reason"]) == ("run_end", "interrupted")
    assert [name for name in tree(data) if not name.endswith(".download")] == [ONNX[0]]
