"""The launchers: from anywhere, under any flag of Python, and with dependencies that are missing."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from modelzoo import __main__ as entry
from modelzoo.commands import downloader
from modelzoo.version import VERSION

from tests.conftest import ROOT, TOOLS
from tests.zoo import add_local_model

NAMES = ["converter", "downloader", "info_dumper", "inventory", "publisher", "quantizer", "sources"]
SELECTING = [name for name in NAMES if name != "publisher"]
COMMANDS = {"inventory": ["adopt"], "sources": ["check"]}
"""Tools with subcommands, and one of those that selects models."""

PROJECT = (ROOT / "pyproject.toml").read_text()
MODULE = ["-m", "modelzoo", "downloader"]
DEPENDENCIES = [
    re.split("[<>=]", line)[0]
    for line in (ROOT / "requirements.in").read_text().splitlines()
    if not line.startswith("#")
]

BLOCKER = """
import os, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name in os.environ["BLOCKED"].split(","):
            if "INTERRUPT" in os.environ:
                raise KeyboardInterrupt
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
"""


def run(
    *command: str | Path, environ: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """A process of this Python."""
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        env={**os.environ, **(environ or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def without(tmp_path: Path) -> dict[str, str]:
    """An environment in which the packages that are named in BLOCKED cannot be imported."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BLOCKER)
    return {"PYTHONPATH": str(folder), "BLOCKED": ""}


def test_every_tool_has_a_launcher_and_all_are_alike() -> None:
    assert entry.tools() == NAMES
    launchers = sorted(path for path in TOOLS.glob("*.py") if path.stem != "pytorch_to_onnx")
    assert [path.stem for path in launchers] == NAMES
    assert len({path.read_bytes() for path in launchers}) == 1
    scripts = re.findall(r'^modelzoo-(\S+) = "modelzoo\.__main__:(\w+)"$', PROJECT, re.M)
    assert [(script.replace("-", "_"), tool) for script, tool in scripts] == [(n, n) for n in NAMES]
    assert all(getattr(entry, tool).args == (tool,) for tool in NAMES)
    assert all(os.access(path, os.X_OK) for path in launchers)


@pytest.mark.parametrize("flags", [[], ["-P"], ["-I"], ["-E", "-s"], ["-O"], ["-X", "utf8=0"]], ids=str)
@pytest.mark.parametrize("name", SELECTING)
def test_from_another_folder(name: str, flags: list[str], tmp_path: Path) -> None:
    if "-P" in flags and sys.version_info < (3, 11):
        pytest.skip("-P came with Python 3.11")
    for decoy in ("common.py", "modelzoo.py", "argparse.py", "msgspec.py"):
        (tmp_path / decoy).write_text("raise SystemExit('the wrong module')")
    script = os.path.relpath(TOOLS / f"{name}.py", tmp_path)
    done = run(*flags, script, *COMMANDS.get(name, []), "--print_all", "--source", "demo", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "prob-breast-cancer-logistic"


def test_through_links(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "get-models").symlink_to(TOOLS / "downloader.py")
    (tmp_path / "a" / "b" / "link").symlink_to("../get-models")
    for link in (tmp_path / "a" / "get-models", tmp_path / "a" / "b" / "link"):
        done = run("-P" if sys.version_info >= (3, 11) else "-s", link, "--version", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, f"modelzoo {VERSION}\n")
    assert run(link, "--bogus").stderr.startswith("link: error: ")
    (tmp_path / "linked tools").symlink_to(TOOLS)
    done = run(tmp_path / "linked tools" / "downloader.py", "--print_all", "--source", "demo")
    assert "prob-wine-mlp" in done.stdout


def test_as_a_command_and_without_execute_bit(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["./downloader.py", "--version"], cwd=TOOLS, env={"PATH": path}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, f"modelzoo {VERSION}\n")
    copy = tmp_path / "tools"
    copy.mkdir()
    shutil.copyfile(TOOLS / "downloader.py", copy / "downloader.py")
    (copy / "common").symlink_to(TOOLS / "common")
    assert not os.access(copy / "downloader.py", os.X_OK)
    assert run("downloader.py", "--version", cwd=copy).stdout == f"modelzoo {VERSION}\n"


@pytest.mark.parametrize("name", NAMES)
def test_version_and_help(name: str, without: dict[str, str]) -> None:
    """Neither needs what only transfers and terminals need."""
    blocked = {**without, "BLOCKED": "requests,urllib3,rich"}
    for command in ([TOOLS / f"{name}.py"], ["-m", "modelzoo", name]):
        done = run(*command, "--version", environ=blocked)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"modelzoo {VERSION}\n", "")
        done = run(*command, *COMMANDS.get(name, []), "--help", environ=blocked)
        assert (done.returncode, done.stderr) == (0, "")
        if name not in SELECTING:
            continue
        shared = {"--all", "--name", "--list", "--print_all", "--exclude", "--task", "--source"}
        actions = downloader._parser("")._actions if name == "downloader" else []
        options = {flag for action in actions for flag in action.option_strings} | shared
        assert {flag for flag in options if flag in done.stdout.replace(",", " ").split()} == options


