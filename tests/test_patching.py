"""Patterns of a catalog: what they replace, and that none of them can hold the tools up."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.cancel import Cancel
from modelzoo.errors import Interrupted, PostprocessingError
from modelzoo.files import patching
from modelzoo.files.patching import _replaced, patch
from modelzoo.model import RegexReplace

from tests.processes import Downloader
from tests.zoo import add_local_model, tree

RUNAWAY = RegexReplace("t", "(a+)+$", "x")
TEXT = b"a" * 40 + b"b"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "t").write_bytes(TEXT)
    return tmp_path / "t"


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def patching_child(pid: int) -> int:
    """The child that patches, once it does."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for child in children(pid):
            if b"patching.py" in Path(f"/proc/{child}/cmdline").read_bytes():
                return child
    raise AssertionError("no process patches")


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


PATTERNS = ["a", "b*", "(a)|b", "(?P<x>a+)(b?)", "", "^", "$", r"\b", "(?m)^.", "(?=(a))", r"(?s)a.b"]
REPLACEMENTS = ["", "ab", r"\\", r"\n", r"<\g<0>>", r"[\g<1>]", r"\1\1", r"\g<x>", r"\9", r"\q", "\\"]


@given(
    st.sampled_from(PATTERNS),
    st.sampled_from(REPLACEMENTS),
    st.text("ab\n ", max_size=12),
    st.integers(0, 3),
)
def test_replaces_what_re_replaces(pattern: str, replacement: str, text: str, count: int) -> None:
    try:
        expected = re.subn(pattern, replacement, text, count=count)
    except (re.error, IndexError):
        if re.search(pattern, text):
            with pytest.raises((re.error, IndexError)):
                _replaced(text, pattern, replacement, count, 999)
        return
    assert _replaced(text, pattern, replacement, count, 999) == expected


@pytest.mark.parametrize(
    ("step", "fits"),
    [
        (RegexReplace("t", "b", "y" * 59), True),
        (RegexReplace("t", "b", "y" * 60), False),
        (RegexReplace("t", "b", "y" * 999), False),
        (RegexReplace("t", "", "yy"), False),
        (RegexReplace("t", "(a*)", r"\1" * 9), False),
        (RegexReplace("t", "b", "\u00e9" * 59), False),
    ],
)
def test_results_are_bounded(
    text: Path, step: RegexReplace, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patching, "MAX_TEXT", 99)
    if fits:
        patch(text, text.with_name("out"), step, Cancel())
        assert text.with_name("out").read_bytes() == TEXT.replace(b"b", b"y" * 59)
    else:
        with pytest.raises(PostprocessingError, match="more than 99 bytes"):
            patch(text, text.with_name("out"), step, Cancel())


def test_texts_are_bounded(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patching, "MAX_TEXT", len(TEXT) - 1)
    with pytest.raises(PostprocessingError, match="more than 40 bytes"):
        patch(text, text.with_name("out"), RegexReplace("t", "b", ""), Cancel())


def test_a_runaway_pattern_is_ended(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patching, "TIMEOUT", 0.3)
    with pytest.raises(PostprocessingError, match=r"took longer than 0.3 s: a runaway pattern\?"):
        patch(text, text.with_name("out"), RUNAWAY, Cancel())
    assert children(os.getpid()) == []


def test_a_runaway_pattern_outlives_nobody_for_long(text: Path) -> None:
    """Its own deadline ends it when the process that started it was killed."""
    request = json.dumps(["(a+)+$", "x", 0, 99, 0.3])
    command = [sys.executable, "-I", "-S", patching.__file__, request]
    with text.open("rb") as file:
        done = subprocess.run(command, stdin=file, capture_output=True, timeout=30)
    assert done.returncode == 1
    assert done.stdout == b""


@pytest.fixture
def meanwhile() -> Iterator[list[threading.Thread]]:
    """Threads that end with the test."""
    threads: list[threading.Thread] = []
    yield threads
    for thread in threads:
        thread.join()


def test_cancel(text: Path, meanwhile: list[threading.Thread], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does the process that ended know anything it did not need."""
    monkeypatch.setenv("HF_TOKEN", "s3cret")
    cancel, seen = Cancel(), list[bytes]()

    def stop() -> None:
        child = patching_child(os.getpid())
        seen.append(Path(f"/proc/{child}/environ").read_bytes())
        seen.append(str(time.monotonic()).encode())
        cancel.set()

    meanwhile.append(threading.Thread(target=stop))
    meanwhile[0].start()
    with pytest.raises(Interrupted):
        patch(text, text.with_name("out"), RUNAWAY, cancel)
    assert time.monotonic() - float(seen[1]) < 1
    assert b"s3cret" not in seen[0]
    assert children(os.getpid()) == []


def test_a_process_that_is_killed(text: Path, meanwhile: list[threading.Thread]) -> None:
    meanwhile.append(
        threading.Thread(target=lambda: os.kill(patching_child(os.getpid()), signal.SIGKILL))
    )
    meanwhile[0].start()
    with pytest.raises(PostprocessingError, match="ended with status -9"):
        patch(text, text.with_name("out"), RUNAWAY, Cancel())


@pytest.mark.parametrize("executable", ["/nowhere/python", ""])
def test_no_python(text: Path, executable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.raises(PostprocessingError, match="no process to patch with"):
        patch(text, text.with_name("out"), RUNAWAY, Cancel())


@pytest.mark.parametrize(
    ("number", "terminal"), [(signal.SIGINT, False), (signal.SIGINT, True), (signal.SIGTERM, False)]
)
def test_interrupted(number: signal.Signals, terminal: bool, tmp_path: Path) -> None:
    """A terminal sends Ctrl-C to the child as well."""
    zoo, out = tmp_path / "zoo", tmp_path / "out"

    def declare(pattern: str) -> None:
        step = {"$type": "regex_replace", "file": "t", "pattern": pattern, "replacement": "x"}
        add_local_model(zoo, "m", {"t": TEXT}, postprocessing=[step])

    declare("(a+)+$")
    with Downloader("--source", zoo, "-o", out) as run:
        run.until("model_postprocessing_begin")
        child = patching_child(run.process.pid)
        started = time.monotonic()
        if terminal:
            os.kill(child, number)
        run.signal(number)
        events = list(run.events())
        assert run.wait() == 130
        assert time.monotonic() - started < 3  # promised is one second; the machine may be busy
    assert is_gone(child)
    assert events[-1]["reason"] == "interrupted"
    assert [e["reason"] for e in events if e["$type"] == "model_postprocessing_end"] == ["interrupted"]
    assert tree(out / "m") == {"t": TEXT}
    declare("b")
    with Downloader("--source", zoo, "-o", out) as run:
        assert run.until("run_end")[-1]["successful"]
    assert tree(out / "m") == {"t": TEXT[:-1] + b"x", "t.orig": TEXT}
    assert [path.name for path in (out / ".modelzoo").iterdir()] == ["receipts"]
