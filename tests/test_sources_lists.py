"""`sources.py backends` and `sources.py models`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import modelzoo
import pytest

from tests.conftest import tool
from tests.topaz import AMQ, PROB, add_topaz, topaz_model
from tests.zoo import add_local_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Topaz models folder."""
    return add_topaz(tmp_path / "json", PROB, AMQ)


def sources(*arguments: str | Path, **options: Any) -> str:
    return tool("sources", *arguments, **options).stdout


def test_backends(folder: Path) -> None:
    assert sources("backends", "--source", folder).splitlines() == [
        "backend       models  files",
        "coreml             1      1",
        "onnx               2      5",
        "onnx16             1      1",
        "tensorrt           1      4",
        "tensorrt-off       1      1",
    ]
    found = json.loads(sources("backends", "--source", folder, "--format=json"))
    assert found[1] == {"backend": "onnx", "models": 2, "files": 5}
    environ = {"TVAI_MODEL_DIR": str(folder), "MODELZOO_FORMAT": "json", "TVAI_BACKEND": "coreml"}
    assert json.loads(sources("backends", environ=environ)) == found


def test_no_backends_at_all() -> None:
    done = tool("sources", "backends", "--source", "demo")
    assert done.stdout == ""
    assert done.stderr == "no active source has models for several backends (see --source)\n"
    assert sources("backends", "--source", "demo", "--format", "json") == "[]\n"


def test_models(folder: Path) -> None:
    assert sources("models", "--source", folder).splitlines() == [
        "model   source  files  description",
        "amq-13  json        1  amq",
        "prob-3  json        4  Proteus: Enhances. For all.",
    ]
    assert sources("models", "--source", folder, "--backend", "onnx16").splitlines()[1:] == [
        "prob-3  json        1  Proteus: Enhances. For all.",
    ]
    named = sources("models", "--source", folder, "--name", "p*", "--format", "json")
    assert json.loads(named) == [
        {
            "name": "prob-3",
            "source": "json",
            "version": "3",
            "files": 4,
            "description": "Proteus: Enhances. For all.",
        }
    ]
    engines = ["--backend", "tensorrt", "--gpu", "RTX30"]
    (row,) = json.loads(sources("models", "--source", folder, *engines, "--format", "json"))
    assert row["files"] == 1


def test_models_of_all_formats(folder: Path, tmp_path: Path) -> None:
    """Each option does what it is for: a backend changes nothing in an Open Model Zoo tree."""
    add_local_model(tmp_path / "zoo", "m", {"FP16/m.bin": b"x", "FP32/m.bin": b"y"})
    both = ["--source", str(folder), "--source", str(tmp_path / "zoo")]
    lines = sources("models", *both, "--backend", "coreml").splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [["amq-13", "json", "1"], ["m", "zoo", "2"]]
    names = tool("downloader", "--print_all", *both, "--backend", "coreml").stdout.split()
    assert names == ["amq-13", "m"] == modelzoo.list_models(sources=both[1::2], backend="coreml")
    done = tool("downloader", *both, "--name", "amq-13,m", "--precisions", "FP16", "--dry_run")
    assert "FP16/m.bin" in done.stdout
    assert "FP32" not in done.stdout
    assert "amq-v13-fgnet-fp32-576x672-1x-ox.tz" in done.stdout
    assert "warning" not in done.stderr


def test_what_cannot_be(folder: Path) -> None:
    def error(*arguments: str | Path, status: int) -> str:
        done = tool("sources", *arguments, check=status)
        assert done.stdout == ""
        return done.stderr

    assert "depend on the GPU" in error(
        *("models", "--source", folder, "--backend", "tensorrt"), status=2
    )
    assert "unknown GPU family" in error("models", "--source", folder, "--gpu", "x", status=2)
    assert "invalid choice" in error("backends", "--format", "xml", status=2)
    assert "invalid choice" in error("nothing", status=2)
    assert "COMMAND" in error(status=2)
    assert "No such source" in error("backends", "--source", "nowhere", status=1)
    text = error("models", "--source", folder, "--name", "prob-4", status=1)
    assert 'No matching models: "prob-4". Did you mean prob-3?' in text
    wrong = tool("sources", "models", "--source", folder, "--backend", "onx")
    assert "no model is for the backend onx; its models are for coreml, onnx, onnx16" in wrong.stderr
    engines = ("--backend", "tensorrt", "--gpu", "RTX40")
    text = error("models", "--source", folder, *engines, "--name", "prob-3", status=1)
    assert "no model is for the backend tensorrt for RTX40 on " in text
    assert "; its models are for tensorrt for RTX20 on Linux, tensorrt for RTX20 on Windows, " in text
    assert "No files for the backend tensorrt for RTX40 on " in text


def test_a_description_cannot_steer_a_terminal(tmp_path: Path) -> None:
    gui = {"name": "\x1b[2JEvil\u202e", "desc": "a\tb\r\nc"}
    add_topaz(tmp_path, topaz_model("m", 1, PROB["backends"], gui=gui))
    line = sources("models", "--source", tmp_path).splitlines()[1]
    assert line.isprintable()
    assert "Evil" in line
