"""The wheel: built as `make dist` does, installed in a fresh environment, run from another folder."""

from __future__ import annotations

import email
import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from modelzoo.version import VERSION

from tests.conftest import ROOT, tool

SOURCES = ("pyproject.toml", "README.md", "LICENSE", "tools", "models")


def run(*command: str | Path, cwd: Path) -> str:
    """A command that has to succeed, without a setting of this Python; its standard output."""
    environ = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MODELZOO", "VIRTUAL"))
    }
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environ, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, (command, done.stdout[-3000:], done.stderr[-3000:])
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the source archive, which has to hold all that is needed, of a copy of the sources."""
    folder = tmp_path_factory.mktemp("build")
    for name in (*SOURCES, *(path.name for path in ROOT.glob("requirements*.in"))):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, folder / name)
    run(sys.executable, "-m", "build", "--no-isolation", cwd=folder)
    assert (folder / "dist" / f"modelzoo_tools-{VERSION}.tar.gz").is_file()
    (built,) = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment with the wheel in it; its dependencies are this one's."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True, with_pip=False)
    programs = folder / "bin"
    pip = [sys.executable, "-m", "pip", "--python", programs / "python", "install"]
    run(*pip, "--no-deps", "--no-index", "--no-compile", wheel, cwd=folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    # A path file in a folder that comes by a path file is not read: the editable install stays out.
    paths = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (packages / "dependencies.pth").write_text("".join(f"{path}\n" for path in paths))
    return programs


def test_name_and_contents(wheel: Path) -> None:
    assert wheel.name == f"modelzoo_tools-{VERSION}-py3-none-any.whl"
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = ROOT / "tools" / "common"
    code = {f"modelzoo/{p.relative_to(package).as_posix()}" for p in package.rglob("*.py")}
    models = {
        f"modelzoo/models/{p.relative_to(ROOT / 'models').as_posix()}"
        for p in (ROOT / "models").rglob("*")
        if p.is_file() and p.suffix not in (".py", ".pyc")
    }
    assert len(models) > 60 + 7 * 3
    assert names == code | models | {"modelzoo/py.typed"}


def test_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = f"modelzoo_tools-{VERSION}.dist-info"
        metadata = email.message_from_bytes(archive.read(f"{info}/METADATA"))
        licence = archive.read(f"{info}/licenses/LICENSE").decode()
    assert (metadata["Name"], metadata["Version"]) == ("modelzoo-tools", VERSION)
    assert (metadata["License-Expression"], metadata["Requires-Python"]) == ("Apache-2.0", ">=3.10")
    assert licence == (ROOT / "LICENSE").read_text()
    lines = (ROOT / "requirements.in").read_text().splitlines()
    needed = [r for r in metadata.get_all("Requires-Dist", []) if "extra ==" not in r]
    assert needed == [line for line in lines if line and not line.startswith("#")]
    assert set(metadata.get_all("Provides-Extra", [])) >= {"test", "training"}


def test_import(installed: Path, tmp_path: Path) -> None:
    code = (
        "import modelzoo, json; "
        "print(json.dumps([modelzoo.__file__, modelzoo.__version__, modelzoo.list_models()]))"
    )
    where, version, models = json.loads(run(installed / "python", "-c", code, cwd=tmp_path))
    assert Path(where).is_relative_to(installed.parent)
    assert version == VERSION
    assert models == tool("downloader", "--print_all").stdout.split()


def test_downloader(installed: Path, tmp_path: Path) -> None:
    output = run(
        installed / "modelzoo-downloader", "--name", "prob-*", "-j8", "-o", "out",
        "--progress_format=json", cwd=tmp_path,
    )  # fmt: skip
    events = [json.loads(line) for line in output.splitlines()]
    assert (events[0]["models"], events[-1]["successful"]) == (7, True)
    for path in (ROOT / "models" / "demo").glob("*/*.onnx"):
        copy = tmp_path / "out" / "demo" / path.parent.name / path.name
        assert copy.read_bytes() == path.read_bytes()


def test_info_dumper(installed: Path, tmp_path: Path) -> None:
    """What is installed and what is checked out tell the same, byte for byte."""
    output = run(installed / "modelzoo-info-dumper", "--all", cwd=tmp_path)
    assert output == tool("info_dumper", "--all").stdout
    module = [installed / "python", "-m", "modelzoo", "info_dumper", "--all"]
    assert run(*module, cwd=tmp_path) == output


def test_programs_name_themselves(installed: Path, tmp_path: Path) -> None:
    for name in ("modelzoo-downloader", "modelzoo-info-dumper"):
        assert run(installed / name, "--version", cwd=tmp_path) == f"modelzoo {VERSION}\n"
        assert run(installed / name, "--help", cwd=tmp_path).startswith(f"usage: {name} ")
        (tmp_path / f"my-{name}").symlink_to(installed / name)
        shown = run(tmp_path / f"my-{name}", "--help", cwd=tmp_path)
        assert shown.startswith(f"usage: my-{name} ")
        assert ("--output_dir" in shown) == (name == "modelzoo-downloader")


def test_a_missing_dependency(installed: Path, tmp_path: Path) -> None:
    """Without the dependencies' path file nothing is there; the advice names the package to install."""
    done = subprocess.run(
        [installed / "python", "-S", "-c",
         "import sys; sys.path.append(sys.argv.pop(1)); sys.argv[0] = 'modelzoo-downloader'\n"
         "from modelzoo.__main__ import downloader; sys.exit(downloader())",
         *installed.parent.glob("lib/python*/site-packages"), "--all"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("modelzoo-downloader: the package ")
    assert done.stderr.endswith(" -m pip install modelzoo-tools\n")
