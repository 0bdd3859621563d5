# SPDX-License-Identifier: Apache-2.0
"""Take the demo models the whole way: download, convert, quantize, and measure after each step.

    python models/demo/whole_way.py [--output_dir DIR] [NAME ...]

prints a table of size, accuracy on the held-out quarter of the data, and latency. The exit status
is 1 when a step costs more than one point of accuracy, or fails. Needs OpenVINO, NNCF, Pillow and
scikit-learn in the Python that runs it; `make demo` sets that up.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

# OpenVINO sends messages home through this package; without it, it does not.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

HERE = Path(__file__).resolve().parent
TOOLS = HERE.parent.parent / "tools"
NAMES = sorted(folder.parent.name for folder in HERE.glob("*/model.yml"))
STEPS = ("FP32", "FP16", "FP32-INT8", "FP16-INT8")
ALLOWED_LOSS = 0.01
CALIBRATION_IMAGES = 300
RUNS = 2000
Array = Any


class Samples(NamedTuple):
    """A data set, split as `train.py` does it; images have pixels 0..255."""

    train_x: Array
    test_x: Array
    train_y: Array
    test_y: Array


class Figures(NamedTuple):
    """What is measured of one file of a model."""

    size: int
    """Bytes of the ONNX file or, of IR, of the weights (.bin)."""
    accuracy: float
    latency: float
    """Median seconds for one sample, in one thread."""

    def __str__(self) -> str:
        return f"{self.size / 1024:.1f} KiB, {self.accuracy:.1%}, {self.latency * 1e6:.0f} µs"


def samples(name: str) -> Samples:
    """The data set that a model is named after, as the converted model takes it."""
    from sklearn import datasets, model_selection

    subject = name.removeprefix("prob-").rpartition("-")[0]
    x, y = getattr(datasets, f"load_{subject.replace('-', '_')}")(return_X_y=True)
    if subject == "digits":  # grey levels 0..16
        x = (x.reshape(-1, 1, 8, 8) * 255 / 16).round()
    x = x.astype(np.float32)
    split = model_selection.train_test_split(x, y, test_size=0.25, random_state=0, stratify=y)
    return Samples(*split)


def write_images(folder: Path, count: int = CALIBRATION_IMAGES) -> None:
    """Write the first images of the training part as PNG, and `val.txt` with their classes."""
    from PIL import Image

    digits = samples("prob-digits-cnn")
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for index, (image, number) in enumerate(zip(digits.train_x, digits.train_y, strict=True)):
        if index == count:
            break
        Image.fromarray(image[0].astype(np.uint8)).save(folder / f"{index:04d}.png")
        lines.append(f"{index:04d}.png {number}\n")
    (folder / "val.txt").write_text("".join(lines))


def measure(file: Path, name: str, *, runs: int = RUNS) -> Figures:
    """Run a model file on the test part, and on its first sample again and again."""
    import openvino

    data = samples(name)
    is_original = file.suffix == ".onnx"
    scale = np.float32(255 if is_original and data.test_x.ndim == 4 else 1)
    given = [sample[None] / scale for sample in data.test_x]
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1}
    request = openvino.Core().compile_model(file, "CPU", settings).create_infer_request()
    guesses = [int(next(iter(request.infer([x]).values())).argmax()) for x in given]
    request.set_input_tensor(openvino.Tensor(given[0]))
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        request.infer()
        times.append(time.perf_counter() - start)
    weights = file if is_original else file.with_suffix(".bin")
    accuracy = float(np.mean(guesses == data.test_y))
    return Figures(weights.stat().st_size, accuracy, statistics.median(times or [0.0]))


def run(tool: str, *arguments: str | Path) -> None:
    """Run one of the tools; its output goes to stderr. Raises CalledProcessError if it fails."""
    command = [sys.executable, str(TOOLS / f"{tool}.py"), *map(str, arguments)]
    subprocess.run(command, check=True, stdout=sys.stderr)


def take_the_whole_way(folder: Path, names: list[str]) -> None:
    """Download, convert and quantize the models in this folder."""
    chosen = ["--source", "demo", "--name", ",".join(names)]
    datasets = folder / "datasets"
    write_images(datasets / "digits")
    run("downloader", *chosen, "--output_dir", folder)
    run("converter", *chosen, "--download_dir", folder, "-j2")
    run("quantizer", *chosen, "--model_dir", folder, "--dataset_dir", datasets, "-j2")


def files_of(folder: Path, name: str) -> dict[str, Path]:
    """What there is of a model, by the step that made it."""
    home = folder / "demo" / name
    converted = {step: home / step / f"{name}.xml" for step in STEPS}
    return {"ONNX": home / f"{name}.onnx"} | {
        k: file for k, file in converted.items() if file.is_file()
    }


def table(figures: dict[str, dict[str, Figures]]) -> str:
    """The figures as a table of Markdown."""
    rows = [["model", "as downloaded (ONNX)", *STEPS]]
    for name, steps in figures.items():
        rows.append([f"`{name}`", *(str(steps.get(step, "–")) for step in ("ONNX", *STEPS))])
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def losses(figures: dict[str, dict[str, Figures]]) -> list[str]:
    """Where a model lost more accuracy than is allowed."""
    return [
        f"{name} as {step}: {found.accuracy:.1%}, before {steps['ONNX'].accuracy:.1%}"
        for name, steps in figures.items()
        for step, found in steps.items()
        if found.accuracy < steps["ONNX"].accuracy - ALLOWED_LOSS
    ]


def processor() -> str:
    """What the machine calculates with."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> int | str:
    """Do it; returns what `sys.exit` takes."""
    parser = argparse.ArgumentParser(description="Download, convert, quantize and measure.")
    parser.add_argument("--output_dir", type=Path, default=Path("build/demo"), metavar="DIR")
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all demo models")
    options = parser.parse_args()
    names = options.names or NAMES
    try:
        take_the_whole_way(options.output_dir, names)
    except subprocess.CalledProcessError as error:
        return error.returncode
    figures = {
        name: {step: measure(f, name) for step, f in files_of(options.output_dir, name).items()}
        for name in names
    }
    print(f"Size, test accuracy and latency of one sample, in one thread of {processor()}:\n")
    print(table(figures))
    lost = losses(figures)
    return f"Less accurate by more than {ALLOWED_LOSS:.0%}: {'; '.join(lost)}" if lost else 0


if __name__ == "__main__":
    sys.exit(main())
