"""docs/topaz.md is true: its commands run, its tables agree with the code."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from modelzoo.catalog.topaz.config import MAX_FILES, RUNTIMES
from modelzoo.gpu import FAMILIES
from modelzoo.web.topaz_cdn import DEFAULT_URL

from tests.conftest import ROOT, tool
from tests.topaz import AMQ, COOKIE, PROB, Cdn, add_topaz, backend

TEXT = (ROOT / "docs" / "topaz.md").read_text()
ROWS = re.findall(r"^\| `vaimm [^`]*` \| `\./(\w+)\.py ([^`]*)` \|$", TEXT, re.M)
FIRST = re.findall(r"^\./(\w+)\.py (.*)$", TEXT.partition("```sh")[2].partition("```")[0], re.M)


@pytest.mark.parametrize(("name", "arguments"), [*FIRST, *ROWS])
def test_every_command_runs(
    name: str, arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    amq = {**AMQ, "backends": {**AMQ["backends"], "onnx16": backend("x-fp16.tz")}}
    folder = add_topaz(tmp_path / "json", PROB, amq)
    with Cdn() as cdn:
        cdn.default = cdn.guarded(lambda exchange: exchange.reply(200, {}, b"\1" * 100))
        monkeypatch.setenv("TVAI_MODEL_DIR", str(folder))
        monkeypatch.setenv("TVAI_COOKIE", COOKIE)
        monkeypatch.setenv("MODELZOO_TOPAZ_URL", cdn.url)
        arguments = arguments.replace("$COOKIE", COOKIE)
        words = [str(folder) if word == "DIR" else word for word in shlex.split(arguments)]
        done = tool(name, *words, cwd=tmp_path)
    assert done.stdout
    assert COOKIE not in done.stdout + done.stderr
    fetched = {path.name for path in tmp_path.rglob("*.tz")}
    wants = name == "downloader" and "--dry_run" not in words
    assert bool(fetched) == wants
    assert all(("fp16" in file) == ("onnx16" in words) for file in fetched)


def test_examples_are_there() -> None:
    assert len(FIRST) == 4
    assert len(ROWS) == 6


def test_the_list_of_files_is_that_of_vaimm(tmp_path: Path) -> None:
    """The names that the example of its documentation shows."""
    folder = add_topaz(tmp_path, PROB, AMQ)
    command = ["--source", folder, "--backend", "onnx", "--name", "prob-3,amq-13", "--dry_run"]
    out = tool("downloader", *command, cwd=tmp_path).stdout
    names = re.findall(r"  absent    (\S+),", out)
    assert len(names) == 5
    for name in names:
        assert re.fullmatch(r"(amq-v13|prob-v3)-fgnet-fp32-\d+x\d+-[12]x-ox\.tz", name)


def test_figures() -> None:
    flat = " ".join(TEXT.split())
    assert f"<{DEFAULT_URL}prap-v3-fp32-ov.tz>" in flat
    assert f"more than {MAX_FILES:,} files" in flat
    for code in (*FAMILIES.items(), *RUNTIMES.items()):
        assert "{} {}".format(*code) in flat
