"""The programs a user would take instead, each with its best options for the task."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from . import environments
from .corpus import CORES
from .measure import Command
from .programs import CACHE, OUTPUT, Program, Task

OMZ = "Open Model Zoo"
ARIA2 = "aria2c"
CURL = "curl"
WGET = "wget"
HF_TRANSFER = "hf_transfer"
POOCH = "pooch"
PYPDL = "pypdl"

SHA384SUM = " + sha384sum"  # verified by a second program afterwards
SHA384 = " + sha384"  # verified afterwards in the same process

_DRIVERS = Path(__file__).with_name("drivers")


def _curl(task: Task) -> Command | None:
    """Connections are reused in both modes; --parallel is slower for a single file."""
    if not shutil.which("curl"):
        return None
    parallel = ["--parallel", "--parallel-max", task.jobs] if task.jobs > 1 else []
    quiet = ["--no-progress-meter", "--fail", "--create-dirs"]
    return task.command("curl", *quiet, *parallel, "--config", task.inputs / "curl.txt")


def _wget(task: Task) -> Command | None:
    """Only for one file: it has no parallel downloads, nor names for several files."""
    if not shutil.which("wget"):
        return None
    file = task.files[0]
    folder = Path(file.path).parent
    url = f"{task.url}/{file.path}"
    return task.command("wget", "--quiet", "--no-config", "--directory-prefix", folder, url)


def _aria2(task: Task, *more: str) -> Command | None:
    """Checksums are in its input file; it does not split a file that is served at full speed."""
    if not shutil.which("aria2c"):
        return None
    several = min(16, task.connections)  # 16 is its limit for one server
    split = [f"--max-connection-per-server={several}", f"--split={several}", "--min-split-size=1M"]
    quiet = ["--no-conf", "--quiet", "--file-allocation=none", "--allow-overwrite=true"]
    at_once = f"--max-concurrent-downloads={task.jobs}"
    where = [f"--dir={task.output}", f"--input-file={task.inputs / 'aria2.txt'}"]
    return task.command("aria2c", *quiet, at_once, *split, *where, *more)


def _conditional_aria2(task: Task) -> Command | None:
    """A second run that asks for each file whether it has changed."""
    return _aria2(task, "--conditional-get=true")


def _omz(tool: str, task: Task, catalog: str, *arguments: object) -> Command | None:
    python = environments.python("omz")
    if python is None:
        return None
    driver = [python, "-I", _DRIVERS / "omz.py", task.inputs / catalog, tool]
    # CI=true is its switch against sending statistics over the network.
    return task.command(*driver, *arguments, CI="true")


def _omz_downloader(task: Task) -> Command | None:
    cache = [f"--cache_dir={task.folder / CACHE}"] if task.cached else []
    arguments = ["--all", "-o", task.output, f"-j{task.jobs}", "--progress_format=json", *cache]
    return _omz("downloader", task, "catalog", *arguments)


def omz_info_dumper(catalog: str, name: str | None = None) -> Callable[[Task], Command | None]:
    """Open Model Zoo's info_dumper on one of the task's catalogs, for all models or for one."""

    def command(task: Task) -> Command | None:
        select = ["--name", name] if name else ["--all"]
        done = _omz("info_dumper", task, catalog, *select)
        return done and replace(done, stdout=task.folder / OUTPUT / "info.json")

    return command


def _library(name: str, *, check: bool = False) -> Callable[[Task], Command | None]:
    def command(task: Task) -> Command | None:
        python = environments.python(name)
        if python is None:
            return None
        # hf_transfer always splits, which is what it is for.
        connections = 16 if name == HF_TRANSFER else task.connections
        options = [f"--jobs={task.jobs}", f"--connections={connections}", *["--check"] * check]
        driver = [python, "-I", _DRIVERS / "fetch.py", name]
        return task.command(*driver, task.inputs / "files.json", task.output, *options)

    return command


def _then_sha384sum(fetch: Callable[[Task], Command | None]) -> Callable[[Task], Command | None]:
    """The same, and then sha384sum on all cores."""

    def command(task: Task) -> Command | None:
        done = fetch(task)
        if done is None:
            return None
        lists = shlex.join(str(path) for path in sorted(task.inputs.glob("sums-*")))
        check = f"printf '%s\\n' {lists} | xargs -P {CORES} -n 1 sha384sum --quiet --check"
        return replace(done, argv=("sh", "-c", f"{shlex.join(done.argv)} && {check}"))

    return command


def curl() -> tuple[Program, Program]:
    """Without and with a check."""
    return Program(CURL, _curl, verifies=False), Program(CURL + SHA384SUM, _then_sha384sum(_curl))


def wget() -> tuple[Program, Program]:
    """Without and with a check."""
    return Program(WGET, _wget, verifies=False), Program(WGET + SHA384SUM, _then_sha384sum(_wget))


def aria2() -> tuple[Program]:
    """It verifies by itself."""
    return (Program(ARIA2, _aria2),)


def aria2_again(keeps: frozenset[str]) -> tuple[Program]:
    """A second run over its own output: conditional requests, and no checksums."""
    return (Program(ARIA2, _conditional_aria2, verifies=False, keeps=keeps),)


def omz(keeps: frozenset[str] = frozenset()) -> tuple[Program]:
    """Its downloader verifies by itself."""
    return (Program(OMZ, _omz_downloader, keeps=keeps),)


def pooch() -> tuple[Program]:
    """It verifies by itself."""
    return (Program(POOCH, _library(POOCH)),)


def hf_transfer() -> tuple[Program, Program]:
    """Without and with a check."""
    return _twice(HF_TRANSFER)


def pypdl() -> tuple[Program, Program]:
    """Without and with a check."""
    return _twice(PYPDL)


def _twice(name: str) -> tuple[Program, Program]:
    unchecked = Program(name, _library(name), verifies=False)
    return unchecked, Program(name + SHA384, _library(name, check=True))