def test_the_module_shows_its_tools() -> None:
    for arguments, status in (([], 2), (["bogus"], 2), (["session"], 2), (["../downloader"], 2)):
        done = run("-m", "modelzoo", *arguments)
        assert (done.returncode, done.stdout) == (status, "")
        assert done.stderr.startswith("python -m modelzoo: error: ")
        assert done.stderr.count("\n") == 1
    done = run("-m", "modelzoo", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{{{','.join(NAMES)}}}" in done.stdout
    assert run("-m", "common", "downloader", "--version", cwd=TOOLS).stdout == f"modelzoo {VERSION}\n"


def test_the_module_imports_one_tool() -> None:
    start = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_module('modelzoo', {}, '__main__')"
    tell = "import atexit, sys; atexit.register(lambda: print(*sys.modules))"
    done = run("-c", f"{tell}; {start}", *MODULE[1:], "--version")
    loaded = set(done.stdout.split())
    assert [name for name in NAMES if f"modelzoo.commands.{name}" in loaded] == ["downloader"]


def test_the_module_names_itself_in_usage() -> None:
    usage = run(*MODULE, "--help").stdout
    assert usage.startswith("usage: python -m modelzoo downloader ")
    for arguments, status in ((["--foo"], 2), (["--name", "alhpa"], 1)):
        done = run(*MODULE, *arguments)
        assert (done.returncode, done.stdout) == (status, "")
        assert done.stderr.startswith("python -m modelzoo downloader: ")
        assert done.stderr.count("\n") == 1


def missing(done: subprocess.CompletedProcess[str], program: str, package: str) -> None:
    """One line that names the package and a command that a shell understands."""
    package = {"yaml": "pyyaml"}.get(package, package)
    assert (done.returncode, done.stdout) == (1, "")
    start, _, command = done.stderr.partition(" install with: ")
    assert start == f"{program}: the package {package} is missing;"
    requirements = str(ROOT / "requirements.in")
    install = [sys.executable, "-m", "pip", "install", "-r", requirements]
    assert command == shlex.join(install) + "\n"


@pytest.mark.parametrize("package", ["msgspec", "yaml"])
def test_a_missing_dependency(package: str, without: dict[str, str]) -> None:
    blocked = {**without, "BLOCKED": package}
    missing(run(TOOLS / "downloader.py", "--all", environ=blocked), "downloader.py", package)
    missing(run(*MODULE, "--all", environ=blocked), "python -m modelzoo", package)
    if package != "yaml":  # needed only where a catalog has to be read
        missing(run("-m", "modelzoo", environ=blocked), "python -m modelzoo", package)


def test_an_environment_with_nothing_in_it() -> None:
    done = run("-S", "-I", TOOLS / "info_dumper.py", "--all")
    missing(done, "info_dumper.py", "pyyaml" if "yaml" in done.stderr else "msgspec")


def test_a_dependency_that_only_some_runs_need(without: dict[str, str], tmp_path: Path) -> None:
    """Local files come without the network's packages; a run that needs them says so at once."""
    add_local_model(tmp_path / "zoo", "local", {"a.bin": b"x"})
    command = [TOOLS / "downloader.py", "--source", tmp_path / "zoo", "-o", tmp_path / "out"]
    blocked = {**without, "BLOCKED": "requests,urllib3,rich"}
    assert run(*command, "--all", environ=blocked).returncode == 0
    done = run(TOOLS / "downloader.py", "--name", "aclnet", "-o", tmp_path, environ=blocked)
    assert done.returncode == 1
    assert "the package urllib3 is missing; install with: " in done.stderr
    assert set(DEPENDENCIES) == {
        *("requests", "urllib3", "pyyaml", "msgspec", "filelock", "platformdirs", "packaging", "rich")
    }


def test_ctrl_c_while_the_modules_are_imported(without: dict[str, str]) -> None:
    interrupted = {**without, "BLOCKED": "msgspec", "INTERRUPT": "1"}
    done = run(TOOLS / "downloader.py", "--all", environ=interrupted)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_while_the_interpreter_ends(name: str, tmp_path: Path) -> None:
    """Everything has been said by then, and the exit status is known."""
    code = f"import atexit, os, signal; atexit.register(os.kill, os.getpid(), signal.{name})"
    (tmp_path / "sitecustomize.py").write_text(code)
    for command in ([TOOLS / "downloader.py"], MODULE):
        done = run(*command, "--version", environ={"PYTHONPATH": str(tmp_path)})
        assert (done.returncode, done.stdout, done.stderr) == (0, f"modelzoo {VERSION}\n", "")


@pytest.mark.parametrize(
    "command", ["info_dumper.py --all --source .", "downloader.py --name aclnet --report r.json"]
)
def test_a_folder_that_has_been_removed(command: str, tmp_path: Path) -> None:
    """What nobody foresaw of the system is one line as well."""
    script = f'mkdir gone && cd gone && rmdir ../gone && exec "{sys.executable}" "{TOOLS}"/{command}'
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    problem = f"{command.split()[0]}: the current folder has been removed\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", problem)
