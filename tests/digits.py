"""The digits data set as images, and how well a converted demo model tells them apart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests.conftest import ROOT

DEMO = ROOT / "models" / "demo"
NAMES = ("prob-digits-cnn", "prob-digits-mlp")


def held_out() -> tuple[Any, Any, Any, Any]:
    """Images to calibrate with, images to test with (pixels 0..255), and the classes of both.

    The split is that of models/demo/train.py.
    """
    from sklearn import datasets, model_selection

    pixels, classes = datasets.load_digits(return_X_y=True)
    images = (pixels.reshape(-1, 8, 8) * 255 / 16).round().astype(np.uint8)
    split = model_selection.train_test_split(
        images, classes, test_size=0.25, random_state=0, stratify=classes
    )
    return split[0], split[1], split[2], split[3]


def write_images(folder: Path, count: int) -> None:
    """Write the first images of the training part as PNG, and `val.txt` with their classes."""
    from PIL import Image

    images, _, classes, _ = held_out()
    folder.mkdir(parents=True)
    lines = []
    for index, (image, number) in enumerate(zip(images[:count], classes[:count], strict=True)):
        Image.fromarray(image).save(folder / f"{index:04d}.png")
        lines.append(f"{index:04d}.png {number}\n")
    (folder / "val.txt").write_text("".join(lines))


def accuracy(xml: Path) -> float:
    """The share of test images that a model classifies correctly."""
    import openvino

    compiled = openvino.Core().compile_model(xml, "CPU")
    _, images, _, classes = held_out()
    given = images[:, None, None].astype(np.float32)
    guesses = [compiled([image])[compiled.outputs[0]].argmax() for image in given]
    return float(np.mean(guesses == classes))


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
    write_images(zoo.datasets / "digits", 100)
    for name in NAMES:
        for precision in ("FP16", "FP32"):
            source = f"--input_model={DEMO / name / name}.onnx"
            folder = f"--output_dir={zoo.converted(name, precision).parent}"
            scale = "--scale_values=image[255]"
            convert(parse([source, folder, scale, f"--data_type={precision}"]))
    return zoo
