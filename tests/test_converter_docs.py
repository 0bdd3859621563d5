"""The document about the converter and the quantizer is true."""

from __future__ import annotations

import re
import shlex

import pytest
from modelzoo.commands import converter, quantizer
from modelzoo.openvino.locate import MODEL_OPTIMIZER, POT

from tests.conftest import ROOT
from tests.test_docs import README, table_options

TEXT = (ROOT / "docs" / "converter.md").read_text()
OPTIONS = {
    name: {flag for action in tool._parser("")._actions for flag in action.option_strings}
    for name, tool in (("converter", converter), ("quantizer", quantizer))
}


def test_every_option_is_documented_and_exists() -> None:
    known = OPTIONS["converter"] | OPTIONS["quantizer"]
    spelled = set(re.findall(r"\(also `(--[\w-]+)`\)", TEXT))
    documented = table_options(TEXT) | table_options(README) | spelled
    assert documented == known - {"-h", "--help", "--version"}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_are_of_the_tool_that_they_are_said_to_be_of(name: str) -> None:
    rows = re.findall(r"^\| (`-.*?`) \| (converter|quantizer):", TEXT, re.M)
    own = {flag for flags, whose in rows if whose == name for flag in re.findall(r"`(--\w+)", flags)}
    own |= {"--mo"} if name == "converter" else {"--pot"}
    (other,) = OPTIONS.keys() - {name}
    assert own == {o for o in OPTIONS[name] - OPTIONS[other] if re.match(r"--\w+$", o)}


def test_commands_make_sense() -> None:
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.S):
        for line in block.splitlines():
            if match := re.match(r"\./(converter|quantizer)\.py (.*)", line):
                module = {"converter": converter, "quantizer": quantizer}[match[1]]
                module._parser("").parse(shlex.split(match[2]), {})


def test_the_places_that_are_looked_at() -> None:
    for kind in (MODEL_OPTIMIZER, POT):
        for text in (kind.option, kind.modern, kind.script.removeprefix("deployment_tools/tools/")):
            assert text in TEXT
        assert all(f"`{package}`" in TEXT for package in kind.packages)
