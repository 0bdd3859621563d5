"""Topaz models from a server like Topaz's: the cookie, patience, sizes, and where files go."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import modelzoo
import pytest
from modelzoo.errors import Reason
from modelzoo.events import ModelFileDownloadBegin, ModelFileDownloadEnd, ModelFileRetry, RunBegin
from modelzoo.topaz_cdn import use_cookie

from tests.conftest import tool
from tests.engine import Recorder, bring_all
from tests.processes import Downloader
from tests.servers.faulty import (
    FaultyServer,
    close_delimited,
    drip,
    drop_connection,
    hold_after,
    pause_before,
    redirect,
    serve,
    status,
    truncate_after,
)
from tests.topaz import AMQ, COOKIE, PROB, Cdn, add_topaz
from tests.zoo import add_model, content, file_entry, model_config, tree

ONNX = [
    f"prob-v3-fgnet-fp32-{size}-{scale}x-ox.tz" for size in ("256x352", "576x672") for scale in "12"
]
ONNX16 = "prob-v3-fgnet-fp16-576x672-1x-ox.tz"
ONE = "amq-v13-fgnet-fp32-576x672-1x-ox.tz"
"""The file of amq-13 for the backend onnx."""


@pytest.fixture
def cdn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cdn]:
    """The server, and a user who has the application, its data folder and the cookie."""
    with Cdn() as server:
        add_topaz(tmp_path / "json", PROB, AMQ)
        monkeypatch.setenv("TVAI_MODEL_DIR", str(tmp_path / "json"))
        monkeypatch.setenv("TVAI_MODEL_DATA_DIR", str(tmp_path / "data"))
        monkeypatch.setenv("TVAI_COOKIE", COOKIE)
        monkeypatch.setenv("MODELZOO_TOPAZ_URL", server.url)
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
        yield server
        assert server.errors == []


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The application's folder."""
    return tmp_path / "data"


def publish_prob(cdn: Cdn) -> dict[str, bytes | str]:
    return {name: cdn.publish(name) for name in ONNX}


def test_files_land_flat_in_the_applications_folder(cdn: Cdn, data: Path, tmp_path: Path) -> None:
    expected = publish_prob(cdn)
    done = tool("downloader", "--name", "prob-3", cwd=tmp_path)
    assert tree(data) == expected
    assert sorted(cdn.asked()) == ONNX
    (receipt,) = (tmp_path / "user").rglob("prob-3.json")
    assert receipt.parent.name == "topaz"
    again = tool("downloader", "--source", "topaz", "--name", "prob-*", cwd=tmp_path)
    assert len(cdn.asked()) == len(ONNX)
    assert again.stdout.count("Present") == len(ONNX)
    for place in (done.stdout, done.stderr, *(p.read_text() for p in (tmp_path / "user").rglob("*.*"))):
        assert COOKIE not in place


def test_only_missing_files_are_fetched(cdn: Cdn, data: Path) -> None:
    publish_prob(cdn)
    data.mkdir()
    (data / ONNX[0]).write_bytes(b"what the application brought itself")
    (data / ONNX[1]).write_bytes(b"")
    tool("downloader", "--name", "prob-3", "-j4")
    assert sorted(cdn.asked()) == ONNX[2:]
    assert (data / ONNX[0]).read_bytes() == b"what the application brought itself"


def test_another_place_and_another_backend(cdn: Cdn, tmp_path: Path) -> None:
    expected = cdn.publish(ONNX16)
    out = tmp_path / "out"
    tool("downloader", "--name", "prob-3", "-o", out, environ={"TVAI_BACKEND": "onnx16"})
    assert (out / ONNX16).read_bytes() == expected
    assert sorted(path.name for path in out.iterdir()) == [".modelzoo", ONNX16]
    tool("downloader", "--name", "prob-3", "-o", out, "--backend", "tensorrt-off")
    assert cdn.asked() == [ONNX16]
    engine = "prob-v3-fgnet-fp16-576x672-1x-rt8517-806.tz"
    cdn.publish(engine)
    tool("downloader", "--name", "prob-3", "-o", out, "--backend=tensorrt", "--gpu=RTX30")
    assert cdn.asked() == [ONNX16, engine]


