"""The examples of docs/remote-sources.md, run against a GitHub of our own."""

from __future__ import annotations

import doctest
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import modelzoo
import pytest
from modelzoo import fiftyone
from modelzoo.catalog.manifest import Declared
from modelzoo.files.paths import ARCHIVES
from modelzoo.references import parse_reference

from tests.conftest import ROOT, tool
from tests.remote import CODE, WEIGHTS, GitHub
from tests.servers.faulty import FaultyServer

TEXT = (ROOT / "docs" / "remote-sources.md").read_text()


def block(kind: str) -> str:
    match = re.search(rf"```{kind}\n(.*?)```", TEXT, re.S)
    assert match, kind
    return match[1]


@pytest.fixture(autouse=True)
def github(
    faulty: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FaultyServer]:
    """Holds what the text says, with a manifest that is the one in the text."""
    monkeypatch.setenv("MODELZOO_GITHUB_API_URL", faulty.url)
    monkeypatch.setenv("MODELZOO_ZOO_DIR", str(tmp_path / "zoo"))
    with FaultyServer() as downloads:
        files = {"manifest.json": block("json manifest"), "__init__.py": CODE, "weights.py": WEIGHTS}
        GitHub(faulty, downloads).push("voxel51/openai-clip", files)
        yield faulty


def test_the_commands_run(tmp_path: Path) -> None:
    printed = {}
    for line in block("sh remote").splitlines():
        name, *arguments = shlex.split(line)
        done = tool(name.removesuffix(".py"), *arguments, cwd=tmp_path)
        printed[line] = done.stdout
    name, url = "voxel51/clip-vit-base32-torch", "https://github.com/voxel51/openai-clip"
    row = printed["sources.py list"].splitlines()[1].split()
    assert row[:3] == ["voxel51/openai-clip", url, "0123456789ab"]
    assert row[4] == "1"
    assert printed["info_dumper.py --print_all --source voxel51/openai-clip"] == f"{name}\n"
    path = tmp_path / "zoo/voxel51/openai-clip/CLIP-ViT-B-32.pt"
    assert printed[f"sources.py find {name}"] == f"{path}\n"
    assert printed["sources.py downloaded"] == f"{name}  {path}\n"
    assert printed[f"sources.py remove {name}"] == f"Removed {path}\n"
    assert f"Removed voxel51/openai-clip:{name}" in printed["sources.py delete voxel51/openai-clip"]
    assert modelzoo.list_sources() == []


def test_what_fiftyone_does_is_one_command(tmp_path: Path) -> None:
    """Row by row, as one who comes from there would try them."""
    rows = re.findall(r"^\| `fiftyone zoo models ([^`]*)` \| `\./(\w+)\.py ([^`]*)` \|$", TEXT, re.M)
    printed = {}
    for theirs, name, arguments in rows:
        printed[theirs] = tool(name, *shlex.split(arguments), cwd=tmp_path).stdout
    name, url = "voxel51/clip-vit-base32-torch", "https://github.com/voxel51/openai-clip"
    assert url in printed["list-sources"]
    assert name in printed["list"]
    path = tmp_path / "zoo/voxel51/openai-clip/CLIP-ViT-B-32.pt"
    assert printed[f"find {name}"] == f"{path}\n"
    assert json.loads(printed[f"info {name}"])[0]["license_url"] == "MIT"
    assert printed[f"delete {name}"] == f"Removed {path}\n"
    assert printed[f"delete-source {url}"].startswith("Removed voxel51/openai-clip ")
    assert "Downloading voxel51/" in printed[f"download {name}"]
    assert "Downloading voxel51/" in printed[f"download {url} --model-name {name}"]
    assert f"register-source {url}" in printed
    assert path.is_file()


@pytest.mark.parametrize("number", [0, 1])
def test_the_python_examples_run(number: int) -> None:
    text = re.findall(r"```python remote\n(.*?)```", TEXT, re.S)[number]
    test = doctest.DocTestParser().get_doctest(text, {}, "docs", None, None)
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(test)
    assert runner.tries > 6
    assert runner.failures == 0


def test_every_command_and_field_is_in_its_table() -> None:
    help_text = tool("sources", "--help").stdout
    commands = re.findall(r"^  ([a-z_]+)  +[A-Z]", help_text, re.M)
    rows = set(re.findall(r"^\| `sources\.py ([a-z_]+)", TEXT, re.M))
    about_all_sources = {"backends", "check", "models", "new"}
    assert rows == {*commands} - {"COMMAND", *about_all_sources}
    fields = re.findall(r"`(\w+)`", TEXT.partition("| field of a model |")[2].partition("\n\n")[0])
    assert set(fields) >= set(Declared.__struct_fields__)
    for name in rows:
        options = set(re.findall(r"--[a-z_]+", tool("sources", name, "--help").stdout))
        known = {"--help", "--version", "--num_attempts", "--timeout", "--format"}
        assert options <= known | set(re.findall(r"--[a-z_]+", TEXT)), name


def test_the_functions_are_all_there() -> None:
    listed = re.findall(r"foz\.(\w+)\(", TEXT.partition("## In Python")[2].partition("```python\n")[0])
    offered = {name for name in vars(fiftyone) if "zoo_model" in name}
    assert offered == set(listed)
    assert all(name in modelzoo.__all__ for name in re.findall(r"modelzoo\.(\w+_\w+)\(", TEXT))


def test_the_references_are_what_the_table_says() -> None:
    for text in ("https://github.com/u/r", "https://github.com/u/r/tree/b/c", "u/r", "u/r/b"):
        assert parse_reference(text).default_name == "u/r"
    section = TEXT.partition("## References")[2]
    assert {e for e in ARCHIVES if f"`{e}`" in section} >= {
        ".zip",
        ".tar",
        ".tar.gz",
        ".tgz",
        ".tar.xz",
    }


def test_the_sources_code_has_the_functions_of_the_text() -> None:
    assert re.findall(r"^def (\w+\(.*\)):", block("python source"), re.M) == re.findall(
        r"^def (\w+\(.*\)):", CODE, re.M
    )
    assert json.loads(block("json manifest"))["models"]
