"""Packages and devices that models need: checked before a download, at three levels."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import modelzoo
import pytest
from modelzoo import fiftyone as foz
from modelzoo.errors import UsageError
from modelzoo.requirements import MissingRequirements, has_gpu, missing

from tests.conftest import tool
from tests.remote import entry, files_of, managed, write


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def model(requirements: Any) -> modelzoo.Model:
    return modelzoo.Model(
        id="m",
        name="m",
        source="s",
        subdirectory="s",
        description="",
        framework="",
        task_type="",
        license_url="",
        files=(),
        model_info={"requirements": requirements},
    )


def lacks(requirements: Any) -> list[str]:
    return [text or problem for problem, text in missing(model(requirements))]


@pytest.mark.parametrize(
    ("requirements", "expected"),
    [
        (None, []),
        ({}, []),
        ({"packages": None}, []),
        ({"packages": ["msgspec", "Requests>=2", "pyyaml>=1,<99"]}, []),
        ({"packages": "msgspec, requests>=2,<99,nothing-a>1,<2"}, ["nothing-a<2,>1"]),
        ({"packages": ["nothing-a|msgspec"]}, []),
        ({"packages": ["nothing-a | nothing-b>=2"]}, ["nothing-a"]),
        ({"packages": ["msgspec>=999"]}, ["msgspec>=999"]),
        ({"packages": ['nothing-a; python_version < "3"']}, []),
        ({"packages": {"entrypoint_fcn": "os.system"}}, []),
        (
            {"packages": ["--index-url=http://evil"]},
            ["the requirement '--index-url=http://evil' cannot be read"],
        ),
        ({"cpu": {"packages": ["nothing-c"]}, "gpu": {"packages": ["nothing-g"]}}, ["nothing-c"]),
        ({"cpu": {"support": False}}, ["needs a GPU, and none was found"]),
        ({"gpu": {"support": False}}, []),
    ],
    ids=str,
)
def test_what_is_missing(requirements: Any, expected: list[str]) -> None:
    assert lacks(requirements) == expected


def test_with_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not has_gpu()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert has_gpu()
    both = {"cpu": {"support": False, "packages": ["nothing-c"]}, "gpu": {"packages": ["nothing-g"]}}
    assert lacks(both) == ["nothing-g"]


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELZOO_ZOO_DIR", str(tmp_path / "zoo"))
    (tmp_path / "w").write_text("weights")
    needs = {"packages": ["nothing-a>=1", "msgspec"]}
    url = (tmp_path / "w").as_uri()
    models = [managed(n, n, url, requirements=needs) for n in ("a", "b")]
    modelzoo.register_source(str(write(tmp_path / "src", files_of("s", *models, entry("c")))))
    return tmp_path / "zoo" / "s"


def test_levels_on_the_command_line(source: Path) -> None:
    done = tool("downloader", "--all", "--source", "s", check=1)
    (line,) = done.stderr.splitlines()
    assert line.startswith("downloader.py: a, b: the package nothing-a>=1 is missing; install with: ")
    assert line.endswith(f"{sys.executable} -m pip install 'nothing-a>=1'")
    assert not (source / "a").exists()
    done = tool("downloader", "--name", "a", "--requirements", "warn")
    assert "nothing-a>=1 is missing" in done.stderr
    assert (source / "a").read_text() == "weights"
    assert tool("downloader", "--name", "a").stderr == ""  # nothing is downloaded: nothing is needed
    environ = {"MODELZOO_REQUIREMENTS": "ignore"}
    assert tool("downloader", "--name", "b", environ=environ).stderr == ""
    assert "nothing-a>=1" in tool("sources", "requirements", "a", check=1).stderr
    assert tool("sources", "requirements", "c").stdout == "c: all there\n"


def test_levels_in_python(source: Path) -> None:
    for call in (modelzoo.download, foz.download_zoo_model, foz.ensure_zoo_model_requirements):
        with pytest.raises(MissingRequirements) as caught:
            call("a")
        assert caught.value.models == ("a",)
        assert caught.value.packages == ("nothing-a>=1",)
    with pytest.warns(UserWarning, match="nothing-a"):
        foz.download_zoo_model("a", error_level=1)
    modelzoo.download("b", requirements="ignore")
    with pytest.raises(UsageError, match="error level"):
        foz.download_zoo_model("a", error_level=3)
    with pytest.raises(UsageError, match="expected one of"):
        modelzoo.download("a", requirements="never")  # type: ignore[arg-type]
