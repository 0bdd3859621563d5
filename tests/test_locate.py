"""Which program is used: the order, the reasons, and what to do where there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from modelzoo.errors import ModelZooError
from modelzoo.openvino.locate import HERE, MODEL_OPTIMIZER, POT, Kind, Tool, find, in_words, probe
from modelzoo.openvino.steps import Conversion, Places, Subject, conversion_steps

from tests.conftest import tool

PYTHON = Path(sys.executable)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the chosen Python imports from before all others; it hides what is installed."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.delenv("INTEL_OPENVINO_DIR", raising=False)
    return folder


def add(packages: Path, module: str, version: str = "", text: str = "") -> Path:
    """A package, and what pip would note about it."""
    folder = packages.joinpath(*module.split("."))
    folder.mkdir(parents=True)
    for parent in (folder, *folder.parents):
        if parent == packages:
            break
        (parent / "__init__.py").touch()
    (folder / "__init__.py").write_text(text)
    if version:
        name, _, release = version.partition(" ")
        info = packages / f"{name.replace('-', '_')}-{release}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {release}\n")
    return folder


def test_the_order(packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each that is added beats those before."""
    for kind in (MODEL_OPTIMIZER, POT):
        assert find(kind, PYTHON, None).bundled
        assert find(kind, PYTHON, None).command == (sys.executable, "--", str(HERE / kind.bundled))
        folder = add(packages, kind.modern, "openvino-dev 2024.6.0" if kind is POT else "")
        modern = find(kind, PYTHON, None)
        assert modern.command == (sys.executable, "-m", kind.modern)
        assert (modern.folder, modern.by_compression) == (str(folder), True)
        toolkit = tmp_path / "toolkit"
        monkeypatch.setenv("INTEL_OPENVINO_DIR", str(toolkit))
        assert (
            find(kind, PYTHON, None) == modern
        )  # which the folder of a newer toolkit is not in the way of
        script = toolkit / kind.script
        script.parent.mkdir(parents=True)
        script.touch()
        assert find(kind, PYTHON, None).command == (sys.executable, "--", str(script))
        add(packages, kind.classic)
        classic = find(kind, PYTHON, None)
        assert classic.command == (sys.executable, "-m", kind.classic)
        assert classic.folder == str(packages)
        given = find(kind, Path("/no/such/python"), Path("my/mo.py"))
        assert given.command == ("/no/such/python", "--", "my/mo.py")
        assert given.folder == "my"


def subject(name: str, *args: str) -> Subject:
    """A model in ONNX."""
    return Subject(
        id=name, name=name, source="s", composite=None, subdirectory=name, config_dir="",
        framework="onnx",
        precisions=("FP16", "FP32"), quantization_output_precisions=(), model_optimizer_args=args,
        conversion_to_onnx_args=None,
    )  # fmt: skip


@pytest.mark.parametrize(("release", "new"), [("2022.1.0", False), ("2023.3.0", True)])
def test_a_newer_one_is_told_of_compression(packages: Path, release: str, new: bool) -> None:
    add(packages, MODEL_OPTIMIZER.modern, f"openvino-dev {release}")
    found = find(MODEL_OPTIMIZER, PYTHON, None)
    task = Conversion(subject("m", "--x"), Places("dl", "out"), ("FP16", "FP32"), sys.executable, found)
    options = [step.command[4] for step in conversion_steps(task)]
    classic, modern = ["--data_type=FP16", "--data_type=FP32"], ["True", "False"]
    assert options == ([f"--compress_to_fp16={v}" for v in modern] if new else classic)


@pytest.mark.parametrize("kind", [MODEL_OPTIMIZER, POT], ids=["mo", "pot"])
def test_nothing_is_there(kind: Kind, packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from importlib import metadata\ndef none(name): raise metadata.PackageNotFoundError(name)\n"
    (packages / "sitecustomize.py").write_text(f"{code}metadata.version = none\n")
    add(packages, "openvino", text="raise ImportError")
    with pytest.raises(ModelZooError) as caught:
        find(kind, PYTHON, None)
    start = (
        f"Unable to locate {kind.name}. Use {kind.option} or run setupvars.sh/setupvars.bat from the "
    )
    assert str(caught.value).startswith(f"{start}OpenVINO toolkit.")
    assert str(caught.value).endswith(f" {sys.executable} -m pip install {' '.join(kind.packages)}")
    assert in_words(kind, PYTHON, None) == str(caught.value)


def test_help_says_which_and_why(packages: Path) -> None:
    add(packages, "mo")
    shown = " ".join(tool("converter", "--help").stdout.split())
    used = f"{sys.executable} -m mo would be used, because {sys.executable} can import mo."
    assert shown.endswith(f"Model Optimizer: {used}")
    shown = " ".join(tool("quantizer", "-p", "/other", "--pot", "x/main.py", "--help").stdout.split())
    assert shown.endswith("/other -- x/main.py would be used, because --pot names it.")


def test_a_program_that_is_no_python(tmp_path: Path) -> None:
    odd = tmp_path / "python"
    odd.write_text("#!/bin/sh\necho not me >&2\n")
    odd.chmod(0o755)
    with pytest.raises(ModelZooError, match="does not run Python code: not me"):
        probe(odd, ("mo",), ("openvino",))


def test_what_a_script_is_known_by(tmp_path: Path) -> None:
    def version() -> Tool:
        return find(MODEL_OPTIMIZER, PYTHON, tmp_path / "mo.py")

    seen = [version()]
    for name in ("mo.py", "version.txt"):
        (tmp_path / name).write_text("1")
        seen.append(version())
    assert len({found.version for found in seen}) == 3
