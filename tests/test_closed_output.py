"""Standard output that goes away, is full, or was never there: a quiet end or one clear line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import TOOLS
from tests.servers.faulty import FaultyServer, drip, serve
from tests.zoo import add_local_model, add_model, content, file_entry, model_config

DATA = content("closed", 2_000_000)
COMMANDS = {
    "json": "downloader.py --source zoo --all -o out -j4 --progress_format=json",
    "text": "downloader.py --source zoo --all -o out -j4",
    "dry run": "downloader.py --source zoo --all --dry_run",
    "names": "downloader.py --source zoo --print_all",
    "help": "downloader.py --help",
    "version": "downloader.py --version",
    "facts": "info_dumper.py --source zoo --all",
    "facts' names": "info_dumper.py --source zoo --print_all",
}


@pytest.fixture(autouse=True)
def buffered(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for most users: what Python still has to flush at its end counts too."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a small source."""
    add_local_model(tmp_path / "zoo", "model", {"a.bin": b"x"})
    return tmp_path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a source of which every tool prints more than a pipe holds."""
    path = tmp_path_factory.mktemp("large")
    for index in range(450):
        add_local_model(path / "zoo", f"model-{'x' * 215}-{index:03}", {"a.bin": b"x"})
    return path


def shell(command: str, redirection: str, cwd: Path) -> tuple[list[int], str, str]:
    """Run a tool as a shell runs it: the exit statuses of the pipeline, what was shown, the errors."""
    script = f"{sys.executable} {TOOLS}/{command} {redirection}; echo ${{PIPESTATUS[@]}} >status"
    done = subprocess.run(["bash", "-c", script], cwd=cwd, capture_output=True, text=True, timeout=30)
    statuses = [int(word) for word in (cwd / "status").read_text().split()]
    return statuses, done.stdout, done.stderr


@pytest.mark.parametrize("name", [n for n in COMMANDS if n not in ("help", "version")])
def test_a_reader_that_leaves_ends_the_run_quietly(large: Path, name: str) -> None:
    statuses, shown, errors = shell(COMMANDS[name], "| head -1", large)
    assert (statuses, errors) == ([1, 0], "")
    assert shown.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("errors_too", [False, True])
def test_a_reader_that_never_was_there(folder: Path, name: str, errors_too: bool) -> None:
    """Also where what is printed is short enough to be flushed only at the end."""
    command = f"{sys.executable} {TOOLS}/{COMMANDS[name]}".split()
    read, write = os.pipe()
    os.close(read)
    stderr = write if errors_too else subprocess.PIPE
    done = subprocess.run(command, cwd=folder, stdout=write, stderr=stderr, timeout=30)
    os.close(write)
    assert (done.returncode, done.stderr or b"") == (1, b"")


FULL = ">/dev/full", "cannot write to standard output: No space left on device"
TAKES_NOTHING = [
    *((name, *FULL) for name in COMMANDS),
    ("json", ">&-", "standard output is closed"),
    ("text", "</dev/null >&-", "standard output is closed"),
    ("help", ">&-", "standard output is closed"),
    ("json", "1</dev/null", "cannot write to standard output: Bad file descriptor"),
]


@pytest.mark.parametrize(("name", "redirection", "problem"), TAKES_NOTHING)
def test_an_output_that_takes_nothing_is_one_line(
    folder: Path, name: str, redirection: str, problem: str
) -> None:
    statuses, _, errors = shell(COMMANDS[name], redirection, folder)
    program = COMMANDS[name].split()[0]
    assert (statuses, errors) == ([1], f"{program}: {problem}\n")


def test_with_neither_output_nor_errors(folder: Path) -> None:
    assert shell(COMMANDS["json"], ">&- 2>&-", folder) == ([1], "", "")
    assert shell("downloader.py --bogus", "2>&-", folder) == ([2], "", "")


def test_usage_errors_keep_their_status_when_nobody_reads_them(folder: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, str(TOOLS / "downloader.py"), "--bogus"]
    assert subprocess.run(command, stderr=write, timeout=30).returncode == 2
    os.close(write)


def test_a_running_download_ends_when_its_reader_leaves(faulty: FaultyServer, tmp_path: Path) -> None:
    """It would take a minute."""
    faulty.default = drip(serve(DATA), len(DATA) / 60)
    for index in range(8):
        files = [file_entry("a.bin", DATA, f"{faulty.url}/{index}")]
        add_model(tmp_path / "zoo", f"m{index}", model_config(files))
    command = [sys.executable, str(TOOLS / "downloader.py"), "--source", "zoo", "--all", "-j2"]
    command += ["-o", "out", "--progress_format=json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        faulty.wait_for(2)
        process.stdout.close()
        assert process.wait(timeout=10) == 1
        assert process.stderr.read() == b""
    assert list((tmp_path / "out").rglob("a.bin")) == []
