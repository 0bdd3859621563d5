"""The live display on a real terminal: bars on standard error, failures that stay, when to be plain."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import pytest

from tests.conftest import TOOLS
from tests.servers.faulty import FaultyServer, hold_after, html_page, redirect, serve, status
from tests.zoo import add_local_model, add_model, content, file_entry, model_config

DATA = content("live", 200_000)
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[[0-9;]*(?:3[0-7]|9[0-7]|38;[0-9;]+)m")
HEADING = "|| Downloading"
PLAIN = "========== Downloading"
BAR = "━"


class Terminal:
    """The downloader on a terminal of its own; `streams` are those of its outputs that are on it."""

    def __init__(
        self, cwd: Path, *arguments: str, environ: Mapping[str, str] = {}, streams: str = "out err"
    ) -> None:
        self._ours, theirs = os.openpty()
        self.shown, self._data = "", b""
        command = [sys.executable, str(TOOLS / "downloader.py"), "--source", "zoo", "--all", *arguments]
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "160", "LINES": "30", **environ},
            stdin=theirs,
            stdout=theirs if "out" in streams else subprocess.PIPE,
            stderr=theirs if "err" in streams else subprocess.PIPE,
            text=True,
        )
        os.close(theirs)

    def read(self, until: str = "\0", timeout: float = 20) -> str:
        """What has been shown when this text has been (or when the process has ended)."""
        while until not in self.shown:
            ready, _, _ = select.select([self._ours], [], [], timeout)
            assert ready, self.shown
            try:
                data = os.read(self._ours, 1 << 16)
            except OSError:  # Linux: nobody has the terminal open any more
                break
            if not data:
                break
            self._data += data
            self.shown = self._data.decode(errors="replace")  # the last character may be incomplete
        return self.shown

    def end(self) -> tuple[int, str, str, str]:
        """The exit status, what the terminal showed, and what went to pipes."""
        shown = self.read()
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, shown, out or "", err or ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        for stream in (self.process.stdout, self.process.stderr):
            with contextlib.suppress(AttributeError):
                stream.close()  # type: ignore[union-attr]


def final(shown: str) -> str:
    """What stays on the screen: lines are erased and written again, the cursor goes up."""
    lines, row = [""], 0
    for piece in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r\n|\r|\n|[^\x1b\r\n]+", shown):
        if piece in ("\n", "\r\n"):
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif piece == "\x1b[2K":
            lines[row] = ""
        elif re.fullmatch(r"\x1b\[\d*A", piece):
            row -= int(piece[2:-1] or 1)
        elif not piece.startswith("\x1b") and piece != "\r":
            lines[row] += piece
    return "\n".join(line.rstrip() for line in lines if line.strip())


def add_remote_model(root: Path, name: str, url: str) -> None:
    add_model(root, name, model_config([file_entry("a.bin", DATA, f"{url}/{name}")]))


@pytest.fixture
def held(faulty: FaultyServer, tmp_path: Path) -> threading.Event:
    """Two models; the bytes of `slow` stop in the middle until the event is set."""
    event = threading.Event()
    faulty.add("/slow", hold_after(serve(DATA), 100_000, event))
    faulty.add("/quick", serve(DATA))
    for name in ("slow", "quick"):
        add_remote_model(tmp_path / "zoo", name, faulty.url)
    return event


def test_bars_while_it_runs(faulty: FaultyServer, held: threading.Event, tmp_path: Path) -> None:
    with Terminal(tmp_path, "-j2", "--progress_interval", "0") as terminal:
        shown = ESCAPE.sub("", terminal.read(until="slow/a.bin"))
        held.set()
        status_, shown, _, _ = terminal.end()
    assert status_ == 0
    plain = ESCAPE.sub("", shown)
    assert re.search(rf"slow/a\.bin +{BAR}+ [\d.]+/[\d.]+ KiB", plain)
    assert re.search(rf"all files +{BAR}+ [\d.]+/390\.6 KiB", plain)
    assert re.search(r"[\d.]+ [kKMG]i?B/s", plain)
    assert HEADING not in plain
    assert PLAIN not in plain
    assert COLOUR.search(shown)
    summary = r"done 2 models, 2 files: 390\.6 KiB from the network, \d+\.\d s"
    assert re.fullmatch(summary, final(shown))


def test_the_display_is_drawn_on_stderr(held: threading.Event, tmp_path: Path) -> None:
    """Where only one of the two is a terminal there is no display, and the product stays clean."""
    held.set()
    with Terminal(tmp_path, streams="err") as terminal:
        status_, shown, out, _ = terminal.end()
    assert (status_, shown) == (0, "")
    assert HEADING in out
    assert "\x1b" not in out
    with Terminal(tmp_path, "--force", streams="out") as terminal:
        status_, shown, _, err = terminal.end()
    assert (status_, err) == (0, "")
    assert HEADING in shown
    assert "\x1b" not in shown
    with Terminal(tmp_path, "--progress_format=json") as terminal:
        assert all(line.startswith("{") for line in terminal.end()[1].splitlines())


def test_failures_stay_on_the_screen(
    faulty: FaultyServer, held: threading.Event, tmp_path: Path
) -> None:
    held.set()
    faulty.add("/gone", status(404))
    faulty.add("/page", html_page("\x1b[31mred"))
    faulty.add("/away", redirect("ftp://\x1b]0;owned\x07[bold]x[/bold]"))
    faulty.add("/flaky", status(500, headers={"Retry-After": "0"}), serve(DATA))
    for name in ("gone", "page", "away", "flaky"):
        add_remote_model(tmp_path / "zoo", name, faulty.url)
    patch = {"$type": "regex_replace", "file": "a.bin", "pattern": "a", "replacement": "b"}
    add_local_model(tmp_path / "zoo", "wrong", {"a.bin": b"x"}, postprocessing=[patch])
    with Terminal(tmp_path, "-j4", "--num_attempts", "2") as terminal:
        status_, shown, _, _ = terminal.end()
    assert status_ == 1
    left = final(shown).replace("\n", "")
    for text in (
        f"failed gone/a.bin: {faulty.url}/gone: the server answered 404 Not Found",
        f"failed page/a.bin: {faulty.url}/page: ",
        f"failed away/a.bin: {faulty.url}/away: ",
        f"retry flaky/a.bin: {faulty.url}/flaky: the server answered 500 Internal Server Error; again",
        "failed wrong: ",
        "7 models (4 failed), 7 files (3 failed): ",
    ):
        assert text in left, left
    assert BAR not in left
    assert "\x07" not in shown
    assert "\x1b]" not in shown


@pytest.mark.parametrize(
    ("environ", "bars", "coloured"),
    [
        ({}, True, True),
        ({"CI": "", "NO_COLOR": ""}, True, True),
        ({"CI": "false"}, True, True),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ({"CI": "true"}, False, False),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, False, True),
        ({"CI": "1", "FORCE_COLOR": "1"}, False, True),
    ],
    ids=str,
)
def test_the_environment_decides(
    faulty: FaultyServer, tmp_path: Path, environ: dict[str, str], bars: bool, coloured: bool
) -> None:
    faulty.add("/gone", status(404))
    add_remote_model(tmp_path / "zoo", "gone", faulty.url)
    with Terminal(tmp_path, environ=environ) as terminal:
        status_, shown, _, _ = terminal.end()
    assert status_ == 1
    assert (HEADING not in shown) == ("all files" in shown) == bars
    assert bool(COLOUR.search(shown)) == coloured
    if not (bars or coloured):
        assert "\x1b" not in shown


def test_ctrl_c_gives_the_terminal_back(held: threading.Event, tmp_path: Path) -> None:
    with Terminal(tmp_path, "-j2", "--progress_interval", "0") as terminal:
        terminal.read(until="slow/a.bin")
        terminal.process.send_signal(signal.SIGINT)
        status_, shown, _, _ = terminal.end()
    assert status_ == 130
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # the cursor is back
    left = final(shown)
    assert left.splitlines()[-1] == "downloader.py: interrupted"
    assert "failed slow/a.bin: interrupted" in left
    assert BAR not in left


def test_a_missing_rich_is_one_line(tmp_path: Path) -> None:
    add_local_model(tmp_path / "zoo", "m", {"a.bin": b"x"})
    (tmp_path / "rich.py").write_text("raise ModuleNotFoundError('No module named rich', name='rich')")
    with Terminal(tmp_path, environ={"PYTHONPATH": str(tmp_path)}) as terminal:
        status_, shown, _, _ = terminal.end()
    assert status_ == 1
    assert "the package rich is missing; install with: " in shown
    assert "Traceback" not in shown
