"""Models are quantized with POT's configuration: INT8 inside, as accurate as before."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from modelzoo.openvino.program import Failure
from modelzoo.openvino.quantization.configuration import read_configuration
from modelzoo.openvino.quantization.program import quantize

from tests.digits import NAMES, Zoo, accuracy, make_zoo


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return make_zoo(tmp_path_factory.mktemp("zoo"))


def element_types(xml: Path) -> set[str]:
    return set(re.findall(r'element_type="(\w+)"', xml.read_text()))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("precision", ["FP16", "FP32"])
def test_accuracy_stays_and_weights_are_int8(
    zoo: Zoo, tmp_path: Path, name: str, precision: str
) -> None:
    configuration = zoo.configure(name, precision)
    xml = quantize(configuration, tmp_path, {"DATA_DIR": str(zoo.datasets)})
    assert xml == tmp_path / "optimized" / f"{name}.xml"
    assert 'type="FakeQuantize"' in xml.read_text()
    assert "i8" in element_types(xml)
    assert ("f16" in element_types(xml)) == (precision == "FP16")
    weights = [f.with_suffix(".bin").stat().st_size for f in (xml, zoo.converted(name, "FP32"))]
    assert weights[0] < weights[1] / 3
    before = accuracy(zoo.converted(name, precision))
    assert accuracy(xml) > before - 0.01


@pytest.mark.parametrize(
    ("params", "compression"),
    [
        ({"preset": "mixed", "stat_subset_size": 30, "use_fast_bias": False}, {"target_device": "CPU"}),
        ({"preset": "accuracy", "stat_subset_size": 30}, {"target_device": "NPU"}),
        (
            {
                "stat_subset_size": 30,
                "activations": {
                    "range_estimator": {
                        "max": {"aggregator": "max", "type": "abs_max"},
                        "min": {"aggregator": "min", "type": "min"},
                    }
                },
            },
            {"target_device": "GPU"},
        ),
    ],
)
def test_presets_devices_and_ranges(
    zoo: Zoo, tmp_path: Path, params: dict[str, Any], compression: dict[str, Any]
) -> None:
    configuration = zoo.configure("prob-digits-mlp", "FP32", params, **compression)
    xml = quantize(configuration, tmp_path, {"DATA_DIR": str(zoo.datasets)})
    assert "i8" in element_types(xml)
    assert accuracy(xml) > 0.9


def test_transformers_are_smoothed(zoo: Zoo, tmp_path: Path) -> None:
    def multiplications(**compression: str) -> int:
        configuration = zoo.configure("prob-digits-mlp", "FP32", {"stat_subset_size": 3}, **compression)
        xml = quantize(configuration, tmp_path, {"DATA_DIR": str(zoo.datasets)})
        return xml.read_text().count('type="Multiply"')

    assert multiplications(model_type="transformer") > multiplications()


def test_what_is_ignored_stays_as_it_is(zoo: Zoo, tmp_path: Path) -> None:
    def quantized(ignored: dict[str, Any]) -> int:
        params = {"stat_subset_size": 30, "ignored": ignored}
        configuration = zoo.configure("prob-digits-mlp", "FP32", params)
        xml = quantize(configuration, tmp_path, {"DATA_DIR": str(zoo.datasets)})
        return xml.read_text().count('element_type="i8"')

    everything = quantized({})
    assert everything > 0
    assert quantized({"operations": [{"type": "MatMul"}]}) == 0


@pytest.mark.parametrize(
    ("compression", "params", "message"),
    [
        ({"target_device": "VPU"}, {}, "target device VPU: OpenVINO runs on no VPU since 2023"),
        ({"target_device": "TPU"}, {}, "supported are ANY, CPU, GPU, NPU, CPU_SPR"),
        ({}, {"preset": "best"}, 'the preset "best" is not known; known are performance, mixed'),
        ({"algorithms": [{"name": "Magic"}]}, {}, 'the algorithm "Magic" is not supported'),
        ({"algorithms": []}, {}, "is missing"),
    ],
)
def test_what_cannot_be_done_is_told(
    zoo: Zoo, compression: dict[str, Any], params: dict[str, Any], message: str
) -> None:
    configuration = zoo.configure("prob-digits-mlp", "FP32", params or {"preset": "mixed"})
    document = json.loads(configuration.read_text())
    document["compression"].update(compression)
    configuration.write_text(json.dumps(document))
    with pytest.raises(Failure, match=re.escape(message)):
        read_configuration(configuration)


def test_missing_files_are_told(zoo: Zoo, tmp_path: Path) -> None:
    configuration = zoo.configure("prob-digits-mlp", "FP32")
    with pytest.raises(Failure, match="DATA_DIR must be"):
        quantize(configuration, tmp_path, {})
    with pytest.raises(Failure, match=f"no image to calibrate with in {tmp_path}"):
        quantize(configuration, tmp_path, {"DATA_DIR": str(tmp_path)})
    document = json.loads(configuration.read_text())
    document["model"]["weights"] = "nowhere.bin"
    (tmp_path / "pot.json").write_text(json.dumps(document))
    with pytest.raises(Failure, match=r"there is no nowhere\.bin"):
        quantize(tmp_path / "pot.json", tmp_path, {"DATA_DIR": str(zoo.datasets)})
    (tmp_path / "pot.json").write_text("[]")
    with pytest.raises(Failure, match="is not a configuration of POT"):
        read_configuration(tmp_path / "pot.json")
