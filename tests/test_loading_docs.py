"""The part of docs/publishing.md about loading is true: its steps run after those that publish."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import modelzoo.audmodel as audmodel
import pytest

from tests.conftest import tool
from tests.test_publishing_docs import BLOCKS, SHELL, TEXT, here  # noqa: F401 - a fixture

COMMANDS = [
    line for kind, what, text in BLOCKS if (kind, what) == ("sh", "load") for line in text.splitlines()
]
PROGRAM = [text for kind, what, text in BLOCKS if (kind, what) == ("python", "load")]


def test_the_steps(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.chdir(here)
    monkeypatch.setattr(audmodel.config, "REPOSITORIES", None)
    for line in SHELL[:4]:
        script, *arguments = shlex.split(line)
        tool(Path(script).stem, *arguments, cwd=here)
    download, lookup = (shlex.split(line) for line in COMMANDS)
    tool("downloader", *download[1:], cwd=here)
    assert len(list((here / "out" / "anger" / "autrainer" / "voxcnn" / "1.0.0").iterdir())) == 3
    table = tool("publisher", *lookup[1:], cwd=here).stdout
    assert table == TEXT.partition("lookup --name voxcnn")[2].split("```")[2].removeprefix("text\n")
    names: dict[str, object] = {}
    for text in PROGRAM:
        exec(text, names)
    assert str(names["folder"]).endswith("/audmodel/01244038/1.0.0")
    assert len(names["table"]) == 3  # type: ignore[arg-type]
    assert len(names["models"]) == 3  # type: ignore[arg-type]


def test_every_name_of_audmodel_is_here() -> None:
    text = TEXT.partition("under its names, on this engine: ")[2].partition("`lookup_table`")[0]
    named = re.findall(r"[a-z_]+", text.replace("and", ""))
    assert {"config", "load", "legacy_uid"} <= {*named}
    assert all(hasattr(audmodel, name) for name in named)
