"""Finding Model Optimizer and the Post-Training Optimization Toolkit, or what stands in for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ..checksum import file_checksum
from ..errors import ModelZooError
from ..files.disk import storage_errors
from ..version import VERSION

HERE = Path(__file__).resolve().parent

_PROBE = """
import importlib, json, sys

def module(name):
    try:
        return importlib.import_module(name).__file__
    except (Exception, SystemExit):
        return None

def version(name):
    try:
        from importlib.metadata import version
        return version(name)
    except Exception:
        return None

names, packages = sys.argv[1].split(","), sys.argv[2].split(",")
found = {}
for name in names:
    found[name] = module(name)
    if found[name]:
        break
print()
print(json.dumps([found, {name: version(name) for name in packages}]))
"""
"""Run in the chosen Python, which may be an old one."""


class Tool(msgspec.Struct, frozen=True):
    """A program that converts or quantizes: how it is run, and what its results depend on."""

    command: tuple[str, ...]
    folder: str
    """What `$mo_dir` means."""
    version: str
    why: str
    bundled: bool = False
    """Whether it is ours, which cannot do everything."""
    by_compression: bool = False
    """Whether it knows `--compress_to_fp16` and no `--data_type`, as releases from 2022.3 on."""


class Kind(msgspec.Struct, frozen=True):
    """One of the two programs: the names under which releases of OpenVINO have it."""

    name: str
    option: str
    classic: str
    """Its module in releases up to 2021."""
    modern: str
    """Its module in later ones."""
    script: str
    """Its path in a toolkit that was installed without a package manager."""
    bundled: str
    """Our program of that kind."""
    packages: tuple[str, ...]
    """The distributions that ours needs."""


MODEL_OPTIMIZER = Kind(
    "Model Optimizer",
    "--mo",
    "mo",
    "openvino.tools.mo",
    "deployment_tools/model_optimizer/mo.py",
    "mo.py",
    ("openvino",),
)
POT = Kind(
    "Post-Training Optimization Toolkit",
    "--pot",
    "pot",
    "openvino.tools.pot",
    "deployment_tools/tools/post_training_optimization_toolkit/main.py",
    "pot.py",
    ("openvino", "nncf", "pillow", "pyyaml"),
)

TOOLKIT_VARIABLE = "INTEL_OPENVINO_DIR"
"""What the toolkit's setupvars script sets."""


def quiet(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment in which no program of OpenVINO tells others about its use."""
    places = [str(HERE / "no_telemetry"), *filter(None, [environ.get("PYTHONPATH")])]
    return {**environ, "PYTHONPATH": os.pathsep.join(places)}


def find(kind: Kind, python: Path, given: Path | None, environ: Mapping[str, str] = os.environ) -> Tool:
    """The program to use; raises ModelZooError when there is none."""
    if given is not None:
        return _script(python, given, f"{kind.option} names it")
    modules, versions = probe(python, (kind.classic, kind.modern), ("openvino-dev", *kind.packages))
    if place := modules.get(kind.classic):
        command, folder = (str(python), "-m", kind.classic), Path(place).parent.parent
        release = versions["openvino-dev"] or _version_of(Path(place))
        return Tool(command, str(folder), release, f"{python} can import {kind.classic}")
    script = environ.get(TOOLKIT_VARIABLE, "") and Path(environ[TOOLKIT_VARIABLE], kind.script)
    if script and script.is_file():
        return _script(python, script, f"{TOOLKIT_VARIABLE} leads to it")
    if place := modules.get(kind.modern):
        why = f"{python} can import {kind.modern}"
        release = versions["openvino-dev"] or ""
        command = (str(python), "-m", kind.modern)
        is_new = not release.startswith(("2022.1", "2022.2"))
        return Tool(command, str(Path(place).parent), release, why, by_compression=is_new)
    lacking = [name for name in kind.packages if not versions[name]]
    if lacking:
        raise ModelZooError(_not_found(kind, python, lacking))
    release = " ".join([VERSION, *(f"{name}-{versions[name]}" for name in kind.packages)])
    why = f"{python} has {', '.join(kind.packages)}, and no {kind.name}"
    return Tool((str(python), "--", str(HERE / kind.bundled)), str(HERE), release, why, bundled=True)


def _not_found(kind: Kind, python: Path, lacking: Sequence[str]) -> str:
    import shlex

    install = shlex.join([str(python), "-m", "pip", "install", *lacking])
    return (
        f"Unable to locate {kind.name}. Use {kind.option} or run setupvars.sh/setupvars.bat from the "
        f"OpenVINO toolkit. For the bundled program, install what it needs: {install}"
    )


def _script(python: Path, path: Path, why: str) -> Tool:
    return Tool((str(python), "--", str(path)), str(path.parent), _version_of(path), why)


def _version_of(script: Path) -> str:
    """What stands for the release of a program that says none; nothing where it is not there."""
    beside = script.parent / "version.txt"
    known = [path for path in (script, beside) if path.is_file()]
    with storage_errors(script):
        return " ".join(str(file_checksum(path, "sha256")) for path in known)


def probe(
    python: Path, modules: Sequence[str], packages: Sequence[str]
) -> tuple[dict[str, str | None], dict[str, str | None]]:
    """What a Python has: where modules are, up to the first that is there, and versions of packages.

    Raises ModelZooError when it cannot be run.
    """
    command = [str(python), "-c", _PROBE, ",".join(modules), ",".join(packages)]
    try:
        done = subprocess.run(  # noqa: S603 - the Python that the user has chosen
            command, stdin=subprocess.DEVNULL, capture_output=True, env=quiet(os.environ), check=False
        )
        found, versions = json.loads(done.stdout.splitlines()[-1])
    except OSError as error:
        raise ModelZooError(f"--python: {python}: {error.strerror}") from None
    except (ValueError, IndexError):
        problem = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        problem = problem or f"it ended with {done.returncode} and said nothing that was asked for"
        raise ModelZooError(f"--python: {python} does not run Python code: {problem}") from None
    return found, versions


def in_words(kind: Kind, python: Path, given: Path | None) -> str:
    """Which program would be used, and why; or what to do."""
    try:
        tool = find(kind, python, given)
    except ModelZooError as error:
        return str(error)
    import shlex

    return f"{kind.name}: {shlex.join(tool.command)} would be used, because {tool.why}."


def default_python() -> Path:
    """The Python that runs programs unless another one is chosen."""
    return Path(sys.executable)
