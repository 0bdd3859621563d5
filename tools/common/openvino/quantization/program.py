"""The program: read the configuration, calibrate on images, write the quantized model."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..program import Failure, announce, run, say, warn
from ..saving import save
from .accuracy_check import Check, read_check
from .configuration import Quantization, read_configuration
from .feeding import feed, plan_feed
from .images import find_images

PROG = "pot.py"


def main(arguments: Sequence[str]) -> int:
    """Quantize as the arguments say; returns the exit status."""
    parser = argparse.ArgumentParser(prog=PROG, description="Quantizes a model of OpenVINO to INT8.")
    parser.add_argument("-c", "--config", required=True, metavar="FILE", help="pot-config.json")
    output = "where `optimized/` goes (default: ./results)"
    parser.add_argument("--output-dir", default="results", metavar="DIR", help=output)
    idle = parser.add_argument_group("taken without effect").add_argument
    for switch in (
        "--direct-dump",
        "-d",
        "--progress-bar",
        "--stream-output",
        "--keep-uncompressed-weights",
    ):
        idle(switch, action="store_true", help=argparse.SUPPRESS)
    idle("--log-level", help=argparse.SUPPRESS)
    options = parser.parse_args([*arguments])
    paths = Path(options.config), Path(options.output_dir)
    return run(PROG, lambda: announce(quantize(*paths, os.environ)))


def quantize(configuration: Path, output: Path, environment: Mapping[str, str]) -> Path:
    """Write `optimized/NAME.xml` and `.bin` below `output`; returns the first. Raises Failure.

    `DATA_DIR` of the environment is the folder of data sets, `DEFINITIONS_FILE` describes them.
    """
    wanted = read_configuration(configuration)
    for file in (wanted.xml, wanted.weights):
        if not file.is_file():
            raise Failure(f"there is no {file}")
    if not environment.get("DATA_DIR"):
        raise Failure("DATA_DIR must be the folder of the data sets")
    check = _check(wanted, environment)
    images = find_images(Path(environment["DATA_DIR"]), check, wanted.subset_size)
    import openvino

    model = openvino.Core().read_model(wanted.xml, wanted.weights)
    plan = plan_feed(model, check)
    say(f"[ INFO ] calibrating on {len(images)} images")
    half = _has_half_weights(model)
    quantized = _quantize(model, wanted, images, lambda image: feed(image, check, plan))
    return save(quantized, output / "optimized", wanted.name, half=half)


def _check(wanted: Quantization, environment: Mapping[str, str]) -> Check:
    """What accuracy-check.yml says; without it, images are only made as large as the input."""
    if wanted.accuracy_check is None or not wanted.accuracy_check.is_file():
        warn(
            PROG,
            f"there is no {wanted.accuracy_check or 'accuracy-check.yml'}: images are only resized",
        )
        return Check(steps=({"type": "auto_resize"},))
    definitions = environment.get("DEFINITIONS_FILE")
    return read_check(wanted.accuracy_check, wanted.name, Path(definitions) if definitions else None)


def _has_half_weights(model: Any) -> bool:
    """Whether its weights are stored as FP16."""
    kinds = {
        op.get_element_type().to_string() for op in model.get_ops() if op.get_type_name() == "Constant"
    }
    return "f16" in kinds


def _quantize(model: Any, wanted: Quantization, images: list[Path], transform: Any) -> Any:
    logging.getLogger("nncf").setLevel(logging.WARNING)
    import nncf

    nncf.set_log_level(logging.WARNING)
    return nncf.quantize(
        model,
        nncf.Dataset(images, transform),
        preset=nncf.QuantizationPreset(wanted.preset),
        target_device=nncf.TargetDevice(wanted.target_device),
        subset_size=len(images),
        fast_bias_correction=wanted.fast_bias_correction,
        model_type=nncf.ModelType.TRANSFORMER if wanted.is_transformer else None,
        ignored_scope=_ignored(wanted),
        advanced_parameters=_advanced(wanted),
    )


def _ignored(wanted: Quantization) -> Any:
    """What stays as it is; names that the converted model does not have are no mistake of its own."""
    import nncf

    if not wanted.ignored_names and not wanted.ignored_types:
        return None
    return nncf.IgnoredScope(
        names=[*wanted.ignored_names], types=[*wanted.ignored_types], validate=False
    )


def _advanced(wanted: Quantization) -> Any:
    """How ranges of activations are estimated, where the configuration says it."""
    import nncf
    from nncf.quantization import range_estimator as ranges

    if not wanted.activations:
        return None
    sides = {}
    for side in ("min", "max"):
        told = wanted.activations.get(side, {})
        kind, aggregator = told.get("type"), told.get("aggregator")
        sides[side] = ranges.StatisticsCollectorParameters(
            statistics_type=ranges.StatisticsType(kind) if kind else None,
            aggregator_type=ranges.AggregatorType(aggregator) if aggregator else None,
        )
    estimator = ranges.RangeEstimatorParameters(**sides)
    return nncf.AdvancedQuantizationParameters(activations_range_estimator_params=estimator)
