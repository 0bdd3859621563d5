"""Repositories as sources of the tools: names, parameters, options, events, receipts."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import modelzoo
import pytest
from modelzoo.errors import CatalogError, SelectionError
from modelzoo.registry.layout import header_key
from modelzoo.registry.storage import connect

from tests.conftest import tool
from tests.registry import FILES, LSTM, MLP, folder_of, plant, publish
from tests.servers.s3 import s3_server
from tests.zoo import tree

NORMALIZED = {**LSTM, "normalize": True, "rates": [8000, 16000]}


class Published:
    """A repository with four models, three of them of one version."""

    def __init__(self, url: str, work: Path) -> None:
        self.url = url
        root = folder_of(work / "model")
        self.mlp = publish(url, root, MLP, alias="production")
        self.old = publish(url, root, LSTM)
        self.new = publish(url, root, LSTM, "1.10.0")
        self.normalized = publish(url, root, NORMALIZED)
        self.latest = {self.mlp, self.new, self.normalized}

    def find(self, names: str | None = None, **conditions: object) -> set[str]:
        models = modelzoo.find(names, sources=self.url, **conditions)  # type: ignore[arg-type]
        return {model.id for model in models}


@pytest.fixture(scope="module", params=["folder", "s3"])
def published(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Published]:
    work = tmp_path_factory.mktemp("published")
    if request.param == "folder":
        yield Published(str(work / "repository"), work)
    else:
        with s3_server() as server:
            yield Published(server.bucket(), work)


def test_what_a_name_means(published: Published) -> None:
    everything = {*published.latest, published.old}
    assert published.find() == published.find("*") == everything
    for name in ("voxcnn", "vox*", "anger.autrainer/voxcnn", "anger/autrainer/voxcnn", "anger*"):
        assert published.find(name) == published.latest
    assert published.find(published.old) == {published.old}
    assert published.find(published.old[:8]) == {published.new}
    assert published.find("production") == published.find("prod*") == {published.mlp}
    assert published.find("voxcnn@1.10.0") == {published.new}
    assert published.find(f"{published.old[:8]}@1.0.0") == {published.old}
    assert published.find("voxcnn", exclude="production") == published.latest - {published.mlp}
    with pytest.raises(SelectionError, match="No matching models"):
        published.find("voxrnn")


def test_what_parameters_mean(published: Published) -> None:
    assert published.find("voxcnn", param="network=lstm") == {published.new, published.normalized}
    assert published.find(param=["normalize=True", "sampling_rate>=16000"]) == {published.normalized}
    assert published.find(param="rates=[8000, 16000]") == {published.normalized}
    assert published.find("voxcnn", param={"network": "mlp"}) == {published.mlp}
    assert published.find("voxcnn", param="normalize=None") == {published.mlp, published.new}
    with pytest.raises(SelectionError, match='--param "sampling_rate>16000"'):
        published.find(param="sampling_rate>16000")
    with pytest.raises(SelectionError, match="Did you mean network"):
        published.find(param="netwrok=lstm")
    with pytest.raises(SelectionError, match="No models are left"):
        published.find("production", param="network=lstm")


def test_the_downloader_unpacks_them(published: Published, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--source", published.url, "--name", "voxcnn", "--param", "network=lstm", "-o", out]
    done = tool("downloader", *arguments, "-j4", "--progress_format=json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    ends = [event for event in events if event["$type"] == "model_postprocessing_end"]
    assert {end["model"] for end in ends if end["successful"]} == {published.new, published.normalized}
    version = {published.new: "1.10.0", published.normalized: "1.0.0"}
    for uid in version:
        folder = out / "anger" / "autrainer" / "voxcnn" / version[uid] / uid
        assert {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} == {*FILES}
    before = tree(out)
    done = tool(
        "downloader", *arguments, "--progress_format=json", "--report", tmp_path / "report.json"
    )
    assert "model_postprocessing_begin" not in done.stdout
    assert tree(out) == before
    report = json.loads((tmp_path / "report.json").read_text())
    assert all(file.get("verified", True) for m in report["models"] for file in m["files"])
    listed = tool("inventory", "list", "-o", out, "--param", "normalize=True", "--format", "json")
    assert [model["model"] for model in json.loads(listed.stdout)["models"]] == [published.normalized]
    listed = tool("inventory", "list", "-o", out, "--name", "voxcnn", "--format", "json")
    assert {model["model"] for model in json.loads(listed.stdout)["models"]} == {*version}
    tool("inventory", "verify", "-o", out, "--all")
    # What lies in the layout of audmodel's first releases is found by who loads it.
    folder = modelzoo.load(published.new, out, repository=[], offline=True)
    assert folder == out / "anger" / "autrainer" / "voxcnn" / "1.10.0" / published.new


def test_all_tools_know_them(published: Published) -> None:
    selection = ["--source", published.url, "--param", "normalize=True"]
    listed = tool("info_dumper", "--print_all", "--source", published.url).stdout.split()
    assert {*listed} == {*published.latest, published.old}
    (model,) = json.loads(tool("info_dumper", "--all", *selection).stdout)
    assert (model["name"], model["parameters"], model["aliases"]) == (
        published.normalized,
        NORMALIZED,
        [],
    )
    assert model["files"][0]["checksum"].startswith("sha256:")
    assert model["size"] == model["files"][0]["size"] > 0
    done = tool("downloader", "--dry_run", "--all", *selection, "--progress_format=json")
    assert published.normalized in done.stdout
    assert "none of" not in tool("sources", "check", "--all", *selection, check=None).stderr


def test_bad_conditions_are_usage_errors(published: Published) -> None:
    done = tool("info_dumper", "--all", "--param", "network", check=2)
    assert "expected NAME=VALUE or NAME>=VALUE" in done.stderr


def test_configured_names_are_sources(
    published: Published, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "repositories.yml"
    file.write_text(f"repositories:\n- {{name: team, url: {published.url}}}\n")
    monkeypatch.setenv("MODELZOO_REPOSITORIES_FILE", str(file))
    assert {m.qualified for m in modelzoo.find("production", sources="team")} == {
        f"team:{published.mlp}"
    }
    assert {m.id for m in modelzoo.find("production", sources=["team", "demo"])} == {published.mlp}
    assert modelzoo.load("production", tmp_path / "cache") == (
        tmp_path / "cache" / published.mlp.replace("-", "/", 1)
    )
    done = tool("publisher", "lookup", "--name", "voxcnn", "--version", "1.0.0", "--format", "json")
    rows = {row["id"]: row for row in json.loads(done.stdout)}
    assert rows.keys() == {published.mlp, published.old, published.normalized}
    assert rows[published.mlp]["normalize"] is None


def test_the_lookup_command(published: Published) -> None:
    where = ["--repository", published.url, "--name", "voxcnn"]
    text = tool("publisher", "lookup", *where).stdout.splitlines()
    assert text[0].split() == ["id", "data", "network", "normalize", "rates", "sampling_rate"]
    assert len(text) == 5
    csv = tool("publisher", "lookup", *where, "--param", "network=mlp", "--format", "csv").stdout
    assert csv.splitlines()[1] == f"{published.mlp},emodb,mlp,16000"
    assert tool("publisher", "lookup", *where, "--version", "9.9.9").stdout == ""
    assert "--version X.Y.Z" in tool("publisher", "lookup", "--help").stdout


def test_offline_it_is_what_was_known(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not published.url.startswith("s3"):
        pytest.skip("a folder can always be asked")
    published.find()
    selection = ["--source", published.url, "--name", "voxcnn"]
    out, cache = tmp_path / "out", tmp_path / "cache"
    tool("downloader", *selection, "-o", out, "--cache_dir", cache)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    done = tool("downloader", *selection, "-o", out, "--offline", "--progress_format=json")
    assert json.loads(done.stdout.splitlines()[-1])["successful"]
    with pytest.warns(UserWarning, match="what was known"):
        assert published.find("voxcnn") == published.latest


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    storage = connect(tmp_path / "repository")
    uid = plant(storage, MLP)
    header = tmp_path / "repository" / header_key(uid)
    header.write_text("name: [\n")
    with pytest.warns(UserWarning, match="is not valid YAML"), pytest.raises(SelectionError):
        modelzoo.find("voxcnn", sources=tmp_path / "repository")
    with pytest.raises((CatalogError, SelectionError)):
        modelzoo.find("voxcnn", sources=tmp_path)
    assert os.listdir(tmp_path) == ["repository"]
