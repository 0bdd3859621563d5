"""The digits models as IR, with images to calibrate with; data and figures are those of the demo."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from tests.conftest import ROOT

DEMO = ROOT / "models" / "demo"
NAMES = ("prob-digits-cnn", "prob-digits-mlp")


def load_demo() -> ModuleType:
    """The script that takes the demo models the whole way."""
    spec = importlib.util.spec_from_file_location("whole_way", DEMO / "whole_way.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


whole_way = load_demo()


class Zoo(NamedTuple):
    """A folder with converted demo models and a data set, and POT configurations for them."""

    root: Path

    @property
    def datasets(self) -> Path:
        return self.root / "datasets"

    def converted(self, name: str, precision: str) -> Path:
        return self.root / name / precision / f"{name}.xml"

    def configure(
        self, name: str, precision: str, params: Mapping[str, Any] | None = None, **compression: Any
    ) -> Path:
        """Write what quantizer.py writes for this model."""
        xml = self.converted(name, precision)
        given = params or {"preset": "performance", "stat_subset_size": 100}
        algorithm = {"name": "DefaultQuantization", "params": given}
        document = {
            "compression": {"algorithms": [algorithm], **compression},
            "engine": {"config": str(DEMO / name / "accuracy-check.yml")},
            "model": {
                "model": str(xml),
                "weights": str(xml.with_suffix(".bin")),
                "model_name": name,
            },
        }
        file = self.root / name / "pot-config.json"
        file.write_text(json.dumps(document, indent=4) + "\n")
        return file


def make_zoo(root: Path) -> Zoo:
    """Convert the digits models and write a hundred images."""
    from modelzoo.openvino.conversion.arguments import parse
    from modelzoo.openvino.conversion.program import convert

    zoo = Zoo(root)
    whole_way.write_images(zoo.datasets / "digits", 100)
    for name in NAMES:
        for precision in ("FP16", "FP32"):
            source = f"--input_model={DEMO / name / name}.onnx"
            folder = f"--output_dir={zoo.converted(name, precision).parent}"
            scale = "--scale_values=image[255]"
            convert(parse([source, folder, scale, f"--data_type={precision}"]))
    return zoo


def accuracy(xml: Path) -> float:
    """The share of test images that a model classifies correctly."""
    return float(whole_way.measure(xml, "prob-digits-cnn", runs=0).accuracy)
