"""Every option of the downloader: its values, its default from the environment, and what is refused."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.commands import downloader, session
from modelzoo.commands.options import number
from modelzoo.errors import UsageError
from modelzoo.model import KNOWN_PRECISIONS
from modelzoo.run.setup import MAX_JOBS, MAX_TIMEOUT

from tests.conftest import tool
from tests.zoo import add_local_model

VALUES = {
    "output_dir": ("some/where", Path("some/where"), "else"),
    "precisions": ("FP16,FP32", "FP16,FP32", "FP32"),
    "num_attempts": ("7", 7, "8"),
    "cache_dir": ("my cache", Path("my cache"), "other"),
    "cache_link": ("hardlink", "hardlink", "copy"),
    "progress_format": ("json", "json", "text"),
    "progress_interval": ("0", 0.0, "1.5"),
    "jobs": ("8", 8, "9"),
    "connections": ("7", 7, "8"),
    "connections_per_host": ("1", 1, "2"),
    "limit_rate": ("1.5k", 1536.0, "2M"),
    "timeout": ("2.5", 2.5, "3"),
    "requirements": ("warn", "warn", "ignore"),
    "report": ("r.json", Path("r.json"), "s.json"),
}
"""Option -> a value as text, the same as the tool sees it, and another one."""

BAD = [
    *(("jobs", text) for text in ("0", "-1", "x", "1.5", "1e3", str(MAX_JOBS + 1), "9" * 500, "nan")),
    *(("num_attempts", text) for text in ("-1", "0", "1e9", "10000000", "٣x", "1" + "0" * 5000)),
    *(("timeout", text) for text in ("0", "-1", "nan", "inf", "-inf", "1e300", "soon", "0x1")),
    *(("progress_interval", text) for text in ("-0.1", "nan", "inf", "often")),
    *(("limit_rate", text) for text in ("0", "0.5", "-1", "K", "1T", "1e3", "٣", "9" * 16)),
    *((option, text) for option in ("connections", "connections_per_host") for text in ("0", "x")),
    *(("progress_format", text) for text in ("xml", "JSON", "json ", "text,json")),
]

OWN_VARIABLES = ("source", "backend", "gpu", "cookie", "cookie_file")
"""What reads its variables itself; tested with what it is for."""

PATTERNS = ("name", "exclude", "task", "framework", "license", "tag")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """The tool inside this process: what the launcher calls, with its exit status, stdout, stderr."""
    before = signal.getsignal(signal.SIGTERM)

    def act(*arguments: str | Path) -> tuple[int, str, str]:
        capfd.readouterr()
        status = session.run(downloader.main, list(map(str, arguments)), "downloader.py")
        return status, *capfd.readouterr()

    yield act
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """A source with two models."""
    for name in ("alpha", "beta"):
        add_local_model(tmp_path / "zoo", name, {"a.bin": name.encode()})
    return tmp_path / "zoo"


def parse(arguments: list[str], environ: dict[str, str]) -> Any:
    return downloader._parser("downloader.py").parse(arguments, environ)


def one_line(error: str) -> str:
    """The only line of stderr, of a length that somebody reads."""
    assert error.count("\n") == 1, error
    assert len(error) < 500, error
    assert error.startswith("downloader.py: "), error
    return error


@pytest.mark.parametrize("option", VALUES)
def test_a_value_comes_from_the_option_then_the_environment(option: str) -> None:
    text, value, other = VALUES[option]
    variable = f"MODELZOO_{option.upper()}"
    given = vars(parse(["--all", f"--{option}", text], {}))
    assert given[option] == value
    assert vars(parse(["--all"], {variable: text})) == given
    # The option wins, whatever the variable holds, and adds nothing to it.
    for loser in (other, "\0nonsense"):
        assert vars(parse(["--all", f"--{option}", text], {variable: loser})) == given
    assert parse(["--all"], {variable: ""}) == parse(["--all"], {})
    assert parse(["--all"], {}) != parse(["--all"], {variable: text})


def test_filters_and_switches_have_no_variable(run: Run, zoo: Path, tmp_path: Path) -> None:
    actions = downloader._parser("downloader.py")._actions
    others = {a.dest for a in actions} - set(VALUES) - {*OWN_VARIABLES, "help", "version"}
    assert others >= {
        "all",
        "name",
        "list",
        "print_all",
        "exclude",
        "tag",
        "dry_run",
        "offline",
        "force",
    }
    environ = {f"MODELZOO_{name.upper()}": "alpha" for name in others}
    assert parse(["--all"], environ) == parse(["--all"], {})
    with pytest.raises(UsageError, match="required"):
        parse([], environ)


def test_the_help_names_every_variable() -> None:
    text = downloader._parser("downloader.py").format_help()
    variables = [f"MODELZOO_{option.upper()}" for option in (*VALUES, *OWN_VARIABLES)]
    assert all(f" {variable}]" in " ".join(text.split()) for variable in variables)
    assert text.count("MODELZOO_") == len(variables)


def test_the_environment_reaches_a_real_run(zoo: Path, tmp_path: Path) -> None:
    environ = {
        "MODELZOO_SOURCE": str(zoo),
        "MODELZOO_OUTPUT_DIR": "out",
        "MODELZOO_PROGRESS_FORMAT": "json",
        "MODELZOO_CACHE_DIR": "cache",
        "MODELZOO_REPORT": "report.json",
    }
    done = tool("downloader", "--name", "alpha", environ=environ, cwd=tmp_path)
    assert done.stdout.startswith('{"$type":"run_begin"')
    assert (tmp_path / "out" / "alpha" / "a.bin").read_bytes() == b"alpha"
    assert (tmp_path / "report.json").is_file()
    assert (tmp_path / "cache" / "1").is_dir()


@pytest.mark.parametrize("way", ["option", "variable"])
@pytest.mark.parametrize(("option", "text"), BAD, ids=[f"{o}={t[:12]}" for o, t in BAD])
def test_a_bad_value_is_a_usage_error(
    run: Run, monkeypatch: pytest.MonkeyPatch, option: str, text: str, way: str
) -> None:
    monkeypatch.setenv("MODELZOO_" + option.upper(), text if way == "variable" else "also wrong")
    arguments = [f"--{option}={text}"] if way == "option" else []
    status, out, error = run("--all", "--dry_run", *arguments)
    assert (status, out) == (2, "")
    named = f"--{option}" if way == "option" else f"MODELZOO_{option.upper()}"
    assert f"{named}: " in one_line(error)
    assert text[:40] in error


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--all", "--print_all"],
        ["--all", "--name", "a"],
        ["--name", "a", "--list", "a"],
        ["--list", "a", "--print_all"],
        *(["--name=x", f"--{option}", ""] for option in PATTERNS[1:]),
        *(["--name=x", f"--{option}= , "] for option in PATTERNS[1:]),
        ["--name", ""],
        ["--name", " , "],
        ["--list", ""],
        *(["--all", f"--{option}="] for option in ("output_dir", "cache_dir", "report")),
        ["--all", "--dry_run", "--report", "r.json"],
        ["--name"],
        ["--all", "--bogus"],
        ["--all", "stray"],
        ["--all", "--jobs"],
        ["--al"],
        ["--all", "--output", "x"],  # no abbreviations: a later option would change what they mean
        ["--all", "--two\nlines\x1b[31m"],
        ["--all", "--list=\udcff"],
    ],
    ids=repr,
)
def test_wrong_arguments_are_a_usage_error(run: Run, arguments: list[str]) -> None:
    status, out, error = run(*arguments)
    assert (status, out) == (2, "")
    assert "\x1b" not in one_line(error)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--foo"], "unrecognized arguments: --foo"),
        (["--dry_run", "stray", "-x"], "unrecognized arguments: stray -x"),
        ([], "one of the arguments --all --name --list --print_all --url is required"),
        (["--name=a", "--list=b"], "argument --list: not allowed with argument --name"),
        (["--all", "--tag="], "argument --tag: expected at least one pattern"),
        (["--all", "-o", ""], "argument -o/--output_dir: expected a path, got nothing"),
        (
            ["--all", "--report=r", "--dry_run"],
            "argument --dry_run: not allowed with argument --report",
        ),
    ],
    ids=repr,
)
def test_a_usage_error_names_the_worst_mistake(run: Run, arguments: list[str], problem: str) -> None:
    expected = f"downloader.py: error: {problem} (see downloader.py --help)\n"
    assert run(*arguments) == (2, "", expected)


@pytest.mark.parametrize("text", ["FP8", "FP16,FP8", "fp16", "", " , "])
def test_an_unknown_precision_names_the_known_ones(run: Run, zoo: Path, text: str) -> None:
    status, out, error = run("--source", zoo, "--all", "--precisions", text)
    assert (status, out) == (1, "")
    assert all(precision in one_line(error) for precision in KNOWN_PRECISIONS)


def test_models_without_a_file_of_the_precisions_are_named(run: Run, zoo: Path) -> None:
    for name in ("gamma", "delta"):
        files = {f"FP16/{name}.{end}": b"x" for end in ("xml", "bin")}
        add_local_model(zoo, name, files, framework="dldt", model_optimizer_args=None)
    command = ["--source", zoo, "--all", "--output_dir", zoo.parent / "out", "--precisions"]
    for option in ([], ["--dry_run"]):
        status, _, error = run(*command, "FP16-INT1,FP32", *option)
        assert (status, error) == (0, "warning: no file of these precisions: delta, gamma\n")
    assert run(*command, "FP16,FP32")[::2] == (0, "")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--name", "alhpa"], 'No matching models: "alhpa". Did you mean alpha?'),
        (["--name", "alpha,bet"], 'No matching models: "bet". Did you mean beta?'),
        (["--name", "x\ny\x1b[31m"], 'No matching models: "x y\ufffd[31m".'),
        (["--all", "--tag", "x"], 'No matching models: --tag "x".'),
        (
            ["--all", "--framework", "onyx"],
            'No matching models: --framework "onyx". Did you mean onnx?',
        ),
        (["--all", "--source", "nowhere"], 'No such source: "nowhere".'),
        (["--all", "--exclude", "*"], "No models are left"),
    ],
    ids=repr,
)
def test_what_is_not_there_ends_in_one_line_that_helps(
    run: Run, zoo: Path, arguments: list[str], expected: str
) -> None:
    status, out, error = run("--source", zoo, *arguments)
    assert (status, out) == (1, "")
    assert expected in one_line(error)


def test_an_output_dir_that_is_a_file(run: Run, zoo: Path) -> None:
    path = zoo.parent / "file"
    path.write_text("mine")
    status, out, error = run("--source", zoo, "--all", "--output_dir", path)
    assert status == 1
    assert out.endswith("FAILED:\nalpha\nbeta\n")
    assert [line.split(": ")[:2] for line in error.splitlines()] == [
        ["alpha", "a.bin"],
        ["beta", "a.bin"],
    ]
    assert path.read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_dir_that_may_not_be_written(run: Run, zoo: Path) -> None:
    folder = zoo.parent / "closed"
    folder.mkdir(mode=0o500)
    status, out, error = run("--source", zoo, "--name", "alpha", "--output_dir", folder)
    assert status == 1
    assert out.endswith("FAILED:\nalpha\n")
    assert "Permission denied" in error


def test_a_failing_process_says_one_line_and_no_more() -> None:
    for arguments, status in ((["--jobs", "9" * 5000, "--all"], 2), (["--name", "alhpa"], 1)):
        done = tool("downloader", *arguments, check=status)
        assert done.stdout == ""
        one_line(done.stderr)


@given(st.text(max_size=20) | st.floats().map(str) | st.integers().map(str))
def test_numbers_are_in_their_range_or_refused(text: str) -> None:
    for kind, low, high in ((int, 1, MAX_JOBS), (float, 0.001, MAX_TIMEOUT)):
        value = None
        with contextlib.suppress(ValueError):
            value = kind(text)
        if value is not None and low <= value <= high:
            assert number(kind, low, high, "a number")(text) == value
        else:
            with pytest.raises(argparse.ArgumentTypeError, match="expected a number, got"):
                number(kind, low, high, "a number")(text)


WORDS = ["--all", "--name", "--list", "-j", "-j8", "--jobs", "-o", "--", "-", "", "a,b", "--timeout=1"]
TEXT = st.text(max_size=5).filter(lambda text: not text.startswith("-h"))


@given(st.lists(st.sampled_from(WORDS) | TEXT, max_size=6))
def test_any_arguments_are_options_or_a_usage_error(arguments: list[str]) -> None:
    try:
        options = parse(arguments, {})
    except UsageError:
        return
    assert [options.all, options.name is not None, options.list is not None].count(True) == 1
