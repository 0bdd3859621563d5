"""docs/openvino.md is true: arguments, steps and names are those of the code."""

from __future__ import annotations

import re

from modelzoo.openvino.conversion.arguments import FRAMEWORKS, new_parser
from modelzoo.openvino.quantization.accuracy_check import _IMAGE_READERS
from modelzoo.openvino.quantization.configuration import ALGORITHMS, PRESETS, TARGET_DEVICES
from modelzoo.openvino.quantization.images import _CONVERTERS
from modelzoo.openvino.quantization.preprocessing import STEPS

from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "openvino.md").read_text()


def first_cells(heading: str) -> set[str]:
    """What is quoted in the first column of the table after a line."""
    table = TEXT.partition(heading)[2].partition("\n\n")[0]
    cells = (line.split(" | ")[0] for line in table.splitlines() if line.startswith("| `"))
    return {word for cell in cells for word in re.findall(r"`([^`]+)`", cell)}


def test_every_argument_is_in_the_table() -> None:
    options = {flag for action in new_parser()._actions for flag in action.option_strings}
    assert first_cells("## What Model Optimizer's arguments become\n\n") == options - {"-h", "--help"}
    assert all(f"`{framework}`" in TEXT for framework in FRAMEWORKS)


def test_every_step_is_in_the_table() -> None:
    heading = "as the entry of accuracy-check.yml for the launcher `dlsdk` (or `openvino`) says:\n\n"
    assert first_cells(heading) == {*STEPS, "auto_resize"}


def test_names_are_told() -> None:
    names = (*PRESETS, *TARGET_DEVICES, *ALGORITHMS, *_IMAGE_READERS, *_CONVERTERS)
    assert [name for name in names if f"`{name}`" not in TEXT] == []


def test_requirements_are_those_named() -> None:
    for file, packages in {
        "requirements-converter.in": {"openvino"},
        "requirements-quantizer.in": {"openvino", "nncf", "pillow", "pyyaml"},
    }.items():
        lines = (ROOT / file).read_text().splitlines()
        assert {re.split("[<>=]", line)[0] for line in lines if not line.startswith("#")} == packages
        assert f"`{file}`" in TEXT
        assert all(f"`{package}`" in TEXT for package in packages)
