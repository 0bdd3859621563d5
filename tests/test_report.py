"""`--report`: one document that tells what came of every model and file, however the run went."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from modelzoo.errors import Reason

from tests.conftest import tool
from tests.processes import Downloader
from tests.servers.faulty import FaultyServer, hold_after, serve, status
from tests.zoo import add_local_model, add_model, content, file_entry, model_config, tree

DATA = content("report", 3000)


def read(path: Path) -> dict[str, Any]:
    """The document, whose frame is always the same."""
    text = path.read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    assert list(document) == [
        "schema_version", "output_dir", "successful", "interrupted", "seconds", "models",
    ]  # fmt: skip
    assert text == json.dumps(document, indent=4, ensure_ascii=False) + "\n"
    assert document["schema_version"] == 1
    assert document["seconds"] >= 0
    return document


def model(document: dict[str, Any], name: str) -> dict[str, Any]:
    """The outcome of one model, without its durations."""
    (found,) = [m for m in document["models"] if m["model"] == name]
    for file in found["files"]:
        assert file.pop("seconds", 0.0) >= 0
    return dict(found)


def add_remote_model(root: Path, name: str, url: str, **extra: Any) -> None:
    add_model(root, name, model_config([file_entry("a.bin", DATA, f"{url}/{name}.bin")], **extra))


def test_success_from_everywhere(faulty: FaultyServer, tmp_path: Path) -> None:
    faulty.add("/remote.bin", serve(DATA))
    secret = faulty.url.replace("://", "://user:secret@")
    add_remote_model(tmp_path / "zoo", "remote", secret, version="2.1")
    add_local_model(tmp_path / "zoo", "local", {"b/c.bin": DATA[:10]})
    options = ["--source", tmp_path / "zoo", "--all", "-o", "out", "--cache_dir", "cache"]
    tool("downloader", *options, "--report", "reports/first.json", cwd=tmp_path)
    first = read(tmp_path / "reports" / "first.json")
    assert (first["output_dir"], first["successful"], first["interrupted"]) == ("out", True, False)
    assert [m["model"] for m in first["models"]] == ["local", "remote"]
    digest = f"sha384:{hashlib.sha384(DATA).hexdigest()}"
    file = {
        "name": "a.bin",
        "path": "remote/a.bin",
        "successful": True,
        "origin": "network",
        "size": 3000,
        "checksum": digest,
        "url": f"{faulty.url}/remote.bin".replace("://", "://***@"),
    }
    expected = {
        "model": "remote",
        "source": "zoo",
        "version": "2.1",
        "output_dir": "out",
        "successful": True,
        "files": [file],
    }
    found = model(first, "remote")
    assert "secret" not in json.dumps(first)
    file["url"] = found["files"][0]["url"]
    assert found == expected
    assert model(first, "local")["files"][0]["path"] == "local/b/c.bin"
    assert model(first, "local")["version"] is None

    tool("downloader", *options, "--report", "second.json", cwd=tmp_path)
    second = read(tmp_path / "second.json")
    assert {f["origin"] for m in second["models"] for f in m["files"]} == {"local"}
    assert model(second, "remote")["files"][0]["checksum"] == digest
    tool("downloader", *options, "--force", "--report", "second.json", cwd=tmp_path)
    assert model(read(tmp_path / "second.json"), "remote")["files"][0]["origin"] == "cache"
    assert len(faulty.requests) == 1


def test_failure(faulty: FaultyServer, tmp_path: Path) -> None:
    faulty.add("/gone.bin", status(404))
    faulty.add("/wrong.bin", serve(DATA[:-1] + b"?"))
    for name in ("gone", "wrong"):
        add_remote_model(tmp_path / "zoo", name, faulty.url)
    add_local_model(tmp_path / "zoo", "well", {"a.bin": DATA})
    tool(
        "downloader", "--source", tmp_path / "zoo", "--all", "-o", tmp_path, "--report", "r.json",
        cwd=tmp_path, check=1,
    )  # fmt: skip
    document = read(tmp_path / "r.json")
    assert (document["successful"], document["interrupted"]) == (False, False)
    assert [m["successful"] for m in document["models"]] == [False, True, False]
    for name, reason in (("gone", "not_found"), ("wrong", "checksum_mismatch")):
        (file,) = model(document, name)["files"]
        assert set(file) == {"name", "path", "successful", "reason", "message"}
        assert (file["successful"], file["reason"]) == (False, reason)
        assert f"{faulty.url}/{name}.bin" in file["message"]


def test_postprocessing(tmp_path: Path) -> None:
    step = {"$type": "regex_replace", "file": "a.txt", "pattern": "one", "replacement": "two"}
    add_local_model(tmp_path / "zoo", "patched", {"a.txt": b"one"}, postprocessing=[step])
    add_local_model(tmp_path / "zoo", "unpatched", {"a.txt": b"none"}, postprocessing=[step])
    add_local_model(tmp_path / "zoo", "without", {"a.txt": b"zero"}, postprocessing=[step])
    command = ["--source", tmp_path / "zoo", "--all", "-o", tmp_path / "out"]
    tool("downloader", *command, "--report", tmp_path / "r.json", check=1)
    document = read(tmp_path / "r.json")
    assert [m["successful"] for m in document["models"]] == [True, True, False]
    assert "reason" not in model(document, "patched")
    failed = model(document, "without")
    assert failed["reason"] == "postprocessing_failed"
    assert str(tmp_path / "out" / "without" / "a.txt") in failed["message"]
    assert [f["successful"] for f in failed["files"]] == [True]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(faulty: FaultyServer, tmp_path: Path, number: signal.Signals) -> None:
    """What was begun and what was not, all of it is in the report."""
    faulty.add("/held.bin", hold_after(serve(DATA), 1000, threading.Event()))
    add_local_model(tmp_path / "zoo", "done", {"a.bin": DATA})
    add_remote_model(tmp_path / "zoo", "held", faulty.url)
    add_remote_model(tmp_path / "zoo", "later", faulty.url)
    report = tmp_path / "r.json"
    with Downloader(
        "--source", tmp_path / "zoo", "-o", tmp_path / "out", "--report", report
    ) as running:
        running.until("model_file_download_begin", 2)
        faulty.wait_for(1)
        running.signal(number)
        events = list(running.events())
        assert running.wait() == 130
        assert running.errors() == "downloader.py: interrupted\n"
    assert events[-1]["$type"] == "run_end"
    assert (events[-1]["successful"], events[-1]["reason"]) == (False, "interrupted")
    document = read(report)
    assert (document["successful"], document["interrupted"]) == (False, True)
    assert [m["successful"] for m in document["models"]] == [True, False, False]
    for name in ("held", "later"):
        assert [f["reason"] for f in model(document, name)["files"]] == [Reason.INTERRUPTED]


def test_a_report_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    add_local_model(tmp_path / "zoo", "alpha", {"a.bin": DATA})
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("nowhere")
    before = tree(tmp_path)
    for name in (".", "file/r.json", "pipe", "dangling"):
        report = tmp_path / name
        command = ["--source", tmp_path / "zoo", "--all", "-o", tmp_path / "out", "--report", report]
        done = tool("downloader", *command, check=2)
        assert done.stdout == ""
        assert done.stderr.startswith(f"downloader.py: error: --report: {report} ")
        assert done.stderr.count("\n") == 1
    assert tree(tmp_path) == before


def test_a_report_that_fails_at_the_end_fails_the_run(tmp_path: Path) -> None:
    add_local_model(tmp_path / "zoo", "alpha", {"a.bin": DATA})
    report = "r" * 300
    command = ["--source", tmp_path / "zoo", "--all", "-o", tmp_path, "--report", report]
    done = tool("downloader", *command, cwd=tmp_path, check=1)
    assert "FAILED" not in done.stdout
    assert (tmp_path / "alpha" / "a.bin").read_bytes() == DATA
    assert done.stderr == f"the report was not written: {report}: File name too long\n"


def test_a_link_to_a_report_stays_a_link(tmp_path: Path) -> None:
    add_local_model(tmp_path / "zoo", "alpha", {"a.bin": DATA})
    (tmp_path / "real.json").touch()
    (tmp_path / "link.json").symlink_to("real.json")
    command = ["--source", tmp_path / "zoo", "--all", "-o", tmp_path / "out"]
    tool("downloader", *command, "--report", tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert read(tmp_path / "real.json")["successful"]


def test_names_that_are_no_unicode(tmp_path: Path) -> None:
    """The bytes of a path are kept on disk; the document stays valid UTF-8."""
    add_local_model(tmp_path / "zoo", "alpha", {"a.bin": DATA})
    out = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe")
    command = ["--source", tmp_path / "zoo", "--all", "-o", out, "--report", tmp_path / "r.json"]
    done = tool("downloader", *command, "--progress_format=json")
    assert (Path(out) / "alpha" / "a.bin").read_bytes() == DATA
    assert read(tmp_path / "r.json")["output_dir"] == f"{tmp_path}/\ufffd\ufffd"
    paths = {json.loads(line).get("path") for line in done.stdout.splitlines()} - {None}
    assert paths == {f"{tmp_path}/\ufffd\ufffd/alpha/a.bin"}
