"""The JSON stream: every line of real runs fits the schema, in the order that is promised."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import modelzoo
import msgspec
import pytest
from modelzoo.events import AnyEvent, ModelFileDownloadBegin, Notice, json_schema
from modelzoo.reporting.json import JsonReporter, encode

from tests.conftest import ROOT, TOOLS, tool
from tests.processes import Downloader
from tests.servers.faulty import FaultyServer, hold_after, serve, status
from tests.zoo import add_local_model, add_model, content, file_entry, model_config

SCHEMA = json.loads((ROOT / "docs" / "events.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
DATA = content("json", 40_000)
PATCH = {"$type": "regex_replace", "file": "a.bin", "pattern": "a", "replacement": "b"}
SEED = {
    "model_download_begin": {"model": str, "num_files": int},
    "model_download_end": {"model": str, "successful": bool},
    "model_file_download_begin": {"model": str, "model_file": str, "size": int},
    "model_file_download_end": {"model": str, "model_file": str, "successful": bool},
    "model_file_download_progress": {"model": str, "model_file": str, "size": int},
    "model_postprocessing_begin": {"model": str},
    "model_postprocessing_end": {"model": str},
}
"""The events of Open Model Zoo and their members, which never change."""

REGENERATE = (
    "docs/events.schema.json is out of date; write it again with: python -c 'import json; "
    "from modelzoo.events import json_schema; print(json.dumps(json_schema(), indent=4))'"
)

Events = list[dict[str, Any]]


def parse(stream: str) -> Events:
    """The events of a whole run, each valid, in an order that is allowed."""
    assert stream.endswith("\n")
    events = [json.loads(line) for line in stream.split("\n")[:-1]]
    for event in events:
        VALIDATOR.validate(event)
        for member, kind in SEED.get(event["$type"], {}).items():
            assert type(event[member]) is kind, event
    check_order(events)
    return events


def check_order(events: Events) -> None:
    """What Open Model Zoo promises about the order, and the frame around it."""
    kinds = [event["$type"] for event in events]
    assert kinds[0] == "run_begin"
    assert kinds[-1] == "run_end"
    assert Counter(kinds)["run_begin"] == Counter(kinds)["run_end"] == 1
    open_models: set[str] = set()
    ended_models: list[str] = []
    open_files: set[tuple[str, str]] = set()
    postprocessing: set[str] = set()
    for event in events[1:-1]:
        model, file = event["model"], (event["model"], event.get("model_file", ""))
        match event["$type"]:
            case "model_download_begin":
                assert model not in open_models | set(ended_models)
                open_models.add(model)
            case "model_file_download_begin":
                assert model in open_models
                assert file not in open_files
                open_files.add(file)
            case "model_file_download_progress" | "model_file_retry" | "model_file_changed":
                assert file in open_files
            case "model_file_download_end":
                open_files.remove(file)
            case "model_download_end":
                assert not [f for f in open_files if f[0] == model]
                open_models.remove(model)
                ended_models.append(model)
            case "model_postprocessing_begin":
                assert model in ended_models
                postprocessing.add(model)
            case "model_postprocessing_end":
                postprocessing.remove(model)
    assert not open_models | open_files | postprocessing


def of(events: Events, kind: str, **members: Any) -> Events:
    return [e for e in events if e["$type"] == kind and members.items() <= e.items()]


@pytest.fixture
def zoo(faulty: FaultyServer, tmp_path: Path) -> Path:
    """Models of every fate: from a server, from a file, patched, patched wrongly, failing, retried."""
    root = tmp_path / "zoo"
    faulty.default = serve(DATA)
    faulty.add("/gone/0.bin", status(404))
    faulty.add("/flaky/0.bin", status(503, headers={"Retry-After": "0"}), serve(DATA))
    for name in ("plain", "gone", "flaky", "many"):
        files = [f"{index}.bin" for index in range(6 if name == "many" else 2)]
        entries = [file_entry(f, DATA, f"{faulty.url}/{name}/{f}") for f in files]
        add_model(root, name, model_config(entries))
    add_local_model(root, "local", {"a.bin": b"a"})
    add_local_model(root, "patched", {"a.bin": b"a", "b.bin": b"b"}, postprocessing=[PATCH])
    add_local_model(root, "unpatched", {"a.bin": b"x"}, postprocessing=[PATCH])
    return root


def test_every_fate_in_one_run(zoo: Path, tmp_path: Path) -> None:
    command = ["--source", zoo, "--all", "-o", tmp_path / "out", "-j8", "--progress_format=json"]
    command += ["--num_attempts", "2", "--progress_interval", "0"]
    done = tool("downloader", *command, check=1)
    events = parse(done.stdout)
    kinds = {
        msgspec.inspect.type_info(kind).tag
        for kind in AnyEvent.__args__  # type: ignore[attr-defined]
        # Those come when files on this disk are hashed again, and when models are published.
        if not re.search("Verify|Publish", kind.__name__)
    }
    assert {e["$type"] for e in events} == kinds - {"model_file_changed"}  # see test_refresh.py
    first, last = events[0], events[-1]
    assert (first["schema_version"], first["models"], first["files"]) == (1, 7, 16)
    assert first["size"] == 12 * len(DATA) + 4
    assert (last["successful"], last["models_failed"], last["files_failed"]) == (False, 2, 1)
    assert (last["bytes_network"], last["bytes_local"]) == (11 * len(DATA), 4)
    counts = {e["model"]: e["num_files"] for e in of(events, "model_download_begin")}
    assert sorted(counts.items()) == [
        ("flaky", 2), ("gone", 2), ("local", 1), ("many", 6), ("patched", 2), ("plain", 2),
        ("unpatched", 1),
    ]  # fmt: skip
    assert [e["model"] for e in of(events, "model_download_end", successful=False)] == ["gone"]
    (retry,) = of(events, "model_file_retry")
    assert (retry["attempt"], retry["reason"], retry["wait"]) == (1, "rate_limited", 0)
    (failed,) = of(events, "model_file_download_end", successful=False)
    assert (failed["model"], failed["reason"]) == ("gone", "not_found")
    assert failed["message"] in done.stderr or "404" in failed["message"]
    ended = of(events, "model_postprocessing_end")
    assert {e["model"]: e["successful"] for e in ended} == {"patched": True, "unpatched": False}
    assert (
        of(events, "model_postprocessing_end", successful=False)[0]["reason"] == "postprocessing_failed"
    )
    progress = of(events, "model_file_download_progress", model="plain", model_file="0.bin")
    assert progress[-1]["size"] == len(DATA)


def test_files_that_are_there_begin_and_end(zoo: Path, tmp_path: Path) -> None:
    command = ["--source", zoo, "--name", "plain,many,local,patched", "-j8", "--progress_format=json"]
    command += ["--cache_dir", tmp_path / "cache"]
    parse(tool("downloader", *command, "-o", tmp_path / "a").stdout)
    again = parse(tool("downloader", *command, "-o", tmp_path / "a").stdout)
    ends = of(again, "model_file_download_end", origin="local", successful=True)
    assert len(ends) == len(of(again, "model_file_download_begin")) == again[0]["files"] == 11
    assert all(e["checksum"].startswith("sha384:") and "size" in e for e in ends)
    assert of(again, "model_file_download_progress") == of(again, "model_postprocessing_begin") == []
    assert again[-1]["bytes_local"] == again[0]["size"]
    cached = parse(tool("downloader", *command, "-o", tmp_path / "b").stdout)
    assert len(of(cached, "model_file_download_end", origin="cache")) == 11
    assert {e["origin"] for e in of(cached, "model_file_download_progress")} == {"cache"}
    assert cached[-1]["bytes_cache"] == again[0]["size"]


def test_nothing_selected(zoo: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.lst").touch()
    command = ["--source", zoo, "--list", tmp_path / "empty.lst", "--progress_format=json"]
    events = parse(tool("downloader", *command).stdout)
    assert [e["$type"] for e in events] == ["run_begin", "run_end"]
    assert events[-1]["successful"]


@pytest.mark.parametrize("jobs", ["-j1", "-j8"])
def test_an_interrupted_run_still_has_its_end(
    faulty: FaultyServer, zoo: Path, tmp_path: Path, jobs: str
) -> None:
    never = threading.Event()
    faulty.default = hold_after(serve(DATA), 10_000, never)
    wanted = ["--name", "many,plain"]  # of which no file fails before the signal comes
    with Downloader("--source", zoo, "-o", tmp_path / "out", jobs, *wanted, all=False) as running:
        events = running.until("model_file_download_begin")
        faulty.wait_for(1)
        running.signal(signal.SIGINT)
        events += list(running.events())
        assert running.wait() == 130
        assert running.errors().splitlines()[-1] == "downloader.py: interrupted"
    parse("".join(json.dumps(event) + "\n" for event in events))
    assert (events[-1]["successful"], events[-1]["reason"]) == (False, "interrupted")
    assert of(events, "model_file_download_end", reason="interrupted")


def test_warnings_never_get_into_the_stream(tmp_path: Path) -> None:
    add_local_model(tmp_path / "zoo", "m", {"a.bin": b"a"}, an_unknown_key=1)
    (tmp_path / "cache").touch()
    command = ["--source", "zoo", "--all", "--progress_format=json", "--cache_dir", "cache", "--force"]
    done = tool("downloader", *command, cwd=tmp_path)
    kinds = [event["$type"] for event in parse(done.stdout)]
    assert "an_unknown_key" in done.stderr
    assert "the cache cannot be used" in done.stderr
    words = [sys.executable, str(TOOLS / "downloader.py"), *command]
    closed = subprocess.run(["sh", "-c", '"$@" 2>&-', "sh", *words], cwd=tmp_path, stdout=-1, text=True)
    assert [event["$type"] for event in parse(closed.stdout)] == kinds
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(json.loads(encode(Notice(message="a warning"))))


def test_one_event_is_one_write(zoo: Path, tmp_path: Path) -> None:
    """Standard output is a socket that keeps writes apart."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [
        sys.executable,
        str(TOOLS / "downloader.py"),
        "--source",
        str(zoo),
        "--name",
        "[mp]*",
        "-j8",
    ]
    command += ["-o", str(tmp_path / "out"), "--progress_format=json", "--progress_interval=0"]
    with ours, subprocess.Popen(command, stdout=theirs) as process:
        theirs.close()
        writes = list(iter(lambda: ours.recv(1 << 20), b""))
    assert process.returncode == 0
    assert all(write.endswith(b"\n") and write.count(b"\n") == 1 for write in writes)
    assert len(parse(b"".join(writes).decode())) == len(writes) > 30


