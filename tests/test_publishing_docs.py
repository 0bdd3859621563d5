"""docs/publishing.md is true: its steps run as commands and as Python, its tables are the code's."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from modelzoo.commands.publisher import publish as command
from modelzoo.registry import claims
from modelzoo.registry.configuration import configured
from modelzoo.registry.storage import _modules, connect
from modelzoo.registry.writing import ATTEMPTS

from tests.conftest import ROOT, tool
from tests.publishing import make_folder, models
from tests.servers.nginx import Nginx

TEXT = (ROOT / "docs" / "publishing.md").read_text()
BLOCKS = re.findall(r"^```(\w+) ?(\w*)\n(.*?)^```", TEXT, re.M | re.S)
SHELL = [
    line
    for kind, what, text in BLOCKS
    if (kind, what) == ("sh", "publish")
    for line in text.splitlines()
]
PYTHON = [text for kind, what, text in BLOCKS if (kind, what) == ("python", "publish")]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The folders of the text."""
    for name in ("mlp", "lstm"):
        files = {
            "meta.yaml": b"a: 1\n",
            "network.txt": b"layers\n",
            f"bin/{name}-weights.pkl": b"weights\n",
        }
        make_folder(tmp_path / f"mymodel-{name}", files)
    (tmp_path / "results.yaml").write_text("emodb: {uar: 0.6}\n")
    return tmp_path


def test_the_steps_as_commands(here: Path) -> None:
    printed = []
    for line in SHELL:
        script, *arguments = shlex.split(line)
        printed.append(tool(Path(script).stem, *arguments, cwd=here).stdout)
    published = re.findall(r"^\./publisher\.py publish ", "\n".join(SHELL), re.M)
    uids = [text.strip() for text in printed[: len(published)]]
    assert len(set(uids)) == len(uids) == 4
    assert sorted(map(str, models(connect(here / "models")))) == sorted(uids)
    assert printed[4:8] == ["1.0.0\n", f"{uids[3]}\n", f"{uids[3]}\n", "emodb:\n  uar: 0.6\n"]
    assert json.loads(printed[8]) == {"emodb": {"uar": 0.6}}


def test_the_example_of_output(here: Path) -> None:
    shown = next(text for kind, _, text in BLOCKS if kind == "text" and "(int)" in text).splitlines()
    done = tool("publisher", *shlex.split(SHELL[0])[1:], cwd=here)
    seen = (done.stderr + done.stdout).replace(str(here), "/home/anna").splitlines()
    variable = re.compile(r"[0-9.]+ (s|B)\b")
    assert [variable.sub("N", line) for line in seen] == [variable.sub("N", line) for line in shown]


def test_the_steps_as_python(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    done = tool("publisher", *shlex.split(SHELL[0].replace("models", "others"))[1:], cwd=here)
    names: dict[str, object] = {}
    for text in PYTHON:
        exec(text, names)
    assert f"{names['uid']}\n" == done.stdout
    assert [*map(str, models(connect("models")))] == [names["uid"]]


def test_the_table_of_repositories() -> None:
    table = TEXT.partition("| `--repository` | what it is")[2].partition("\n\n")[0]
    assert {*re.findall(r"`(\w+)://", table)} | {"http"} == {*_modules()}


def test_the_example_of_configuration(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = [text for kind, what, text in BLOCKS if (kind, what) == ("yaml", "repositories")]
    (here / "r.yml").write_text(text)
    monkeypatch.setenv("MODELZOO_REPOSITORIES_FILE", str(here / "r.yml"))
    assert [entry.name for entry in configured()] == ["", "team", "cloud"]
    assert yaml.safe_load(text)["repositories"][1]["token_variable"] == configured()[1].token_variable


def test_the_configuration_of_nginx(here: Path, nginx: Nginx) -> None:
    (text,) = [text for kind, _, text in BLOCKS if kind == "nginx"]
    root = here / "www"
    root.mkdir()
    with Nginx(root, extra=text) as server:
        done = tool(
            *("publisher", "publish", "mymodel-mlp", "--name", "x", "--version", "1.0.0"),
            *("--repository", f"{server.url}/zoo"),
            cwd=here,
        )
        assert done.stdout.strip() in map(str, models(connect(root / "zoo")))
        assert tool("publisher", "versions", done.stdout.strip(), "--repository", f"{server.url}/zoo")


def test_figures_and_options() -> None:
    flat = " ".join(TEXT.split())
    assert (claims.RENEWAL, claims.EXPIRY) == (10.0, 60.0)
    assert "up to ten seconds from another one" in flat
    assert f"attempts for each request ({ATTEMPTS}), seconds to wait for a server (60)" in flat
    from modelzoo.commands.options import Parser

    parser = Parser("", "", own_version=True)
    command.add_options(parser)
    options = {flag for action in parser._actions for flag in action.option_strings} - {"-h", "--help"}
    assert options <= {*re.findall(r"--[a-z_]+", TEXT)}
