"""Text mode: Open Model Zoo's headings, each model's lines together, and errors on standard error."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TOOLS, tool
from tests.servers.faulty import (
    FaultyServer,
    Step,
    drip,
    hold_after,
    html_page,
    redirect,
    serve,
    status,
)
from tests.zoo import add_local_model, add_model, content, file_entry, model_config

DATA = content("text", 5000)
RULE = "#" * 16
PATCH = {"$type": "regex_replace", "file": "a.bin", "pattern": "a", "replacement": "b"}


def heading(model: str) -> str:
    return f"{RULE}|| Downloading {model} ||{RULE}\n\n"


def add_remote_model(root: Path, name: str, url: str, files: int = 1, **extra: Any) -> None:
    names = [f"{index}.bin" for index in range(files)]
    entries = [file_entry(file, DATA, f"{url}/{name}/{file}") for file in names]
    add_model(root, name, model_config(entries, **extra))


def blocks(output: str) -> dict[str, str]:
    """What was printed under each model's heading, in the order printed."""
    parts = re.split(rf"^{RULE}\|\| Downloading (\S+) \|\|{RULE}\n", output, flags=re.M)
    assert parts[0] == ""
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_headings_are_those_of_open_model_zoo(faulty: FaultyServer, tmp_path: Path) -> None:
    faulty.add("/one/a.bin", serve(DATA))
    add_model(tmp_path / "zoo", "public/one", model_config([
        file_entry("a.bin", DATA, f"{faulty.url}/one/a.bin"),
        file_entry("b.bin", b"bbb", tmp_path.joinpath("b").as_uri()),
    ]))  # fmt: skip
    (tmp_path / "b").write_bytes(b"bbb")
    add_local_model(tmp_path / "zoo", "public/two", {"sub/a.txt": b"abc"})
    command = ["--source", "zoo", "--all", "--cache_dir", "cache", "-o"]
    done = tool("downloader", *command, "out", cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout == (
        heading("one")
        + "========== Downloading out/public/one/a.bin\n"
        + "========== Downloading out/public/one/b.bin\n\n"
        + heading("two")
        + "========== Downloading out/public/two/sub/a.txt\n\n"
    )
    again = tool("downloader", *command, "out", cwd=tmp_path).stdout
    assert again == done.stdout.replace("= Downloading", "= Present")
    cached = tool("downloader", *command, "new", cwd=tmp_path).stdout.splitlines()
    assert cached[2] == "========== Retrieving new/public/one/a.bin from the cache"
    assert len([line for line in cached if line.endswith("from the cache")]) == 3


def test_postprocessing_has_its_heading(tmp_path: Path) -> None:
    add_local_model(tmp_path / "zoo", "patched", {"a.bin": b"a"}, postprocessing=[PATCH])
    add_local_model(tmp_path / "zoo", "wrong", {"a.bin": b"x"}, postprocessing=[PATCH])
    done = tool("downloader", "--source", "zoo", "--all", cwd=tmp_path, check=1)
    assert done.stdout == (
        heading("patched")
        + "========== Downloading patched/a.bin\n\n========== Postprocessing patched\n\n"
        + heading("wrong")
        + "========== Downloading wrong/a.bin\n\n========== Postprocessing wrong\n\nFAILED:\nwrong\n"
    )
    assert done.stderr.startswith("wrong: ")
    assert done.stderr.count("\n") == 1


def test_one_line_a_file_however_slowly_it_comes(faulty: FaultyServer, tmp_path: Path) -> None:
    faulty.default = drip(serve(DATA), 20_000)
    add_remote_model(tmp_path / "zoo", "slow", faulty.url)
    command = ["--source", "zoo", "--all", "--progress_interval", "0"]
    done = tool("downloader", *command, cwd=tmp_path)
    assert done.stdout == heading("slow") + "========== Downloading slow/0.bin\n\n"
    assert done.stderr == ""


@pytest.mark.parametrize("jobs", ["-j2", "-j8"])
def test_the_lines_of_a_model_stay_together(faulty: FaultyServer, tmp_path: Path, jobs: str) -> None:
    """The first model is the slowest: with two workers, all others have ended before its bytes come."""
    held = threading.Event()
    faulty.default = serve(DATA)
    faulty.add("/m0/0.bin", hold_after(serve(DATA), 100, held))
    for index in (0, 1, 2, 4):
        add_remote_model(tmp_path / "zoo", f"m{index}", faulty.url, files=2)
    add_local_model(tmp_path / "zoo", "m3", {"a.bin": b"a"}, postprocessing=[PATCH])
    with start(tmp_path, jobs) as process:
        faulty.wait_for(8)
        held.set()
        output, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (0, "")
    found = blocks(output)
    assert list(found) == ["m0", "m1", "m2", "m3", "m4"]
    for index in (0, 1, 2, 4):
        lines = [f"========== Downloading m{index}/{n}.bin" for n in range(2)]
        assert sorted(found[f"m{index}"].split("\n")) == ["", "", "", *lines]
    assert found["m3"] == "\n========== Downloading m3/a.bin\n\n========== Postprocessing m3\n\n"


def start(cwd: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(TOOLS / "downloader.py"), "--source", "zoo", "--all", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=cwd, stdout=pipe, stderr=pipe, text=True)


def test_many_models_come_in_the_order_of_the_catalog(tmp_path: Path) -> None:
    names = [f"m{index:03}" for index in range(150)]
    for name in names:
        add_local_model(tmp_path / "zoo", name, {"a.bin": name.encode()})
    output = tool("downloader", "--source", "zoo", "--all", "-j8", cwd=tmp_path).stdout
    assert list(blocks(output)) == names


@pytest.mark.parametrize("jobs", ["-j1", "-j8"])
def test_failed_models_are_listed_at_the_end(faulty: FaultyServer, tmp_path: Path, jobs: str) -> None:
    faulty.default = serve(DATA)
    for name in ("b", "d"):
        faulty.add(f"/{name}/1.bin", status(404))
    for name in "abcd":
        add_remote_model(tmp_path / "zoo", name, faulty.url, files=2)
    done = tool("downloader", "--source", "zoo", "--all", jobs, cwd=tmp_path, check=1)
    assert done.stdout.endswith("\n\nFAILED:\nb\nd\n")
    assert done.stdout.count("FAILED") == 1
    assert all(f"{line}\n" in done.stdout for line in ("========== Downloading b/1.bin",))
    assert sorted(done.stderr.splitlines()) == [
        f"{name}: 1.bin: {faulty.url}/{name}/1.bin: the server answered 404 Not Found" for name in "bd"
    ]


def test_retries_are_told_on_stderr(faulty: FaultyServer, tmp_path: Path) -> None:
    faulty.add("/m/0.bin", status(500, headers={"Retry-After": "0"}), serve(DATA))
    add_remote_model(tmp_path / "zoo", "m", faulty.url)
    done = tool("downloader", "--source", "zoo", "--all", "--num_attempts", "2", cwd=tmp_path)
    assert done.stdout == heading("m") + "========== Downloading m/0.bin\n\n"
    assert done.stderr.startswith(f"m: 0.bin: {faulty.url}/m/0.bin: the server answered 500 ")
    assert done.stderr.endswith("; trying again in 0 s\n")
    assert done.stderr.count("\n") == 1


HOSTILE: dict[str, Step] = {
    "redirect": redirect("ftp://evil/\x1b]0;owned\x07\x9b31m"),
    "redirect to text": redirect("\x1b[2J\x1b[H"),
    "page": html_page("\x1b[31mred"),
    "media type": status(200, body=b"{}", content_type="application/json\x1b[31m"),
    "status": lambda exchange: exchange.connection.sock.sendall(b"HTTP/1.1 500 \x1b[31m\r\n\r\n"),
    "garbage": lambda exchange: exchange.connection.sock.sendall(b"\x1b[31m\x07\r\n\r\n"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_server_cannot_steer_the_terminal(faulty: FaultyServer, tmp_path: Path, name: str) -> None:
    faulty.default = HOSTILE[name]
    add_remote_model(tmp_path / "zoo", "m", faulty.url)
    done = tool("downloader", "--source", "zoo", "--all", "--timeout", "2", cwd=tmp_path, check=1)
    assert done.stderr.startswith(f"m: 0.bin: {faulty.url}")
    assert done.stderr.count("\n") == 1
    text = (done.stdout + done.stderr).replace("\n", "")
    assert text.isprintable(), ascii(text)


def test_interrupted(faulty: FaultyServer, tmp_path: Path) -> None:
    faulty.default = hold_after(serve(DATA), 100, threading.Event())
    for name in ("a", "b"):
        add_remote_model(tmp_path / "zoo", name, faulty.url)
    with start(tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == heading("a").removesuffix("\n")
        faulty.wait_for(1)
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert output.endswith("FAILED:\na\n")
    assert error.splitlines()[-1] == "downloader.py: interrupted"
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
    ids=str,
)
def test_colours_only_on_request(environ: dict[str, str], coloured: bool) -> None:
    done = tool("downloader", "--name", "nothing-like-it", environ=environ, check=1)
    assert done.stdout == ""
    assert ("\x1b[" in done.stderr) == coloured


def test_a_closed_stderr_does_not_send_warnings_to_stdout(tmp_path: Path) -> None:
    add_local_model(tmp_path / "zoo", "m", {"a.bin": b"a"}, an_unknown_key=1)
    command = f"{sys.executable} {TOOLS}/downloader.py --source zoo --all"
    shown = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert "an_unknown_key" in shown.stderr
    hidden = subprocess.run(
        ["sh", "-c", f"{command} --force 2>&-"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (hidden.returncode, hidden.stdout) == (0, shown.stdout)