def test_a_slow_reader_of_a_non_blocking_pipe_gets_everything(tmp_path: Path) -> None:
    for index in range(30):
        add_local_model(tmp_path / "zoo", f"m{index:02}", {"a.bin": b"x"})
    read, write = os.pipe()
    os.set_blocking(write, False)
    size = fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    command = [sys.executable, str(TOOLS / "downloader.py"), "--source", str(tmp_path / "zoo"), "--all"]
    command += ["-o", str(tmp_path / "out"), "--progress_format=json"]
    with subprocess.Popen(command, stdout=write) as process, open(read, "rb") as stream:
        os.close(write)
        while waiting(read) < size - 1000:  # until the pipe takes no more
            assert process.poll() is None
        events = parse(stream.read().decode())
    assert process.returncode == 0
    assert len(of(events, "model_download_end", successful=True)) == 30


def waiting(descriptor: int) -> int:
    """The bytes that can be read now."""
    count: int = struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))[0]
    return count


def test_a_size_that_the_catalog_does_not_tell(faulty: FaultyServer, zoo: Path, tmp_path: Path) -> None:
    (model,) = modelzoo.find("plain", sources=[zoo])
    files = tuple(msgspec.structs.replace(f, size=None) for f in model.files)
    lines: list[bytes] = []
    modelzoo.download(
        [msgspec.structs.replace(model, files=files)],
        tmp_path,
        report=lambda event: lines.append(encode(event) + b"\n"),
    )
    events = parse(b"".join(lines).decode())
    begins = of(events, "model_file_download_begin")
    assert [(e["size"], "size_known" in e) for e in begins] == [(len(DATA), False)] * 2
    assert [e["size"] for e in of(events, "model_file_download_end")] == [len(DATA)] * 2
    assert events[0]["size"] == 0


