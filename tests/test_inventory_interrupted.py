"""Ctrl-C while large files are hashed, and what a person sees of it on a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import modelzoo
import msgspec
import pytest
from modelzoo.installation.inventory import take_inventory

from tests.conftest import TOOLS
from tests.zoo import add_local_model, add_model, file_entry, model_config

HUGE = 1 << 40  # bytes of a sparse file: hashing them takes longer than anybody waits


@pytest.fixture
def huge(tmp_path: Path) -> Path:
    """A model of four files that are too large to be hashed, and its receipt."""
    add_local_model(tmp_path / "zoo", "m", {f"{n}.bin": b"x" for n in range(4)})
    modelzoo.download("m", tmp_path / "out", sources=[tmp_path / "zoo"])
    (entry,) = take_inventory(tmp_path / "out").entries
    for output in entry.receipt.outputs:
        os.truncate(tmp_path / "out" / output.path, HUGE)
    outputs = tuple(msgspec.structs.replace(o, size=HUGE) for o in entry.receipt.outputs)
    entry.place.save(entry, msgspec.structs.replace(entry.receipt, outputs=outputs))
    return tmp_path / "out"


def interrupted(*arguments: str | Path, when: str) -> tuple[int, str, str]:
    """Run the tool until this comes on its standard output, then press Ctrl-C."""
    command = [sys.executable, TOOLS / "inventory.py", *arguments]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout is not None
        while when not in (line := process.stdout.readline()):
            assert line, "it ended before"
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        rest, told = process.communicate(timeout=20)
        assert time.monotonic() - sent < 2  # on a machine that others use too
    return process.returncode, rest, told


def test_ctrl_c(huge: Path) -> None:
    """Within a second, however large the files are; what is told is that it was interrupted."""
    command = ["verify", "-o", huge, "-j4", "--progress_format=json"]
    status, rest, errors = interrupted(*command, when="file_verify_progress")
    assert (status, errors) == (130, "inventory.py: interrupted\n")
    last = json.loads(rest.splitlines()[-1])
    assert (last["$type"], last["reason"], last["successful"]) == ("verify_end", "interrupted", False)


def test_ctrl_c_in_a_program(huge: Path) -> None:
    """No thread goes on reading after the exception."""
    code = """
import os, signal, sys, threading, modelzoo
def report(event):
    if type(event).__name__ == "FileVerifyProgress":
        os.kill(os.getpid(), signal.SIGINT)
try:
    modelzoo.verify(output_dir=sys.argv[1], jobs=4, report=report)
except modelzoo.Interrupted:
    print([thread.name for thread in threading.enumerate()])
"""
    done = subprocess.run([sys.executable, "-c", code, huge], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("['MainThread']\n", "")


def test_ctrl_c_while_adopting(huge: Path, tmp_path: Path) -> None:
    """What was found right before is kept."""
    shutil.rmtree(huge / ".modelzoo")
    (huge / "m" / "0.bin").write_bytes(b"x")
    entries = [file_entry("0.bin", b"x", "0.bin")]
    entries += [{**file_entry(f"{n}.bin", b"x", "0.bin"), "size": HUGE} for n in range(1, 4)]
    add_model(tmp_path / "zoo", "m", model_config(entries))
    command = ["adopt", "--all", "--source", tmp_path / "zoo", "-o", huge, "-j2"]
    status, rest, errors = interrupted(*command, "--progress_format=json", when="file_verify_end")
    assert (status, errors) == (130, "inventory.py: interrupted\n")
    assert json.loads(rest.splitlines()[-1])["reason"] == "interrupted"
    assert [file.path for file in modelzoo.installed(output_dir=huge)[0].files] == ["m/0.bin"]


def test_a_bar_on_a_terminal(huge: Path) -> None:
    """It is drawn on standard error; the results on standard output are the same."""
    ours, theirs = os.openpty()
    command = [sys.executable, TOOLS / "inventory.py", "verify", "-o", huge]
    environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"}
    shown = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environ) as process:
        os.close(theirs)
        while ".bin" not in shown:
            shown += os.read(ours, 4096).decode(errors="replace")
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # Linux: nobody has the terminal open any more
            while data := os.read(ours, 4096):
                shown += data.decode(errors="replace")
        assert process.wait(20) == 130
        assert process.stdout is not None
        assert process.stdout.read() == b""
    os.close(ours)
    assert "━" in shown
    assert "/4.0 TiB" in shown
    assert "inventory.py: interrupted" in shown
