"""Registering, refreshing and deleting sources: where they come from, and what becomes of a zoo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import modelzoo
import pytest
from modelzoo import fiftyone as foz
from modelzoo.errors import CatalogError, ModelZooError, Reason, SelectionError, TransferError
from modelzoo.sources import Registered, zoo_dir

from tests.archives import make_archive
from tests.remote import COMMIT, GitHub, entry, files_of, managed, write, zipped
from tests.servers.faulty import FaultyServer, serve, status, truncate_after
from tests.topaz import PROB
from tests.zoo import add_local_model, content, tree

OTHER = "f" * 40
DATA = content("weights", 3000)


@pytest.fixture(autouse=True)
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELZOO_ZOO_DIR", str(tmp_path / "zoo"))
    return tmp_path / "zoo"


@pytest.fixture
def github(faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    monkeypatch.setenv("MODELZOO_GITHUB_API_URL", faulty.url)
    with FaultyServer() as downloads:
        yield GitHub(faulty, downloads)
        assert not downloads.errors


def installed(zoo: Path) -> dict[str, bytes | str]:
    """What is in the zoo, without what the tools keep for themselves."""
    return {name: what for name, what in tree(zoo).items() if not name.startswith(".modelzoo")}


def only() -> Registered:
    (source,) = modelzoo.list_sources()
    return source


def test_a_repository(github: GitHub, zoo: Path) -> None:
    github.push("acme/zoo", files_of(None, entry("m", "w"), extra={"kept": [1.50]}))
    (source,) = modelzoo.register_source("https://github.com/acme/zoo")
    assert source == only()
    assert (source.name, source.reference) == ("acme/zoo", "https://github.com/acme/zoo")
    assert (source.revision, source.format) == (COMMIT, "fiftyone")
    manifest = json.loads((zoo / "acme/zoo/manifest.json").read_text())
    assert manifest["url"] == source.reference
    assert manifest["extra"] == {"kept": [1.5]}
    assert "1.50" not in manifest
    assert set(installed(zoo)) == {
        "acme",
        *(f"acme/zoo{n}" for n in ("", "/manifest.json", "/README.md", "/__init__.py", "/weights.py")),
    }
    assert [m.id for m in modelzoo.find("m")] == ["m"]


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("https://github.com/acme/my.zoo/tree/feat/x", "feat/x"),
        ("acme/my.zoo/feat/x", "feat/x"),
        (f"https://github.com/acme/my.zoo/commit/{OTHER}", OTHER),
        ("acme/my.zoo", ""),
    ],
)
def test_refs(github: GitHub, text: str, ref: str) -> None:
    github.push("acme/my.zoo", files_of("named", entry("m")), ref, OTHER)
    modelzoo.register_source(text)
    assert (only().name, only().revision) == ("named", OTHER)
    assert foz.list_zoo_model_sources() == [only().reference]
    foz.delete_zoo_model_source(text)
    assert modelzoo.list_sources() == []


def test_the_commit_is_also_in_the_folders_name(github: GitHub) -> None:
    github.push("a/b", files_of("s", entry("m")))
    place = "/a/b/legacy.zip/HEAD"
    github.downloads.add(place, serve(zipped(files_of("s", entry("m")), f"a-b-{COMMIT[:7]}")))
    assert modelzoo.register_source("a/b")[0].revision == COMMIT[:7]


def test_the_token_goes_to_the_api_alone(github: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_secret")
    github.push("a/b", files_of("s", managed("m", "w", f"{github.downloads.url}/w")))
    github.downloads.add("/w", serve(DATA))
    modelzoo.register_source("a/b")
    modelzoo.download("m")
    assert [r.headers.get("authorization") for r in github.server.requests] == ["Bearer ghp_secret"]
    assert len(github.downloads.requests) == 2
    assert all("authorization" not in r.headers for r in github.downloads.requests)
    assert "ghp_secret" not in repr(tree(zoo_dir())) + repr(modelzoo.list_sources())


@pytest.mark.parametrize("code", [401, 403, 404])
def test_a_repository_that_is_not_there(github: GitHub, zoo: Path, code: int) -> None:
    github.server.default = status(code)
    with pytest.raises(TransferError, match="GITHUB_TOKEN") as caught:
        modelzoo.register_source("acme/secret/main")
    assert "https://github.com/acme/secret/tree/main" in str(caught.value)
    assert installed(zoo) == {}


def test_registered_already_needs_no_network(github: GitHub) -> None:
    github.push("a/b", files_of("s", entry("m")))
    first = modelzoo.register_source("a/b")
    asked = len(github.server.requests)
    assert modelzoo.register_source("https://github.com/A/b.git") == first
    assert len(github.server.requests) == asked


def test_refresh_keeps_the_weights_that_are_still_described(github: GitHub, zoo: Path) -> None:
    github.downloads.add("/w", serve(DATA))
    url = f"{github.downloads.url}/w"
    old = files_of(
        "s", managed("stays", "x/a.bin", url), managed("goes", "b.bin", url), entry("c", "folder")
    )
    github.push("a/b", old)
    modelzoo.register_source("a/b")
    modelzoo.download(["stays", "goes", "c"], trust_remote_code=True)
    new = files_of("s", managed("stays", "x/a.bin", url), entry("c", "folder"), entry("new", "n"))
    github.push("a/b", new | {"extra.py": ""}, commit=OTHER)
    (source,) = modelzoo.refresh_source("s")
    assert source.revision == OTHER == only().revision
    assert installed(zoo)["s/x/a.bin"] == DATA
    assert installed(zoo)["s/folder/part.bin"] == b"weights of c"
    assert "s/b.bin" not in installed(zoo)
    asked = len(github.downloads.requests)
    assert modelzoo.download(["stays", "c"]).successful  # the receipts still vouch, no code runs
    assert len(github.downloads.requests) == asked
    with pytest.raises(modelzoo.DownloadFailed, match="trust_remote_code"):
        modelzoo.download("new")  # the code has changed


def test_weights_from_elsewhere_are_fetched_again(github: GitHub, zoo: Path) -> None:
    github.downloads.add("/1", serve(DATA))
    github.downloads.add("/2", serve(DATA[::-1]))
    for number in (1, 2):
        github.push("a/b", files_of("s", managed("m", "w", f"{github.downloads.url}/{number}")))
        modelzoo.register_source("a/b", refresh=True)
        assert installed(zoo).get("s/w") == (None if number == 1 else DATA)
        modelzoo.download("m")
    assert installed(zoo)["s/w"] == DATA[::-1]


@pytest.mark.parametrize("code", [404, 500])
def test_what_vanished_cannot_be_refreshed_and_stays(github: GitHub, zoo: Path, code: int) -> None:
    github.push("a/b", files_of("s", entry("m")))
    modelzoo.register_source("a/b")
    before = installed(zoo), modelzoo.list_sources()
    github.server.add("/repos/a/b/zipball", status(code))
    with pytest.raises(TransferError):
        modelzoo.refresh_source("a/b", num_attempts=1)
    assert (installed(zoo), modelzoo.list_sources()) == before


def test_a_source_that_is_not_declared_any_more_is_removed(github: GitHub, zoo: Path) -> None:
    both = {f"{n}/{name}": t for n in "xy" for name, t in files_of(n, entry(n)).items()}
    github.push("a/b", both)
    assert [s.name for s in modelzoo.register_source("a/b")] == ["x", "y"]
    github.push("a/b", {f"y/{n}": t for n, t in files_of("y", entry("y")).items()})
    assert [s.name for s in modelzoo.refresh_source("x")] == ["y"]
    assert [s.name for s in modelzoo.list_sources()] == ["y"]
    assert not (zoo / "x").exists()


def test_another_source_of_that_name(faulty: FaultyServer, zoo: Path) -> None:
    faulty.add("/w", serve(DATA))
    for name in ("one", "two"):
        files = files_of("s", managed("m", "w", f"{faulty.url}/w"), entry(name))
        faulty.add(f"/{name}.zip", serve(zipped(files)))
    modelzoo.register_source(f"{faulty.url}/one.zip")
    modelzoo.download("m")
    before = installed(zoo)
    with pytest.raises(ModelZooError, match=r"--replace.*|one\.zip"):
        modelzoo.register_source(f"{faulty.url}/two.zip")
    assert installed(zoo) == before
    modelzoo.register_source(f"{faulty.url}/two.zip", replace=True)
    assert foz.list_zoo_models() == ["m", "two"]
    assert installed(zoo)["s/w"] == DATA
    assert only().reference == f"{faulty.url}/two.zip"


@pytest.mark.parametrize("form", ["zip", "tar", "gztar", "bztar", "xztar"])
def test_archives(tmp_path: Path, faulty: FaultyServer, form: str) -> None:
    end = {"zip": "zip", "gztar": "tgz", "bztar": "tar.bz2", "xztar": "tar.xz"}.get(form, form)
    files = [(f"top/{name}", text.encode()) for name, text in files_of(None, entry("m")).items()]
    archive = make_archive(tmp_path / f"my.models.{end}", form, files)
    faulty.add(f"/my.models.{end}", serve(archive.read_bytes()))
    url = f"{faulty.url}/my.models.{end}?token=secret"
    for reference in (url, str(archive), archive.as_uri()):
        modelzoo.register_source(reference, replace=True)
        assert only().name == "my.models"
        assert (only().revision or "").startswith("sha256:")
        assert "secret" not in str(only().reference)
    modelzoo.register_source(url, replace=True)
    with pytest.raises(ModelZooError, match="secret in it was not kept"):
        modelzoo.refresh_source("my.models")
    assert modelzoo.register_source(url, refresh=True)
    modelzoo.delete_source(url)


def test_a_short_body_is_tried_again(faulty: FaultyServer) -> None:
    good = serve(zipped(files_of("s", entry("m"))))
    faulty.add("/s.zip", truncate_after(good, 100), good)
    assert modelzoo.register_source(f"{faulty.url}/s.zip", num_attempts=2)


def test_a_folder_and_its_changes(tmp_path: Path, zoo: Path) -> None:
    folder = write(tmp_path / "mine", files_of(None, entry("m")))
    write(folder, {".git/config": "x", "__pycache__/x.pyc": "x", "sub/data.txt": "y"})
    modelzoo.register_source(str(folder))
    assert only().name == "mine"
    assert "mine/sub/data.txt" in installed(zoo)
    assert not any(".git" in name or "pycache" in name for name in installed(zoo))
    first = only().revision
    write(folder, files_of(None, entry("m"), entry("n")))
    modelzoo.refresh_source(folder.as_uri())
    assert foz.list_zoo_models() == ["m", "n"]
    assert only().revision != first
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(CatalogError, match="link"):
        modelzoo.refresh_source("mine")
    assert foz.list_zoo_models() == ["m", "n"]


def test_a_tree_of_another_format(
    github: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_local_model(tmp_path / "omz", "public/net", {"net.onnx": DATA})
    files = {p: d for p, d in tree(tmp_path / "omz").items() if isinstance(d, bytes)}
    github.push("acme/omz", files)
    (source,) = modelzoo.register_source("acme/omz")
    assert (source.name, source.format) == ("acme/omz", "omz")
    monkeypatch.chdir(tmp_path)
    assert modelzoo.find("net")[0].source == "acme/omz"
    modelzoo.download("net")
    assert (tmp_path / "public/net/net.onnx").read_bytes() == DATA
    assert [removed.source for removed in modelzoo.delete_source("acme/omz")] == [source]
    with pytest.raises(SelectionError):
        modelzoo.find("net")


@pytest.mark.parametrize("form", ["models.yml", "models.txt"])
def test_a_list_of_urls(github: GitHub, form: str) -> None:
    url = "https://example.com/w"
    text = f"net/w={url}\n"
    if form == "models.yml":
        text = f"models:\n- {{name: net, files: [{{name: w, source: '{url}'}}]}}\n"
    github.push("acme/list", {form: text, "README.md": "About it."})
    (source,) = modelzoo.register_source("acme/list")
    assert (source.name, source.format) == ("acme/list", "urls")
    assert modelzoo.list_models(sources=["acme/list"]) == ["net"]
    github.push("acme/list", {form: text.replace("net", "..")})
    with pytest.raises(CatalogError) as caught:
        modelzoo.refresh_source("acme/list")
    assert caught.value.file == f"https://github.com/acme/list/{form}"
    assert modelzoo.list_models(sources=["acme/list"]) == ["net"]


def test_a_topaz_folder(github: GitHub) -> None:
    github.push("acme/topaz", {"prob-3.json": json.dumps(PROB), "encoders.json": "[]"})
    (source,) = modelzoo.register_source("acme/topaz")
    assert source.format == "topaz"
    assert modelzoo.list_models(sources=["acme/topaz"]) == ["prob-3"]


def test_deleting_says_what_it_removed(faulty: FaultyServer, zoo: Path) -> None:
    faulty.add("/w", serve(DATA))
    files = files_of("a/s", managed("here", "w", f"{faulty.url}/w"), entry("gone", "g"))
    faulty.add("/s.zip", serve(zipped(files)))
    faulty.add("/t.zip", serve(zipped(files_of("a/t", entry("t")))))
    modelzoo.register_source(f"{faulty.url}/s.zip")
    modelzoo.register_source(f"{faulty.url}/t.zip")
    modelzoo.download("here")
    (removed,) = modelzoo.delete_source("a/s")
    assert (removed.source.name, removed.models) == ("a/s", ("here",))
    assert sorted(p.name for p in (zoo / "a").iterdir()) == ["t"]
    with pytest.raises(SelectionError, match="a/t") as caught:
        modelzoo.delete_source("a/s")
    assert caught.value.reason == Reason.NOT_FOUND
    modelzoo.delete_source("a/t")
    assert installed(zoo) == {}
