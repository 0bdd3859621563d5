"""A real disk that is too small, or fills up while a file is on its way."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from modelzoo.errors import Reason
from modelzoo.events import ModelFileDownloadEnd

from tests.conftest import require, tool
from tests.engine import Recorder, bring_all
from tests.servers import faulty as f
from tests.servers.faulty import FaultyServer
from tests.test_faults import model_at
from tests.zoo import add_model, content, file_entry, model_config

MIB = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = os.geteuid() == 0 and not subprocess.call(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], stderr=subprocess.DEVNULL
    )
    require(mounted, "the right to mount a small file system")
    try:
        yield folder
    finally:
        subprocess.check_call(["umount", "--lazy", folder])


def test_refused_before_the_first_byte(small_disk: Path, faulty: FaultyServer, tmp_path: Path) -> None:
    data = content("big", 9 * MIB)
    faulty.add("/m.bin", f.serve(data))
    entry = file_entry("m.bin", data, f"{faulty.url}/m.bin")
    add_model(tmp_path / "zoo", "m", model_config([entry]))
    report = tmp_path / "report.json"
    options = ["--all", "--source", tmp_path / "zoo", "-o", small_disk, "--report", report]
    done = tool("downloader", *options, "--progress_format=json", check=1)
    assert "not enough space" in done.stderr
    begin, end = (json.loads(line) for line in done.stdout.splitlines())
    assert (begin["$type"], begin["size"]) == ("run_begin", len(data))
    assert (end["$type"], end["successful"], end["reason"]) == ("run_end", False, "no_space")
    document = json.loads(report.read_text())
    assert document["reason"] == document["models"][0]["files"][0]["reason"] == "no_space"
    assert document["message"] in done.stderr
    assert "9.0 MiB needed, 8.0 MiB free" in done.stderr
    assert faulty.requests == []
    assert list(small_disk.iterdir()) == []


def test_refused_when_the_response_tells_the_size(small_disk: Path, faulty: FaultyServer) -> None:
    faulty.add("/m.bin", f.serve(content("big", 9 * MIB)))
    recorder = Recorder()
    model = model_at(faulty.url + "/m.bin", known=False)
    assert not bring_all([model], small_disk, recorder=recorder).successful
    (end,) = recorder.of(ModelFileDownloadEnd)
    assert end.reason == Reason.NO_SPACE
    assert "9.0 MiB are still to come" in (end.message or "")


def test_a_disk_that_fills_loses_nothing(small_disk: Path, faulty: FaultyServer) -> None:
    """Somebody else takes the room in the middle; when it is there again, the rest is fetched."""
    data, filled = content("model", 6 * MIB), threading.Event()
    faulty.add("/m.bin", f.hold_after(f.serve(data), 3 * MIB, filled), f.serve(data))
    recorder = Recorder()

    def fill_up(event: object) -> None:
        recorder(event)  # type: ignore[arg-type]
        if not filled.is_set() and "Progress" in type(event).__name__:
            (small_disk / "other").write_bytes(bytes(4 * MIB))
            filled.set()

    models = [model_at(faulty.url + "/m.bin", body=data)]
    assert not bring_all(models, small_disk, recorder=fill_up).successful  # type: ignore[arg-type]
    (end,) = recorder.of(ModelFileDownloadEnd)
    assert end.reason == Reason.NO_SPACE
    assert "make room and run again" in (end.message or "")
    kept = (small_disk / "m" / "model.bin.download").stat().st_size
    assert kept > 3 * MIB
    (small_disk / "other").unlink()
    assert bring_all(models, small_disk).successful
    assert faulty.requests[-1].headers["range"] == f"bytes={kept}-"
    assert (small_disk / "m" / "model.bin").read_bytes() == data
