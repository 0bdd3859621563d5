"""`import modelzoo`: what programs get, the exceptions with their fields, and the report callback."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import modelzoo
import pytest
from modelzoo.events import (
    Event,
    ModelDownloadEnd,
    ModelFileDownloadBegin,
    ModelFileDownloadEnd,
    ModelFileDownloadProgress,
    RunBegin,
    RunEnd,
)
from modelzoo.run.setup import MAX_JOBS

from tests.conftest import tool
from tests.engine import Recorder
from tests.servers.faulty import FaultyServer, hold_after, serve, status
from tests.zoo import add_local_model, add_model, content, file_entry, make_zoo, model_config, tree

DATA = content("api", 3_000_000)
PATCH = {"$type": "regex_replace", "file": "a.bin", "pattern": "a", "replacement": "b"}


@pytest.fixture
def zoo(faulty: FaultyServer, tmp_path: Path) -> Path:
    """A source with models of every kind."""
    root = tmp_path / "zoo"
    faulty.default = serve(DATA)
    faulty.add("/gone", status(404))
    for name in ("remote", "gone"):
        add_model(root, name, model_config([file_entry("a.bin", DATA, f"{faulty.url}/{name}")]))
    add_local_model(root, "local", {"a.bin": b"abc"}, tags=["small"], version="2")
    add_local_model(root, "wrong", {"a.bin": b"x"}, postprocessing=[PATCH], task_type="detection")
    return root


def test_find_and_list(zoo: Path) -> None:
    sources = [zoo]
    assert modelzoo.list_models(sources=sources) == ["gone", "local", "remote", "wrong"]
    assert [m.id for m in modelzoo.find(sources=sources)] == ["gone", "local", "remote", "wrong"]

    def ids(*args: Any, **filters: Any) -> list[str]:
        return [m.id for m in modelzoo.find(*args, sources=sources, **filters)]

    assert ids("*o*") == ["gone", "local", "remote", "wrong"]
    assert ids(["remote", "local"]) == ids(iter(["remote", "local"])) == ["remote", "local"]
    assert ids(exclude=["gone", "w*"]) == ["local", "remote"]
    assert ids(tag="small") == ids("local@2") == ids("zoo:local") == ["local"]
    assert ids(task="detection", framework="onnx", license="*example*") == ["wrong"]
    (model,) = modelzoo.find("local", sources=[str(zoo)])
    assert isinstance(model, modelzoo.Model)
    assert isinstance(model.files[0], modelzoo.ModelFile)
    assert (model.files[0].name, model.files[0].size) == ("a.bin", 3)
    with pytest.raises(AttributeError):
        model.id = "other"  # type: ignore[misc]


def test_info_is_what_the_dumper_prints(zoo: Path) -> None:
    printed = tool("info_dumper", "--source", zoo, "--name", "l*,remote").stdout
    assert modelzoo.info(["l*", "remote"], sources=[zoo]) == json.loads(printed)


def test_sources_come_from_the_environment_as_for_the_commands(
    zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "prob-wine-mlp" in modelzoo.list_models()
    monkeypatch.setenv("MODELZOO_SOURCE", f"\n{zoo}\ndemo\n")
    names = tool("downloader", "--print_all").stdout.split()
    assert modelzoo.list_models() == names
    assert names[:2] == ["gone", "local"]
    for sources in (["demo"], "demo", iter(["demo"])):
        assert modelzoo.list_models(sources=sources)[0] == "prob-breast-cancer-logistic"


def test_download(faulty: FaultyServer, zoo: Path, tmp_path: Path) -> None:
    recorder = Recorder()
    summary = modelzoo.download(
        ["remote", "local"], str(tmp_path / "out"), jobs=4, sources=[zoo], report=recorder
    )
    assert (tmp_path / "out" / "remote" / "a.bin").read_bytes() == DATA
    assert (summary.successful, summary.interrupted, summary.output_dir) == (
        True, False, str(tmp_path / "out"),
    )  # fmt: skip
    assert {m.model: [f.origin for f in m.files] for m in summary.models} == {
        "remote": ["network"],
        "local": ["local"],
    }
    assert isinstance(recorder.events[0], RunBegin)
    assert isinstance(recorder.events[-1], RunEnd)
    again = modelzoo.download("remote", tmp_path / "out", sources=[zoo], offline=True)
    assert again.models[0].files[0].origin == "local"
    assert len(faulty.requests) == 1
    forced = modelzoo.download(
        "remote", tmp_path / "out", sources=[zoo], force=True, cache_dir=str(tmp_path / "cache")
    )
    assert forced.models[0].files[0].origin == "network"


def test_precisions(tmp_path: Path) -> None:
    files = {f"{p}/m.{end}": p.encode() for p in ("FP16", "FP32") for end in ("xml", "bin")}
    extra = {"framework": "dldt", "model_optimizer_args": None}
    add_local_model(tmp_path / "zoo", "m", files, **extra)
    modelzoo.download("m", tmp_path / "out", precisions=["FP16"], sources=[tmp_path / "zoo"])
    assert sorted(p.name for p in (tmp_path / "out" / "m").iterdir()) == ["FP16"]
    modelzoo.download("m", tmp_path / "out", precisions="FP16,FP32", sources=[tmp_path / "zoo"])
    assert sorted(p.name for p in (tmp_path / "out" / "m").iterdir()) == ["FP16", "FP32"]


find, download = modelzoo.find, modelzoo.download


@pytest.mark.parametrize(
    ("call", "kind", "reason", "text"),
    [
        (lambda: find("aclnt"), modelzoo.SelectionError, "not_found", "Did you mean aclnet?"),
        (lambda: find(sources=["nowhere"]), modelzoo.SelectionError, "not_found", "nowhere"),
        (lambda: download("x", sources=["."]), modelzoo.CatalogError, "invalid_catalog", "known"),
        (lambda: download([], precisions="FP1"), modelzoo.SelectionError, "not_found", "FP16"),
        (lambda: download([], jobs=0), modelzoo.UsageError, "invalid_request", "got 0"),
        (lambda: download([], jobs=MAX_JOBS + 1), modelzoo.UsageError, "invalid_request", "jobs"),
        (lambda: download([], num_attempts=0), modelzoo.UsageError, "invalid_request", "attempt"),
        (lambda: download([], timeout=0), modelzoo.UsageError, "invalid_request", "timeout"),
        (lambda: download([], timeout=math.nan), modelzoo.UsageError, "invalid_request", "nan"),
        (lambda: download([], progress_interval=-1), modelzoo.UsageError, "invalid_request", "-1"),
        (
            lambda: download([], progress_interval=math.nan),
            modelzoo.UsageError,
            "invalid_request",
            "nan",
        ),
        (lambda: download([], progress_interval=1e9), modelzoo.UsageError, "invalid_request", "3600"),
    ],
)
def test_errors_have_a_family_and_a_reason(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: Callable[[], Any],
    kind: type[modelzoo.ModelZooError],
    reason: str,
    text: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind) as caught:
        call()
    assert isinstance(caught.value, modelzoo.ModelZooError)
    assert caught.value.reason == modelzoo.Reason(reason)
    assert text in str(caught.value) == caught.value.message
    assert tree(tmp_path) == {}


def test_near_names_are_a_field() -> None:
    with pytest.raises(modelzoo.SelectionError) as caught:
        modelzoo.find("prob-wine-mlq", sources=["demo"])
    assert caught.value.near[0] == "prob-wine-mlp"


def test_a_failed_download_tells_everything(zoo: Path, tmp_path: Path) -> None:
    with pytest.raises(modelzoo.DownloadFailed) as caught:
        modelzoo.download(["local", "gone", "wrong"], tmp_path / "out", sources=[zoo])
    error = caught.value
    assert str(error).startswith("2 of 3 models failed: gone, wrong; the first because http://")
    assert error.reason == "not_found"
    assert [m.successful for m in error.summary.models] == [True, False, False]
    assert error.summary.models[1].files[0].reason == "not_found"
    assert error.summary.models[2].reason == "postprocessing_failed"
    with pytest.raises(modelzoo.DownloadFailed, match=r"because .*wrong/a\.bin: expected") as caught:
        modelzoo.download("wrong", tmp_path / "out", sources=[zoo])
    assert caught.value.reason == "postprocessing_failed"


def test_the_report_is_never_called_twice_at_once(faulty: FaultyServer, tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    expected = make_zoo(tmp_path / "zoo", tmp_path / "served", faulty.url, models=8, files=4, size=1000)
    for path in expected:
        faulty.add(path.removeprefix("public"), serve(expected[path]))
    inside, threads, crowded = threading.Lock(), set(), []

    def report(event: Event) -> None:
        crowded.append(not inside.acquire(blocking=False))
        threads.add(threading.get_ident())
        sum(range(500))  # long enough for another thread to get here
        inside.release()

    modelzoo.download("*", tmp_path / "out", jobs=8, report=report, sources=[tmp_path / "zoo"])
    assert not any(crowded)
    assert len(crowded) >= 2 + 8 * 2 + 32 * 2
    assert len(threads) > 2


class Stop(Exception):
    """Raised by reports."""


ERRORS = [
    Stop("x"),
    OSError(28, "disk full"),
    ValueError("x"),
    SystemExit(3),
    KeyboardInterrupt(),
    modelzoo.TransferError(modelzoo.Reason.NETWORK, "x"),
    modelzoo.StorageError("x"),
    modelzoo.Interrupted(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "kind", [RunBegin, ModelFileDownloadBegin, ModelFileDownloadProgress, ModelFileDownloadEnd, RunEnd]
)
def test_what_the_report_raises_stops_the_run(
    faulty: FaultyServer, zoo: Path, tmp_path: Path, error: BaseException, kind: type[Event]
) -> None:
    """Whatever it is, it is no failure of a file, and the report hears nothing more."""
    faulty.add("/held", hold_after(serve(DATA), 1_500_000, threading.Event()))
    held = model_config([file_entry("a.bin", DATA, f"{faulty.url}/held")])
    if kind is not RunEnd:
        add_model(zoo, "held", held)
    seen: list[Event] = []

    def report(event: Event) -> None:
        seen.append(event)
        if isinstance(event, kind):
            raise error

    with pytest.raises(type(error)) as caught:
        modelzoo.download(
            ["remote", "local", *(["held"] if kind is not RunEnd else [])],
            tmp_path / "out", jobs=2, sources=[zoo], report=report, cache_dir=tmp_path / "cache",
            progress_interval=0, num_attempts=3,
        )  # fmt: skip
    assert caught.value is error
    assert isinstance(seen[-1], kind)
    assert [type(event) for event in seen].count(kind) == 1
    assert not [e for e in seen if isinstance(e, ModelDownloadEnd) and not e.successful]


def test_ctrl_c_raises_interrupted(faulty: FaultyServer, zoo: Path, tmp_path: Path) -> None:
    faulty.default = hold_after(serve(DATA), 2_000_000, threading.Event())
    recorder = Recorder()

    def report(event: Event) -> None:
        recorder(event)
        if isinstance(event, ModelFileDownloadProgress) and len(recorder.of(type(event))) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(modelzoo.Interrupted):
        modelzoo.download("remote", tmp_path / "out", sources=[zoo], report=report, progress_interval=0)
    assert recorder.of(RunEnd)[0].reason == "interrupted"
    assert (tmp_path / "out" / "remote" / "a.bin.download").stat().st_size > 0


def test_the_import_is_light() -> None:
    code = (
        "import sys; before = set(sys.modules); import modelzoo; modelzoo.__version__; dir(modelzoo);"
        "print(*sorted(m.partition('.')[0] for m in set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"requests", "urllib3", "msgspec", "yaml", "filelock", "rich", "argparse", "ssl", "json"}
    assert not heavy & set(done.stdout.split())


def test_the_names_are_all_there() -> None:
    assert set(modelzoo.__all__) == set(dir(modelzoo))
    assert all(getattr(modelzoo, name) is not None for name in modelzoo.__all__)
    with pytest.raises(AttributeError, match="module 'modelzoo' has no attribute 'nothing'"):
        _ = modelzoo.nothing
