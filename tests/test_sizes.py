"""Dry runs of files whose size no catalog tells: a server is asked, or it is an estimate."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import tool
from tests.processes import Downloader
from tests.servers.faulty import Step, drop_connection, pause_before, redirect, serve, status
from tests.topaz import COOKIE, ONE, ONNX, ONNX16, Cdn, add_topaz, settle
from tests.zoo import content, tree

AVERAGE = 91 << 20


@pytest.fixture
def cdn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cdn]:
    """The server, with files of 1000, 2000, 3000 and 4000 bytes for prob-3."""
    with Cdn() as server:
        settle(tmp_path, server, monkeypatch)
        monkeypatch.delenv("TVAI_COOKIE")
        for number, name in enumerate(ONNX, 1):
            server.publish(name, 1000 * number)
        yield server
        assert server.errors == []


def dry_run(*arguments: str, status: int = 0, cookie: str = COOKIE) -> tuple[dict[str, Any], str]:
    """The document, and what was said on standard error."""
    command = ["--source", "topaz", "--dry_run", "--progress_format=json", *arguments]
    done = tool("downloader", *command, check=status, environ={"TVAI_COOKIE": cookie})
    found: dict[str, Any] = json.loads(done.stdout)
    return found, done.stderr


def rows(found: dict[str, Any]) -> list[tuple[int | None, int | None, bool]]:
    return [(f["size"], f["missing"], f["estimated"]) for m in found["models"] for f in m["files"]]


def test_the_server_is_asked_with_the_cookie(cdn: Cdn, tmp_path: Path) -> None:
    found, said = dry_run("--name", "prob-3")
    assert rows(found) == [(n * 1000, n * 1000, False) for n in (1, 2, 3, 4)]
    assert (found["size"], found["missing"], found["estimated"]) == (10_000, 10_000, 0)
    assert found["unknown_sizes"] == 0
    assert said == ""
    assert sorted(cdn.asked("HEAD")) == ONNX
    assert cdn.asked("GET") == []
    assert not (tmp_path / "data").exists()
    tool("downloader", "--name", "prob-3", environ={"TVAI_COOKIE": COOKIE})
    assert sum(request.sent for request in cdn.requests) == found["missing"]
    after, _ = dry_run("--name", "prob-3")
    assert len(cdn.asked("HEAD")) == len(ONNX)
    assert rows(after) == [(n * 1000, 0, False) for n in (1, 2, 3, 4)]
    assert (after["size"], after["missing"]) == (10_000, 0)


def test_only_what_has_to_come_is_asked_for(cdn: Cdn, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / ONNX[0]).write_bytes(b"the application's")
    (tmp_path / "data" / f"{ONNX[3]}.download").write_bytes(content(ONNX[3], 4000)[:1500])
    found, _ = dry_run("--name", "prob-3")
    assert [row[1] for row in rows(found)] == [0, 2000, 3000, 2500]
    states = [file["state"] for file in found["models"][0]["files"]]
    assert states == ["present", "absent", "absent", "partial"]
    assert sorted(cdn.asked("HEAD")) == ONNX[1:]


@pytest.mark.parametrize("arguments", [[], ["--backend", "onnx16"]], ids=["onnx", "onnx16"])
def test_estimates_without_a_cookie(cdn: Cdn, arguments: list[str]) -> None:
    found, said = dry_run("--name", "prob-3", *arguments, cookie="")
    average, count = (AVERAGE // 2, 1) if arguments else (AVERAGE, 4)
    assert rows(found) == [(average, average, True)] * count
    assert (found["missing"], found["estimated"]) == (average * count,) * 2
    assert (found["unknown_sizes"], said) == (0, "")
    assert cdn.requests == []
    command = ["--source", "topaz", "--dry_run", "--name", "prob-3", *arguments]
    lines = tool("downloader", *command).stdout.splitlines()
    assert all(f", about {average} bytes (an estimate) <- http" in line for line in lines[1:-1])
    total = average * count
    assert lines[-1] == (
        f"{total} bytes ({total / 2**20:.1f} MiB) would be fetched, "
        f"of which {total / 2**20:.1f} MiB are an estimate."
    )


def test_estimates_learn_from_receipts_of_the_same_backend(cdn: Cdn) -> None:
    cdn.publish(ONNX16, 7)
    tool("downloader", "--name", "prob-3", environ={"TVAI_COOKIE": COOKIE})
    tool("downloader", "--name", "prob-3", "--backend=onnx16", environ={"TVAI_COOKIE": COOKIE})
    found, _ = dry_run("--name", "amq-13", cookie="")
    assert rows(found) == [(2500, 2500, True)]
    found, _ = dry_run("--name", "amq-13", "--backend", "coreml", cookie="")
    assert rows(found) == [(AVERAGE, AVERAGE, True)]


def test_a_stale_cookie_is_an_obstacle(cdn: Cdn) -> None:
    cdn.cookie = "renewed"
    found, said = dry_run("--name", "prob-3", status=1)
    assert {row[2] for row in rows(found)} == {True}
    assert said.count("\n") == 1
    assert "403 Forbidden; the cookie cf_clearance (TVAI_COOKIE) was sent and refused" in said
    assert COOKIE not in said
    assert len(cdn.requests) <= len(ONNX)


@pytest.mark.parametrize(
    ("step", "size", "problem"),
    [
        (status(404), None, "404 Not Found"),
        (status(500), None, ""),
        (status(429), None, ""),
        (drop_connection(), None, ""),
        (redirect("/elsewhere"), 50, ""),
        (serve(b"x" * 9), 9, ""),
    ],
    ids=["404", "500", "429", "dropped", "moved", "well"],
)
def test_what_the_server_says_instead(cdn: Cdn, step: Step, size: int | None, problem: str) -> None:
    cdn.add("/elsewhere", cdn.guarded(serve(b"y" * 50)))
    cdn.add(f"/{ONE}", cdn.guarded(step))
    found, said = dry_run("--name", "amq-13", status=bool(problem))
    assert rows(found) == [(AVERAGE, AVERAGE, True) if size is None else (size, size, False)]
    assert problem in said
    assert bool(said) == bool(problem)


def test_a_host_that_fails_is_left_alone(cdn: Cdn) -> None:
    from modelzoo.run.sizes import AT_ONCE

    many = {"onnx": {"scales": {"1": {"nets": ["[H].tz"], "blocks": list(range(200))}}}}
    add_topaz(Path(os.environ["TVAI_MODEL_DIR"]), {"shortName": "m", "version": 1, "backends": many})
    cdn.default = status(503)
    found, said = dry_run("--name", "m-1")
    assert (len(rows(found)), said) == (100, "")
    assert len(cdn.requests) <= AT_ONCE


def test_offline_asks_nobody(cdn: Cdn) -> None:
    found, said = dry_run("--name", "prob-3", "--offline", status=1)
    assert {row[2] for row in rows(found)} == {True}
    assert "and 3 more cannot be had with --offline" in said
    assert cdn.requests == []


def test_space_that_does_not_suffice(cdn: Cdn, tmp_path: Path) -> None:
    """What a server says counts; an estimate is no reason to refuse."""
    size = shutil.disk_usage(tmp_path).free * 2
    cdn.add(f"/{ONE}", cdn.guarded(status(200, headers={"Content-Length": str(size)})))
    _, said = dry_run("--name", "amq-13", status=1)
    assert said.startswith("not enough space in ")
    done = tool("downloader", "--name", "amq-13", environ={"TVAI_COOKIE": COOKIE}, check=1)
    assert "are still to come" in done.stderr
    assert list(tree(tmp_path / "data")) in ([], [f"{ONE}.download"])


def test_ctrl_c_while_a_server_thinks(cdn: Cdn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TVAI_COOKIE", COOKIE)
    never = threading.Event()
    for name in ONNX:
        cdn.add(f"/{name}", pause_before(serve(b""), never))
    with Downloader("--source", "topaz", "--dry_run", "--name", "prob-3", all=False) as run:
        cdn.wait_for(len(ONNX))
        run.signal(signal.SIGINT)
        assert run.wait() == 130
        assert run.errors() == "downloader.py: interrupted\n"
