"""The documents are true: options exist, commands run, tables match the code."""

from __future__ import annotations

import doctest
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import modelzoo
import msgspec
import pytest
from modelzoo.catalog import BUILTIN
from modelzoo.commands.downloader import _parser
from modelzoo.errors import Reason
from modelzoo.events import AnyEvent
from modelzoo.model import KNOWN_PRECISIONS
from modelzoo.version import VERSION

from tests.conftest import ROOT, TOOLS, require, tool

README = (ROOT / "README.md").read_text()
DOCS = {p.name: p.read_text() for p in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}
OPTIONS = {flag for action in _parser("downloader.py")._actions for flag in action.option_strings}


def table_options(text: str) -> set[str]:
    """The options in the first column of tables."""
    cells = re.findall(r"^\| (`-[^|]*(?:\\\|[^|]*)*) \|", text, re.M)
    return {flag for cell in cells for flag in re.findall(r"(?<![\w-])(--?[a-z_]+)", cell)}


def test_every_documented_option_exists_and_every_option_is_documented() -> None:
    documented = table_options(README) | table_options(DOCS["downloader.md"])
    assert documented == OPTIONS - {"-h", "--help", "--version"}


@pytest.mark.parametrize("name", DOCS)
def test_options_in_commands_exist(name: str) -> None:
    for block in re.findall(r"```sh\n(.*?)```", DOCS[name], re.S):
        for command in block.replace("\\\n", " ").splitlines():
            if "downloader" in command or "info_dumper" in command:
                words = shlex.split(command.partition(" | ")[0])
                given = {w.partition("=")[0] for w in words if re.match(r"--[a-z]", w)}
                assert given <= OPTIONS, command


def test_the_first_commands_of_the_readme_run(tmp_path: Path) -> None:
    first = re.findall(r"^\./(\w+)\.py (.*)$", README.partition("```sh")[2].partition("```")[0], re.M)
    assert [name for name, _ in first] == ["downloader", "info_dumper"]
    outputs = [tool(name, *shlex.split(arguments), cwd=tmp_path) for name, arguments in first]
    events = [json.loads(line) for line in outputs[0].stdout.splitlines()]
    assert events[-1]["successful"]
    assert events[0]["models"] == 7
    assert len(json.loads(outputs[1].stdout)) == len(modelzoo.list_models())


def test_the_transcript_is_what_the_command_prints(tmp_path: Path) -> None:
    """Line by line; durations, and digests that were cut short, may differ."""
    match = re.search(r"<!-- transcript: (\S+)\.py (.*?) -->\n```text\n(.*?)```", README, re.S)
    assert match
    printed = tool(match[1], *shlex.split(match[2]), cwd=tmp_path).stdout.splitlines()
    for line in match[3].splitlines():
        if line != "…":
            pattern = re.escape(line).replace("…", '[^"]*')
            pattern = re.sub(r'"seconds":[^,}\\]+(\\.\d+)?', r'"seconds":[\\d.]+', pattern)
            assert any(re.fullmatch(pattern, found) for found in printed), line


def test_links_lead_somewhere() -> None:
    for name, text in DOCS.items():
        folder = ROOT if name == "README.md" else ROOT / "docs"
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (folder / link).exists(), (name, link)


def test_the_event_table_lists_all_events_with_all_members() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", DOCS["events.md"], re.M)
    found = {kind: re.findall(r"`(\w+)`", members) for kind, members in rows}
    expected = {e.__struct_config__.tag: list(e.__struct_fields__) for e in AnyEvent.__args__}  # type: ignore[attr-defined]
    assert found == expected


def test_the_reasons_are_all_there() -> None:
    paragraph = DOCS["events.md"].partition("`reason` is one of")[2].partition("\n\n")[0]
    assert re.findall(r"`(\w+)`", paragraph) == [reason.value for reason in Reason]


def test_the_schema_is_generated_from_the_events() -> None:
    committed = json.loads((ROOT / "docs" / "events.schema.json").read_text())
    properties = [d.get("properties", {}) for d in committed["$defs"].values()]
    kinds = {kind for p in properties for kind in p.get("$type", {}).get("enum", [])}
    assert kinds == {e.__struct_config__.tag for e in AnyEvent.__args__}  # type: ignore[attr-defined]


def test_the_consumer_reads_real_events(tmp_path: Path) -> None:
    code = re.search(r"```python consumer\n(.*?)```", DOCS["events.md"], re.S)
    assert code
    arguments = ["--name", "prob-wine-*", "--progress_format=json"]
    stream = tool("downloader", *arguments, cwd=tmp_path).stdout
    done = subprocess.run([sys.executable, "-c", code[1]], input=stream, capture_output=True, text=True)
    assert (
        done.stdout
        == "ok     prob-wine-logistic\nok     prob-wine-mlp\n4 files, 0 bytes from the network\n"
    )
    assert done.returncode == 0
    failing = '{"$type": "run_end", "successful": false, "files": 0, "bytes_network": 0}'
    done = subprocess.run(
        [sys.executable, "-c", code[1]], input=failing, capture_output=True, text=True
    )
    assert done.returncode == 1


def test_the_jq_line_shows_failures(tmp_path: Path) -> None:
    found = subprocess.run(["sh", "-c", "command -v jq"], capture_output=True).returncode == 0
    require(found, "jq")
    command = re.search(r"^\./downloader\.py --all (.*jq .*)$", DOCS["events.md"], re.M)
    assert command
    script = f"{sys.executable} {TOOLS}/downloader.py --name aclnet --offline {command[1]}"
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "aclnet/aclnet_des_53.onnx: offline\n"


def test_python_examples_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    flags = doctest.IGNORE_EXCEPTION_DETAIL | doctest.ELLIPSIS
    result = doctest.testfile(
        str(ROOT / "docs" / "python.md"), module_relative=False, optionflags=flags
    )
    assert result.attempted > 8
    assert result.failed == 0
    assert doctest.testmod(modelzoo).failed == 0


def test_facts_in_the_text() -> None:
    assert all(f"`{name}`" in README for name in BUILTIN)
    assert all(precision in DOCS["downloader.md"] for precision in KNOWN_PRECISIONS)
    assert len(modelzoo.list_models(sources=["demo"])) == 7
    assert len(modelzoo.list_models(sources=["builtin"])) == 60
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)


def test_report_and_dry_run_members_are_documented(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    options = ["--name", "prob-wine-mlp", "-o", tmp_path, "--report", report]
    tool("downloader", *options)
    document = msgspec.json.decode(report.read_bytes())
    members = {*document, *document["models"][0], *document["models"][0]["files"][0]}
    section = DOCS["downloader.md"].partition("## The report")[2].partition("## The dry run")[0]
    assert {m for m in members if f"`{m}`" not in section} == {"model"} - {"model"}
