"""Repositories on a plain web server, read by everything that reads repositories, configured or not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import modelzoo
import pytest
from modelzoo.errors import CatalogError, Reason, SelectionError, TransferError
from modelzoo.registry.storage import connect

from tests.conftest import require, tool
from tests.registry import FILES, LSTM, MLP, folder_of, plant, publish
from tests.servers.nginx import Nginx, nginx_binary

CLOSED = "location /closed/ { autoindex off; }"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Nginx, list[str]]]:
    """A server that shows its folders, and the ids in its repository: ours, audmodel's."""
    require(nginx_binary(), "nginx")
    root = tmp_path_factory.mktemp("served")
    zoo = root / "team" / "my zoo"
    ours = publish(zoo, folder_of(root / "model"), MLP, alias="production")
    theirs = plant(connect(zoo), LSTM)
    (root / "closed" / "_uid").mkdir(parents=True)
    (root / "page").mkdir()
    (root / "page" / "index.html").write_text("<html><a href=x>not a repository</a></html>")
    with Nginx(root, extra=f"autoindex on; {CLOSED}") as server:
        yield server, [ours, str(theirs)]


@pytest.fixture
def url(served: tuple[Nginx, list[str]]) -> str:
    return f"{served[0].url}/team/my%20zoo"


def test_it_is_a_source_without_being_configured(
    served: tuple[Nginx, list[str]], url: str, tmp_path: Path
) -> None:
    assert {m.id for m in modelzoo.find("voxcnn", sources=url)} == {*served[1]}
    selection = ["--source", f"{url}/", "--name", "voxcnn", "--param", "network=mlp"]
    (model,) = json.loads(tool("info_dumper", *selection).stdout)
    assert model["files"][0]["checksum"].startswith("sha256:")
    tool("downloader", *selection, "-o", tmp_path)
    folder = tmp_path / "anger/autrainer/voxcnn/1.0.0" / served[1][0]
    assert {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} == {*FILES}


def test_models_are_loaded_and_looked_up(
    served: tuple[Nginx, list[str]], url: str, tmp_path: Path
) -> None:
    for name in ("production", served[1][0], served[1][1][:8]):
        folder = modelzoo.load(name, tmp_path, repository=url)
        assert (folder / "network.txt").read_bytes() == FILES["network.txt"]
    rows = json.loads(tool("publisher", "lookup", "--format=json", "--repository", url).stdout)
    assert {row["id"]: row["network"] for row in rows} == dict(
        zip(served[1], ("mlp", "lstm"), strict=True)
    )
    assert tool("publisher", "versions", "production", "--repository", url).stdout == "1.0.0\n"


def test_what_is_no_repository(served: tuple[Nginx, list[str]]) -> None:
    base = served[0].url
    for place in ("page", "nowhere", "team"):
        with pytest.raises(CatalogError, match="no published models are listed there"):
            modelzoo.find(sources=f"{base}/{place}")
    with pytest.raises(TransferError, match="autoindex on") as caught:
        modelzoo.find(sources=f"{base}/closed")
    assert caught.value.reason is Reason.ACCESS_DENIED
    done = tool("downloader", "--all", "--source", f"{base}/page", "-o", "out", check=1)
    assert "Traceback" not in done.stderr
    assert "autoindex on" in done.stderr
    with pytest.raises(SelectionError, match="No such source"):
        modelzoo.find(sources="nowhere")


def test_offline_it_says_that_nothing_is_known(url: str, tmp_path: Path) -> None:
    selection = ["--source", f"{url}/never", "--name", "voxcnn", "-o", tmp_path]
    done = tool("downloader", *selection, "--offline", check=1)
    assert "nothing is known of it, and it was not asked" in done.stderr
