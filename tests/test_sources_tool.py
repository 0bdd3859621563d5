"""sources.py and remote sources on the command line, as a new user meets them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import modelzoo
import pytest

from tests.conftest import tool
from tests.remote import MANAGER, GitHub, entry, files_of, managed, write, zipped
from tests.servers.faulty import FaultyServer, serve
from tests.zoo import add_local_model, content, tree

DATA = content("weights", 2000)


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELZOO_ZOO_DIR", str(tmp_path / "zoo"))
    return tmp_path / "zoo"


@pytest.fixture
def url(faulty: FaultyServer, zoo: Path) -> str:
    """An archive with a model of two versions and one that code brings."""
    faulty.add("/w.bin", serve(DATA))
    models = [managed("m", "w.bin", f"{faulty.url}/w.bin", version=v) for v in ("1.9", "1.10")]
    files = files_of("me/src", *models, entry("c", "c.bin"), entry("aclnet", "a"))
    faulty.add("/src.zip", serve(zipped(files)))
    return f"{faulty.url}/src.zip"


def test_nothing_is_registered(zoo: Path) -> None:
    assert tool("sources", "list").stderr == "no source is registered (see sources.py register)\n"
    assert "no model" in tool("sources", "downloaded").stderr
    assert json.loads(tool("sources", "downloaded", "--format", "json").stdout) == {}
    assert tool("sources", "refresh", "--all").stdout == ""
    assert "No registered source" in tool("sources", "delete", "x", check=1).stderr
    assert "no source is registered" in tool("sources", "find", "x", check=1).stderr
    assert not (zoo / ".modelzoo" / "sources.json").exists()


@pytest.mark.parametrize("form", ["text", "json"])
def test_all_tools_take_one_form_from_the_environment(zoo: Path, tmp_path: Path, form: str) -> None:
    environ = {"MODELZOO_FORMAT": form, "MODELZOO_CACHE_DIR": str(tmp_path)}
    commands = ["sources list", "sources downloaded", "sources backends", "inventory list"]
    for command in [*commands, "inventory cache", "sources check --source demo --name prob-wine-mlp"]:
        name, *arguments = command.split()
        printed = tool(name, *arguments, environ=environ, cwd=tmp_path).stdout
        assert printed.startswith(("[", "{")) == (form == "json"), command


@pytest.mark.parametrize(
    "arguments",
    [["bogus"], ["register", "x"], ["refresh"], ["refresh", "x", "--all"]],
    ids=str,
)
def test_usage(zoo: Path, arguments: list[str]) -> None:
    done = tool("sources", *arguments, check=2)
    assert done.stderr.startswith("sources.py")
    assert done.stderr.count("\n") == 1
    assert not zoo.exists()


def test_listing(url: str, zoo: Path) -> None:
    done = tool("sources", "register", url)
    assert re.fullmatch(rf"Registered me/src from {url} \(sha256:[0-9a-f]{{64}}\)\n", done.stdout)
    assert tool("sources", "register", url).stdout.startswith("Registered already: me/src from ")
    header, row = tool("sources", "list").stdout.splitlines()
    assert header.split() == ["NAME", "REFERENCE", "REVISION", "DATE", "MODELS"]
    name, reference, revision, date, models = row.split()
    assert (name, reference, models) == ("me/src", url, "4")
    (listed,) = json.loads(tool("sources", "list", "--format=json").stdout)
    assert listed["revision"].startswith(f"sha256:{revision}")
    assert listed["date"].startswith(date)
    assert listed["path"] == str(zoo / "me/src")
    shown = json.loads(tool("sources", "show", "me/src", "--format=json").stdout)
    assert [m["name"] for m in shown["models"]] == ["m@1.9", "m@1.10", "c", "aclnet"]
    assert shown["models"][0]["declared"]["version"] == "1.9"
    assert shown["code_allowed"] is False
    text = tool("sources", "show", url).stdout
    assert all(name in text for name in ("m@1.9", "m@1.10", url))


def test_registered_models_belong_to_every_catalog(url: str, zoo: Path) -> None:
    tool("sources", "register", url)
    listed = tool("info_dumper", "--print_all").stdout.split()
    assert {"m@1.9", "m@1.10", "c", "builtin:aclnet", "me/src:aclnet"} <= set(listed)
    assert "aclnet" not in listed
    assert "builtin:aclnet, me/src:aclnet" in tool("info_dumper", "--name", "aclnet", check=1).stderr
    (told,) = json.loads(tool("info_dumper", "--name", "m").stdout)
    assert (told["name"], told["version"], told["subdirectory"]) == ("m@1.10", "1.10", "me/src")
    for restriction in ("me/src", url):
        only = tool("info_dumper", "--print_all", "--source", restriction).stdout.split()
        assert only == ["m@1.9", "m@1.10", "c", "aclnet"]
    assert "m@1.9" not in tool("info_dumper", "--print_all", "--source", "demo").stdout
    environ = {"MODELZOO_SOURCE": url}
    assert "m@1.9" in tool("info_dumper", "--print_all", environ=environ).stdout
    assert tool("downloader", "--name", "m").returncode == 0
    assert (zoo / "me/src/w-v1.10.bin").read_bytes() == DATA
    assert not (zoo / "me/src/w-v1.9.bin").exists()


def test_registration_on_the_way(url: str, zoo: Path, faulty: FaultyServer) -> None:
    done = tool("downloader", "--source", url, "--name", "m@1.9")
    assert f"registered me/src from {url}" in done.stderr
    assert (zoo / "me/src/w-v1.9.bin").read_bytes() == DATA
    asked = len(faulty.requests)
    assert tool("downloader", "--source", url, "--name", "m@1.9").stderr == ""
    assert len(faulty.requests) == asked


@pytest.mark.parametrize("option", ["--dry_run", "--offline"])
def test_what_must_not_fetch_does_not_register(
    url: str, zoo: Path, faulty: FaultyServer, option: str
) -> None:
    done = tool("downloader", "--source", url, "--all", option, check=1)
    assert "No such source" in done.stderr
    assert faulty.requests == []
    assert not zoo.exists()


def test_a_misspelled_folder_is_no_repository(
    faulty: FaultyServer, zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELZOO_GITHUB_API_URL", faulty.url)
    add_local_model(tmp_path, "public/net", {"w.bin": DATA})
    done = tool("downloader", "--all", "--source", "public/nett", cwd=tmp_path, check=1)
    assert 'No such source: "public/nett"' in done.stderr
    assert faulty.requests == []
    done = tool("downloader", "--all", "--source", "./nothing.zip", cwd=tmp_path, check=1)
    assert 'No such source: "./nothing.zip"' in done.stderr
    assert not zoo.exists()
    GitHub(faulty, faulty).push("some/repo", files_of("s", entry("hub")))
    tool("downloader", "--all", "--source", "some/repo", cwd=tmp_path)
    assert [source.name for source in modelzoo.list_sources()] == ["s"]


def test_a_source_can_be_used_without_registering_it(zoo: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", files_of("x/y", entry("m", "w.bin")))
    out = tmp_path / "out"
    arguments = ["--all", "--source", folder, "-o", out]
    assert "has not been allowed" in tool("downloader", *arguments, check=1).stderr
    tool("downloader", *arguments, "--trust_remote_code")
    assert (out / "mine/w.bin").read_text() == "weights of m"
    assert set(tree(folder)) == set(files_of(None))
    assert not zoo.exists()


def test_the_dry_run_says_what_code_would_bring(url: str, zoo: Path) -> None:
    tool("sources", "register", url)
    arguments = ["--name", "c,m", "--dry_run"]
    done = tool("downloader", *arguments, check=1)
    assert "by code   me/src/c.bin, unknown size" in done.stdout
    assert "; the code of sources would bring 1 of unknown size" in done.stdout
    assert "has not been allowed to run" in done.stderr
    done = tool("downloader", *arguments, "--trust_remote_code", "--progress_format=json")
    assert json.loads(done.stdout)["models"][0]["by_code"] == [{"path": "me/src/c.bin", "size": None}]
    done = tool("downloader", "--name", "c", "--offline", "--trust_remote_code", check=1)
    assert "the code of the source was not run: --offline" in done.stderr
    assert not (zoo / "me/src/c.bin").exists()
    tool("downloader", "--name", "c")  # the consent is remembered
    done = tool("downloader", "--name", "c", "--offline", "--progress_format=json")
    assert [
        e for e in map(json.loads, done.stdout.splitlines()) if "postprocessing" in e["$type"]
    ] == []
    assert "by code" not in tool("downloader", "--name", "c", "--dry_run").stdout


def test_archives_of_weights(zoo: Path, faulty: FaultyServer, tmp_path: Path) -> None:
    """Unpacked beside the code, which they cannot replace; the archive goes or stays as it is told."""
    faulty.add("/good.zip", serve(zipped({"good/w.bin": b"1", "flat.bin": b"2"})))
    faulty.add("/kept.zip", serve(zipped({"kept/w.bin": b"3"})))
    faulty.add("/evil.zip", serve(zipped({"evil/w.bin": b"1", "__init__.py": b"evil"})))
    both = {"extract_archive": True, "delete_archive": True}
    files = files_of(
        "s",
        managed("goes", "good.zip", f"{faulty.url}/good.zip", config=both),
        managed("stays", "kept.zip", f"{faulty.url}/kept.zip", config={"extract_archive": True}),
        managed("evil", "evil.zip", f"{faulty.url}/evil.zip", config=both),
    )
    modelzoo.register_source(str(write(tmp_path / "src", files)))
    tool("downloader", "--name", "goes")
    assert {"good/w.bin", "flat.bin"} <= set(tree(zoo / "s"))
    assert "good.zip" not in tree(zoo / "s")
    assert tool("sources", "find", "goes").stdout == f"{zoo}/s/good\n"
    tool("downloader", "--name", "stays")
    assert tool("sources", "find", "stays").stdout == f"{zoo}/s/kept.zip\n"
    code = (zoo / "s/__init__.py").read_bytes()
    assert '"__init__.py" could replace code' in tool("downloader", "--name", "evil", check=1).stderr
    assert (zoo / "s/__init__.py").read_bytes() == code
    asked = len(faulty.requests)
    tool("downloader", "--name", "goes,stays")
    assert len(faulty.requests) == asked
    tool("sources", "remove", "goes")
    assert not {"good", "flat.bin"} & set(tree(zoo / "s"))
    assert "is not downloaded" in tool("sources", "find", "goes", check=1).stderr
    assert "is not downloaded" in tool("sources", "remove", "goes", check=1).stderr


def test_a_file_on_google_drive(
    zoo: Path, faulty: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELZOO_GOOGLE_DRIVE_URL", faulty.url)
    faulty.add("/download", serve(DATA, headers={"Content-Disposition": "attachment"}))
    manager = {"type": MANAGER, "config": {"google_drive_id": "1JYx2Z6or9-_m"}}
    files = files_of("s", entry("m", "w.pb", manager=manager))
    modelzoo.register_source(str(write(tmp_path / "src", files)))
    modelzoo.download("m")
    assert (zoo / "s/w.pb").read_bytes() == DATA
    assert "id=1JYx2Z6or9-_m" in faulty.requests[0].path
