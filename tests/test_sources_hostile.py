"""Sources that are broken, hostile, or in each other's way: nothing is installed on any error."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import modelzoo
import pytest
from modelzoo.errors import CatalogError, ModelZooError
from modelzoo.sources import zoo_dir

from tests.archives import make_archive
from tests.conftest import tool
from tests.remote import entry, files_of, write, zipped
from tests.servers.faulty import FaultyServer, hold_after, serve
from tests.zoo import tree


@pytest.fixture(autouse=True)
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELZOO_ZOO_DIR", str(tmp_path / "zoo"))
    return tmp_path / "zoo"


def installed(zoo: Path) -> set[str]:
    return {name for name in tree(zoo) if name != ".modelzoo"}


@pytest.mark.parametrize(
    "entries",
    [
        [("../evil", b"x")],
        [("/etc/evil", b"x")],
        [("C:\\evil", b"x")],
        [("CON", b"x")],
        [("link", "symlink")],
        [("fifo", "fifo")],
        [("device", "character device")],
        [("a", b"x"), ("A", b"y")],
    ],
    ids=lambda entries: entries[0][0],
)
@pytest.mark.parametrize("form", ["zip", "tar"])
def test_hostile_archives(tmp_path: Path, zoo: Path, form: str, entries: list[Any]) -> None:
    good = [(name, text.encode()) for name, text in files_of("s", entry("m")).items()]
    archive = make_archive(tmp_path / f"x.{form}", form, [*good, *entries])
    before = tree(tmp_path)
    with pytest.raises(ModelZooError) as caught:
        modelzoo.register_source(str(archive))
    assert f"x.{form}" in str(caught.value)
    assert installed(zoo) == set()
    assert {n: w for n, w in tree(tmp_path).items() if not n.startswith("zoo")} == before


def test_a_bomb(tmp_path: Path, zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelzoo.files.archives.FREE_SIZE", 1 << 20)
    archive = make_archive(tmp_path / "x.zip", "zip", [("zeros", bytes(8 << 20))])
    with pytest.raises(ModelZooError, match="a bomb"):
        modelzoo.register_source(str(archive))
    assert installed(zoo) == set()


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({}, "holds no manifest.json, nor models"),
        ({"README.md": "x"}, "holds no manifest.json, nor models"),
        ({".github/manifest.json": '{"models": []}'}, "holds no manifest.json, nor models"),
        ({"manifest.json": "{"}, "not usable JSON"),
        ({"manifest.json": '{"short_name": "a web app"}'}, '"models": is required'),
        (files_of("../x"), '"name": unsafe name'),
        (files_of("/x"), '"name": unsafe name'),
        (files_of("a:b"), '"name": unsafe name'),
        (files_of("CON"), '"name": unsafe name'),
        (files_of(".modelzoo"), '"name": unsafe name'),
        (files_of("a/.b"), '"name": no part of it may begin with a dot'),
        (files_of("a@b"), '"name": must not hold any of @'),
        (files_of("a,b"), '"name": must not hold any of @'),
        (files_of("Builtin"), '"name": "Builtin" is the name of a source that'),
        (files_of("topaz"), '"name": "topaz" is the name of a source that'),
        (files_of(""), '"name": unsafe name'),
        (files_of("s", {"base_name": 3}), '"models[0].base_name"'),
        (files_of("s", entry("m", "../w")), '"models[0].base_filename"'),
        ({f"{n}/manifest.json": '{"models": []}' for n in "ab"}, "two manifests are called"),
        ({"a/manifest.json": '{"models": []}', "b/manifest.json": "{"}, "b/manifest.json"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_source(
    faulty: FaultyServer, zoo: Path, files: dict[str, str], problem: str
) -> None:
    faulty.add("/x.zip", serve(zipped({"top/README": "x", "top/y": "z"} | files)))
    with pytest.raises(CatalogError) as caught:
        modelzoo.register_source(f"{faulty.url}/x.zip")
    assert problem in str(caught.value)
    assert f"{faulty.url}/x.zip" in str(caught.value)
    assert installed(zoo) == set()


@pytest.mark.parametrize(
    "data",
    [
        b"no archive",
        zipped({}),
        zipped({"manifest.json": "{"}),
        zipped({"../x": "y"}),
        zipped({f"{n}/manifest.json": '{"models": []}' for n in "ab"}),
    ],
    ids=range(5),
)
def test_no_error_tells_a_secret(faulty: FaultyServer, zoo: Path, data: bytes) -> None:
    faulty.add("/x.zip", serve(data))
    url = f"{faulty.url}/x.zip?token=S3CRET".replace("//", "//me:S3CRET@")
    done = tool("sources", "register", url, check=1)
    assert f"{faulty.url}/x.zip" in done.stderr
    assert "S3CRET" not in done.stderr
    assert installed(zoo) == set()


def test_a_page_instead_of_an_archive(faulty: FaultyServer, zoo: Path) -> None:
    faulty.add("/x.zip", serve(b"<!doctype html><title>Sign in</title>", content_type="text/html"))
    with pytest.raises(ModelZooError, match="web page"):
        modelzoo.register_source(f"{faulty.url}/x.zip")
    assert installed(zoo) == set()


@pytest.mark.parametrize("other", ["a", "a/b/c", "A/B"])
def test_sources_are_not_put_into_each_other(tmp_path: Path, zoo: Path, other: str) -> None:
    modelzoo.register_source(str(write(tmp_path / "1", files_of("a/b", entry("m")))))
    before = tree(zoo)
    with pytest.raises(ModelZooError, match="cannot be beside"):
        modelzoo.register_source(str(write(tmp_path / "2", files_of(other, entry("m")))), replace=True)
    assert tree(zoo) == before


def test_a_folder_that_is_no_source_is_left_alone(tmp_path: Path, zoo: Path) -> None:
    write(zoo, {"s/weights.pt": "somebody's"})
    with pytest.raises(ModelZooError, match="is no source"):
        modelzoo.register_source(str(write(tmp_path / "1", files_of("s", entry("m")))), replace=True)
    assert (zoo / "s/weights.pt").read_text() == "somebody's"


def test_a_broken_source_does_not_stop_the_others(tmp_path: Path, zoo: Path) -> None:
    modelzoo.register_source(str(write(tmp_path / "1", files_of("good", entry("fine")))))
    write(zoo, {"theirs/manifest.json": "{"})
    done = tool("info_dumper", "--print_all")
    assert "fine" in done.stdout.split()
    assert "theirs" in done.stderr
    done = tool("info_dumper", "--print_all", "--source", "theirs", check=1)
    assert "not usable JSON" in done.stderr
    assert "theirs" in tool("sources", "list").stdout
    tool("sources", "delete", "theirs")
    assert not (zoo / "theirs").exists()


@pytest.mark.parametrize("data", [b"", b"{", b'{"schema": 1}', b"[" * 100_000], ids=len)
def test_a_damaged_record_is_an_error_that_says_what_to_do(zoo: Path, data: bytes) -> None:
    (zoo / ".modelzoo").mkdir(parents=True)
    (zoo / ".modelzoo" / "sources.json").write_bytes(data)
    done = tool("sources", "list", check=1)
    assert "sources.json" in done.stderr
    assert "remove it" in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_others_put_there_is_hostile_too(zoo: Path) -> None:
    """FiftyOne takes any name, and keeps what is secret in a URL."""
    evil = {"url": "https://me:S3CRET@h.org/x.zip?token=S3CRET\x1b[31m", "name": "s"}
    model = entry("m", description="\x1b[2Jgone", tags=["\x1b]0;x\x07"], license="a\nb")
    write(zoo / "s", files_of("s", model) | {"manifest.json": json.dumps(evil | {"models": [model]})})
    write(zoo / "a\x1b[31mb", files_of("x", entry("n")))
    write(zoo / "c:d", files_of("x", entry("n")))
    (source,) = modelzoo.list_sources()
    assert source.reference == "https://h.org/x.zip?token=***"
    for arguments in (
        ["list"],
        ["show", "s"],
        ["list", "--format=json"],
        ["show", "s", "--format=json"],
    ):
        done = tool("sources", *arguments)
        assert "\x1b" not in done.stdout + done.stderr
        assert "S3CRET" not in done.stdout


def test_links_in_the_zoo_do_not_lead_round_in_circles(zoo: Path) -> None:
    (zoo / "a" / "b").mkdir(parents=True)
    (zoo / "a" / "b" / "up").symlink_to(zoo)
    write(zoo, {"a/c/manifest.json": '{"models": []}'})
    assert [source.name for source in modelzoo.list_sources()] == ["a/c"]


def test_a_killed_replacement_is_ended(tmp_path: Path, zoo: Path) -> None:
    """As after the first of the two renames, and as after the second one."""
    folder = write(tmp_path / "1", files_of("s", entry("m", "w")))
    modelzoo.register_source(str(folder))
    write(zoo, {"s/w": "weights"})
    aside = zoo / ".modelzoo" / "replaced" / "s"
    for renamed in (False, True):
        aside.parent.mkdir()
        (zoo / "s").rename(aside)
        if renamed:
            write(zoo / "s", files_of("s", entry("m", "w")))
        assert [source.name for source in modelzoo.list_sources()] == ["s"]
        modelzoo.refresh_source("s")
        assert (zoo / "s/w").read_text() == "weights"
        assert not aside.parent.exists()


def test_a_killed_replacement_of_what_fiftyone_put_there(tmp_path: Path, zoo: Path) -> None:
    aside = write(zoo / ".modelzoo/replaced/a/s", files_of("a/s", entry("m", "w")))
    write(aside, {"w": "weights"})
    folder = write(tmp_path / "1", files_of("other", entry("o")))
    modelzoo.register_source(str(folder))
    assert [source.name for source in modelzoo.list_sources()] == ["a/s", "other"]
    assert (zoo / "a/s/w").read_text() == "weights"


def test_a_killed_deletion_is_ended(tmp_path: Path, zoo: Path) -> None:
    folder = write(tmp_path / "1", files_of("s", entry("m", "w")))
    modelzoo.register_source(str(folder))
    (zoo / ".modelzoo/removed").mkdir()
    (zoo / "s").rename(zoo / ".modelzoo/removed/s")
    assert modelzoo.list_sources() == []
    write(folder, files_of("t", entry("m", "w")))
    modelzoo.register_source(str(folder))
    assert [source.name for source in modelzoo.list_sources()] == ["t"]
    assert sorted(path.name for path in (zoo / ".modelzoo").iterdir()) == ["sources.json"]


def test_weights_beside_what_the_new_source_brings_itself(tmp_path: Path, zoo: Path) -> None:
    folder = write(tmp_path / "1", files_of("s", entry("m", "net")))
    modelzoo.register_source(str(folder))
    write(zoo, {"s/net/deep/w.bin": "weights", "s/net/old.py": "code"})
    write(folder, {"net/deep/new.txt": "from the source"})
    modelzoo.refresh_source("s")
    assert (zoo / "s/net/deep/w.bin").read_text() == "weights"
    assert (zoo / "s/net/deep/new.txt").exists()
    assert not (zoo / "s/net/old.py").exists()


def test_two_processes_take_turns(faulty: FaultyServer, zoo: Path) -> None:
    """The second one waits, and finds nothing left to do."""
    go = threading.Event()
    archive = serve(zipped(files_of("s", entry("m"))))
    faulty.add("/x.zip", hold_after(archive, 50, go), archive)
    url, done = f"{faulty.url}/x.zip", []
    runs = [
        threading.Thread(target=lambda: done.append(tool("sources", "register", url))) for _ in "12"
    ]
    runs[0].start()
    faulty.wait_for(1)
    runs[1].start()
    go.set()
    for run in runs:
        run.join()
    assert sorted(d.stdout.split(" s ")[0] for d in done) == ["Registered", "Registered already:"]
    assert len(faulty.requests) == 1
    assert [source.name for source in modelzoo.list_sources()] == ["s"]
    assert sorted(tree(zoo / ".modelzoo")) == ["sources.json"]
    assert zoo_dir() == zoo
