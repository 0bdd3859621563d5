"""The document of the inventory tool is true, and its options are those that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import modelzoo
import pytest
from modelzoo.commands.inventory import adopt, delete, verify
from modelzoo.commands.inventory import list as listing
from modelzoo.commands.inventory.cache import prune, status
from modelzoo.commands.inventory.cache import verify as verify_cache
from modelzoo.commands.options import Parser, add_selection
from modelzoo.installation.inventory import InstalledFile, InstalledModel
from modelzoo.keeping.enrolment import State

from tests.conftest import ROOT, tool
from tests.test_docs import table_options

TEXT = (ROOT / "docs" / "inventory.md").read_text()
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S))
COMMANDS: dict[str, list[ModuleType]] = {
    "list": [listing], "verify": [verify], "delete": [delete], "adopt": [adopt],
    "cache": [status, verify_cache, prune],
}  # fmt: skip


def options_of(module: Any) -> set[str]:
    parser = Parser("x", "x")
    module.add_options(parser)
    flags = {flag for action in parser._actions for flag in action.option_strings}
    return flags - {"-h", "--help", "--version"}


@pytest.mark.parametrize("command", ["list", "verify", "delete", "cache"])
def test_every_option_is_documented_and_every_documented_option_exists(command: str) -> None:
    shared = set() if command == "cache" else table_options(TEXT.partition("## list")[0])
    existing = set().union(*map(options_of, COMMANDS[command]))
    assert table_options(SECTIONS[command]) | shared == existing


def test_options_of_adopt() -> None:
    parser = Parser("x", "x")
    add_selection(parser)
    selection = {flag for action in parser._actions for flag in action.option_strings}
    section = SECTIONS["adopt"]
    assert all(
        f"`{flag}`" in section for flag in options_of(adopt) - selection - {"--output_dir", "--jobs"}
    )


def test_the_commands_in_the_document_run(tmp_path: Path) -> None:
    """In their order, on demo models instead of everything."""
    tool("downloader", "--name", "prob-wine-*", "-o", "models", "--cache_dir", "cache", cwd=tmp_path)
    (tmp_path / "models" / "demo" / "prob-wine-mlp" / "labels.txt").unlink()
    commands = re.findall(r"^\./inventory\.py (.*)$", TEXT, re.M)
    assert [shlex.split(command)[0] for command in commands] == list(COMMANDS)
    for command in commands:
        words = shlex.split(command.replace("--all", "--name 'prob-wine-*'"))
        tool("inventory", *words, cwd=tmp_path)


def test_states_and_members_are_documented() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", SECTIONS["adopt"], re.M)
    assert sorted(rows) == sorted(get_args(State))
    members = {*InstalledModel.__struct_fields__, *InstalledFile.__struct_fields__}
    assert not {member for member in members if f"`{member}`" not in SECTIONS["list"]}


def test_python_functions_are_named_in_the_document_of_python() -> None:
    text = (ROOT / "docs" / "python.md").read_text()
    names = modelzoo._HOME["keeping.functions"]
    assert not [n for n in names if f"modelzoo.{n}(" not in text and f"`{n}`" not in text]
