"""Reading pot-config.json: what shall be quantized, and how.

Its format is that of the Post-Training Optimization Toolkit 2021.4, as far as Open Model Zoo uses it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..program import Failure

ALGORITHMS = ("DefaultQuantization", "MinMaxQuantization")
PRESETS = {"performance": "performance", "mixed": "mixed", "accuracy": "mixed"}
"""NNCF's for POT's. POT's third, unsymmetric everywhere, is nearest to the second."""
TARGET_DEVICES = ("ANY", "CPU", "GPU", "NPU", "CPU_SPR")
DEFAULT_SUBSET = 300
_GONE = {"VPU": "OpenVINO runs on no VPU since 2023; for the NPU of today's processors use NPU"}


@dataclass(frozen=True)
class Quantization:
    """What one pot-config.json asks for."""

    name: str
    xml: Path
    weights: Path
    accuracy_check: Path | None
    preset: str = "performance"
    target_device: str = "ANY"
    subset_size: int = DEFAULT_SUBSET
    """How many images are looked at."""
    fast_bias_correction: bool = True
    is_transformer: bool = False
    ignored_names: tuple[str, ...] = ()
    ignored_types: tuple[str, ...] = ()
    activations: Mapping[str, Any] = field(default_factory=dict)
    """How the range of activations is estimated: `min` and `max` with `type` and `aggregator`."""


def read_configuration(file: Path) -> Quantization:
    """What the file asks for. Raises Failure where that cannot be done, OSError without the file."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        return _quantization(document)
    except (KeyError, IndexError) as error:
        raise Failure(f"{file}: {error} is missing") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise Failure(f"{file} is not a configuration of POT: {error}") from None


def _quantization(document: dict[str, Any]) -> Quantization:
    model, compression = document["model"], document["compression"]
    algorithm = compression["algorithms"][0]
    if algorithm["name"] not in ALGORITHMS:
        known = ", ".join(ALGORITHMS)
        raise Failure(f'the algorithm "{algorithm["name"]}" is not supported; supported are {known}')
    parameters = algorithm.get("params", {})
    ignored = parameters.get("ignored", {})
    check = document.get("engine", {}).get("config")
    return Quantization(
        name=model["model_name"],
        xml=Path(model["model"]),
        weights=Path(model["weights"]),
        accuracy_check=Path(check) if check else None,
        preset=_preset(parameters.get("preset", "performance")),
        target_device=_target_device(compression.get("target_device", "ANY")),
        subset_size=int(parameters.get("stat_subset_size", DEFAULT_SUBSET)),
        fast_bias_correction=bool(parameters.get("use_fast_bias", True)),
        is_transformer=compression.get("model_type") == "transformer",
        ignored_names=tuple(ignored.get("scope", ())),
        ignored_types=tuple(operation["type"] for operation in ignored.get("operations", ())),
        activations=parameters.get("activations", {}).get("range_estimator", {}),
    )


def _preset(text: str) -> str:
    if text not in PRESETS:
        raise Failure(f'the preset "{text}" is not known; known are {", ".join(PRESETS)}')
    return PRESETS[text]


def _target_device(text: str) -> str:
    if text not in TARGET_DEVICES:
        why = _GONE.get(text, "it is not known")
        raise Failure(f"target device {text}: {why}; supported are {', '.join(TARGET_DEVICES)}")
    return text
