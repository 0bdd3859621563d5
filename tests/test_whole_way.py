"""`make demo`: a digits model as downloaded, converted and quantized, and the README's table."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.digits import whole_way

README = (ROOT / "README.md").read_text()


def rows(text: str) -> dict[str, list[str]]:
    """The rows of a table by their first cell."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {first.strip("`"): cells for first, *cells in lines}


def test_the_table_of_the_readme_has_every_model_and_step() -> None:
    told = rows(README.partition("<!-- table: make demo -->")[2].partition("\n\n")[0])
    assert told.pop("model") == ["as downloaded (ONNX)", *whole_way.STEPS]
    told.pop("---")
    assert list(told) == whole_way.NAMES
    for name, cells in told.items():
        quantized = name in ("prob-digits-cnn", "prob-digits-mlp")
        assert [cell == "–" for cell in cells] == [False] * 3 + [not quantized] * 2
        accuracies = [float(m) for m in re.findall(r"([\d.]+)%", " ".join(cells))]
        assert min(accuracies) >= accuracies[0] - 100 * whole_way.ALLOWED_LOSS


def test_the_digits_go_the_whole_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    name = "prob-digits-mlp"
    monkeypatch.setattr(sys, "argv", ["whole_way.py", "--output_dir", str(tmp_path / "demo"), name])
    assert whole_way.main() == 0
    printed = capfd.readouterr().out
    sizes_and_accuracies = re.compile(r"([\d.]+) KiB, ([\d.]+)%")
    found, told = (sizes_and_accuracies.findall(" ".join(rows(t)[name])) for t in (printed, README))
    assert len(found) == 5
    for (size, accuracy), (told_size, told_accuracy) in zip(found, told, strict=True):
        assert float(size) == pytest.approx(float(told_size), rel=0.05)
        assert float(accuracy) == pytest.approx(float(told_accuracy), abs=0.5)


def test_a_loss_is_found() -> None:
    steps = {"ONNX": whole_way.Figures(1, 0.99, 1e-3), "FP32": whole_way.Figures(1, 0.981, 1e-3)}
    assert whole_way.losses({"it": steps}) == []
    steps["FP16-INT8"] = whole_way.Figures(1, 0.979, 1e-3)
    assert whole_way.losses({"it": steps}) == ["it as FP16-INT8: 97.9%, before 99.0%"]