def test_without_a_folder_of_the_application(
    cdn: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TVAI_MODEL_DATA_DIR")
    cdn.publish(ONE)
    (tmp_path / "here").mkdir()
    tool("downloader", "--name", "amq-13", cwd=tmp_path / "here")
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == [".modelzoo", ONE]


def test_the_applications_own_variable_beats_the_general_one(
    cdn: Cdn, data: Path, tmp_path: Path
) -> None:
    cdn.publish(ONE)
    environ = {"MODELZOO_OUTPUT_DIR": str(tmp_path / "general")}
    names = ["--source", "topaz", "--source", "demo", "--name", "amq-13,prob-wine-mlp"]
    tool("downloader", *names, environ=environ, cwd=tmp_path)
    assert list(tree(data)) == [ONE]
    assert (tmp_path / "general" / "demo" / "prob-wine-mlp" / "labels.txt").is_file()
    tool("downloader", *names, "-o", tmp_path / "told", environ=environ)
    assert (tmp_path / "told" / ONE).is_file()


@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.parametrize(
    ("cookie", "said"), [("STALE-S3CRET", "was sent and refused"), ("", "was not given")]
)
def test_a_wrong_cookie_ends_the_transfers_of_its_host(
    cdn: Cdn, data: Path, tmp_path: Path, cookie: str, said: str, jobs: int
) -> None:
    publish_prob(cdn)
    with FaultyServer(host="127.0.0.2") as other:
        entry = file_entry("a.bin", content("a", 10), f"{other.url}/a")
        other.add("/a", serve(content("a", 10)))
        add_model(tmp_path / "zoo", "other", model_config([entry]))
        sources = ["--source", "topaz", "--source", tmp_path / "zoo", "--name", "prob-3,other"]
        done = tool(
            "downloader", *sources, f"-j{jobs}", cwd=tmp_path, environ={"TVAI_COOKIE": cookie}, check=1
        )
        assert "cookie" not in other.requests[0].headers
    assert len(cdn.requests) <= jobs
    assert {request.headers.get("cookie", "") for request in cdn.requests} == {
        f"cf_clearance={cookie}" if cookie else ""
    }
    assert (tmp_path / "other" / "a.bin").is_file()
    assert "FAILED:\nprob-3\n" in done.stdout
    first = done.stderr.splitlines()[0]
    assert f"the server answered 403 Forbidden; the cookie cf_clearance (TVAI_COOKIE) {said}; " in first
    assert "developer tools" in first
    assert "S3CRET" not in done.stdout + done.stderr
    assert done.stderr.count("prob-3: ") == len(ONNX)
    assert "trying again" not in done.stderr
    assert tree(data) == {}


def test_the_cookie_does_not_follow_a_redirect(cdn: Cdn, data: Path) -> None:
    with FaultyServer(host="127.0.0.2") as other:
        other.add("/elsewhere", serve(content("x", 50)))
        cdn.add(f"/{ONE}", cdn.guarded(redirect("/moved")))
        cdn.add("/moved", cdn.guarded(redirect(f"{other.url}/elsewhere")))
        tool("downloader", "--name", "amq-13")
        assert [request.headers.get("cookie") for request in cdn.requests] == [
            f"cf_clearance={COOKIE}"
        ] * 2
        assert "cookie" not in other.requests[0].headers
    assert (data / ONE).read_bytes() == content("x", 50)


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
    publish_prob(cdn)
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


def test_python(cdn: Cdn, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cdn.publish(ONNX16)
    monkeypatch.delenv("TVAI_COOKIE")
    assert modelzoo.list_models(sources="topaz") == ["amq-13", "prob-3"]
    assert modelzoo.list_models(sources="topaz", backend="onnx16") == ["prob-3"]
    assert "prob-3" in modelzoo.list_models(backend="tensorrt", gpu="RTX20")
    assert [m["name"] for m in modelzoo.info("*-13", sources="topaz", backend="coreml")] == ["amq-13"]
    models = modelzoo.find("prob-3", sources="topaz", backend="onnx16")
    with pytest.raises(modelzoo.DownloadFailed, match="cf_clearance"):
        modelzoo.download(models)
    assert modelzoo.download(models, cookie=COOKIE).models[0].output_dir == str(data)
    assert list(tree(data)) == [ONNX16]
    modelzoo.download("prob-3", tmp_path / "b", sources="topaz", backend="onnx16", cookie=COOKIE)
    assert (tmp_path / "b" / ONNX16).is_file()
    with pytest.raises(modelzoo.UsageError, match="cookie") as caught:
        modelzoo.download("prob-3", cookie="S3CRET\r\nX: y")
    assert "S3CRET" not in str(caught.value)
    with pytest.raises(modelzoo.SelectionError, match=r"No files for the backend onnx16: amq-13\."):
        modelzoo.find("amq-13", sources="topaz", backend="onnx16")