def test_nothing_comes_after_the_end(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """A worker that outlives an interrupted run has nothing to say any more."""
    report = JsonReporter()
    end = msgspec.json.decode(
        b'{"$type":"run_end","successful":false,"models":0,"models_failed":0,"files":0,"files_failed":0,'
        b'"bytes_network":0,"bytes_cache":0,"bytes_local":0,"seconds":0.0}',
        type=AnyEvent,  # type: ignore[arg-type]
    )
    late = ModelFileDownloadBegin(model="m", model_file="f", size=1)
    for event in (late, end, late):
        report(event)
    report.close()
    assert capfdbinary.readouterr().out.splitlines() == [encode(late), encode(end)]


def test_the_schema_is_up_to_date() -> None:
    assert json_schema() == SCHEMA, REGENERATE
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", sorted(set(SCHEMA["$defs"]) - {"Reason"}))
def test_the_schema_refuses_what_is_no_event(name: str) -> None:
    """Each required member is needed, each member has its type, and unknown members may come."""
    definition = SCHEMA["$defs"][name]
    kind = definition["properties"]["$type"]["enum"][0]
    examples = {"string": "x", "integer": 1, "number": 1.5, "boolean": True}
    event = {"$type": kind}
    for member in definition["required"][1:]:
        about = definition["properties"][member]
        listed = about.get("enum", ["timeout"])
        event[member] = listed[0] if "type" not in about else examples[about["type"]]
    VALIDATOR.validate({**event, "added_later": []})
    assert set(SEED.get(kind, {})) <= set(definition["required"])
    for member in definition["required"]:
        for wrong in ({k: v for k, v in event.items() if k != member}, {**event, member: {}}):
            with pytest.raises(jsonschema.ValidationError):
                VALIDATOR.validate(wrong)
