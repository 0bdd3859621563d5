"""The quantizer with a toolkit that only notes down what it is asked for."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import tool
from tests.programs import Programs, make_tree
from tests.test_converter import headings
from tests.zoo import tree

DEFAULT = {
    "algorithms": [
        {"name": "DefaultQuantization", "params": {"preset": "performance", "stat_subset_size": 300}}
    ]
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three models, converted; the last one is not to be quantized."""
    make_tree(tmp_path, "a", "b-fails", quantizable=True)
    make_tree(tmp_path, "c")
    for name in ("a", "b-fails"):
        for precision in ("FP16", "FP32"):
            folder = tmp_path / "dl/public" / name / precision
            folder.mkdir()
            for suffix in ("xml", "bin"):
                (folder / f"{name}.{suffix}").write_text(precision)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.png").write_bytes(b"1")
    return tmp_path


def quantize(programs: Programs, root: Path, *options: str, check: int | None = 0) -> Any:
    """Run the quantizer."""
    return programs.tool(
        "quantizer", "--source", root / "zoo", "--pot", programs.pot, "--model_dir", root / "dl",
        "--dataset_dir", root / "images", *options, check=check,
    )  # fmt: skip


def test_what_is_printed_and_what_is_left(programs: Programs, root: Path) -> None:
    done = quantize(programs, root, "--all", "-o", str(root / "out"), check=1)
    folder, models = root / "out/public/a/FP16-INT8", root / "dl/public/a"
    command = [sys.executable, "--", str(programs.pot), f"--config={folder}/pot-config.json"]
    command += ["--direct-dump", f"--output-dir={folder}/pot-output"]
    (run,) = [r for r in programs.runs() if r["argv"][0] == command[3]]
    environ = {**run["environ"], "DATA_DIR": str(root / "images"), "MODELS_DIR": str(models)}
    environ["DEFINITIONS_FILE"] = str(root / "data/dataset_definitions.yml")
    assert run["environ"] == environ
    shown = " ".join(f"{name}={shlex.quote(value)}" for name, value in sorted(environ.items()))
    assert done.stdout.startswith(
        "========== Quantizing a from FP16 to FP16-INT8\n"
        f"Creating {folder}/pot-config.json...\n"
        f"Quantization command: {shlex.join(command)}\n"
        f"Quantization environment: {shown}\n\nworking on a\n\n"
        f"Moving quantized model to {folder}...\n\n"
        "========== Quantizing a from FP32 to FP32-INT8\n"
    )
    assert done.stdout.endswith(
        "working on b-fails\n\n========== Skipping c (quantization not supported)\n\nFAILED:\nb-fails\n"
    )
    assert {"a.xml", "a.bin", "pot-config.json"} == set(tree(folder))
    assert Path(run["environ"]["ANNOTATIONS_DIR"]).name == "annotations"
    assert not Path(run["environ"]["ANNOTATIONS_DIR"]).exists()


def test_the_configuration(programs: Programs, root: Path) -> None:
    own = "compression:\n  algorithms: [{name: X}]\nother: 1\n"
    (root / "zoo/public/a/quantization.yml").write_text(own)
    done = quantize(programs, root, "--all", "--dry_run", "--target_device", "CPU")
    assert "(DRY RUN) Quantizing a from FP16 to FP16-INT8" in headings(done.stdout)
    assert programs.runs() == []
    found = {}
    for name in ("a", "b-fails"):
        text = (root / f"dl/public/{name}/FP32-INT8/pot-config.json").read_text()
        found[name] = json.loads(text)
        assert text == json.dumps(found[name], indent=4) + "\n"
    ir = root / "dl/public/a/FP32/a"
    assert list(found["a"].items()) == [
        ("compression", {"algorithms": [{"name": "X"}], "target_device": "CPU"}),
        ("other", 1),
        ("engine", {"config": str(root / "zoo/public/a/accuracy-check.yml")}),
        ("model", {"model": f"{ir}.xml", "weights": f"{ir}.bin", "model_name": "a"}),
    ]
    assert found["b-fails"]["compression"] == {**DEFAULT, "target_device": "CPU"}
    (root / "zoo/public/a/quantization.yml").write_text("[]")
    done = quantize(programs, root, "--name", "a", check=1)
    assert 'quantization.yml: model "a": "compression": is required' in done.stderr
    assert done.stdout == "FAILED:\na\n"


def test_skips_and_mistakes(programs: Programs, root: Path) -> None:
    done = quantize(programs, root, "--name", "c,a", "--precisions", "FP32-INT8")
    assert headings(done.stdout) == [
        "Skipping c (quantization not supported)",
        "Quantizing a from FP32 to FP32-INT8",
    ]
    done = quantize(programs, root, "--all", "--precisions", "FP32", check=1)
    assert done.stderr == "quantizer.py: Unknown precision FP32; known are FP16-INT8, FP32-INT8.\n"
    done = programs.tool("quantizer", "--all", "--source", root / "zoo", "--pot", programs.pot, check=1)
    assert done.stderr == "quantizer.py: --dataset_dir must be specified.\n"
    assert tool("quantizer", "--all", "--dataset_dir", "", check=2).stdout == ""


def test_jobs_beside_each_other_and_what_is_up_to_date(programs: Programs, root: Path) -> None:
    quantize(programs, root, "--all", "-j2", check=1)
    assert sorted(programs.names()) == ["a", "a", "b-fails"]
    for change, redone in (
        (lambda: None, []),
        (lambda: (root / "images/2.png").write_bytes(b"2"), ["a", "a"]),
        (lambda: (root / "dl/public/a/FP16/a.bin").write_bytes(b"other"), ["a"]),
        (lambda: (root / "zoo/public/a/accuracy-check.yml").write_text("models: []"), ["a", "a"]),
    ):
        before = len(programs.names())
        change()
        done = quantize(programs, root, "--name", "a", "-j2")
        assert programs.names()[before:] == redone
        assert done.stdout.count("(up to date)") == 2 - len(redone)
    before = len(programs.names())
    quantize(programs, root, "--name", "a", "--precisions=FP32-INT8", "--target_device", "GPU")
    quantize(programs, root, "--name", "a", "--precisions=FP16-INT8", "--force")
    assert programs.names()[before:] == ["a", "a"]
