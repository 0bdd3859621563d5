"""Files of registered sources: without published checksums they are held to their first digest."""

from __future__ import annotations

import json
from pathlib import Path

import modelzoo
import pytest
from modelzoo import fiftyone as foz
from modelzoo.events import Event, ModelFileChanged

from tests.conftest import tool
from tests.remote import entry, files_of, managed, write, zipped
from tests.servers.faulty import FaultyServer, serve
from tests.zoo import content

DATA, OTHER = content("weights", 2000), content("others", 2000)


class Source:
    """A source `me/src` with a model `m`, whose file is on a server."""

    def __init__(self, root: Path, server: FaultyServer) -> None:
        self.root, self.server, self.zoo = root, server, root / "zoo"
        self.file = self.zoo / "me/src/w.bin"
        self.server.add("/a", serve(DATA))
        self.server.add("/b", serve(OTHER))

    def register(self, place: str = "/a", size: int | None = len(DATA)) -> None:
        model = managed("m", "w.bin", f"{self.server.url}{place}", size_bytes=size)
        origin = write(self.root / "origin", files_of("me/src", model, entry("c", "c.bin")))
        modelzoo.register_source(str(origin), refresh=True)

    def download(self, **options: object) -> list[str]:
        """Download the model; returns what the server was asked for."""
        before = len(self.server.requests)
        modelzoo.download("m", sources=["me/src"], **options)  # type: ignore[arg-type]
        return [request.path for request in self.server.requests[before:]]


@pytest.fixture
def source(tmp_path: Path, faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> Source:
    monkeypatch.setenv("MODELZOO_ZOO_DIR", str(tmp_path / "zoo"))
    return Source(tmp_path, faulty)


def test_a_file_that_was_edited_since_is_replaced(source: Source) -> None:
    """Also one of the size that the manifest announces."""
    source.register()
    assert source.download() == ["/a"]
    assert source.download() == []
    source.file.touch()
    assert foz.is_zoo_model_downloaded("m")
    assert source.download() == []
    source.file.write_bytes(OTHER)
    assert not foz.is_zoo_model_downloaded("m")
    assert source.download() == ["/a"]
    assert source.file.read_bytes() == DATA


def test_what_fiftyone_has_downloaded_counts_by_its_size(source: Source) -> None:
    source.register()
    write(source.file.parent, {"w.bin": "x" * len(DATA)})
    assert foz.is_zoo_model_downloaded("m")
    assert source.download() == []
    assert modelzoo.installed(output_dir=source.zoo)[0].verified is False


@pytest.mark.parametrize("size", [None, len(DATA)])
def test_another_url_is_another_file_whatever_its_size(source: Source, size: int | None) -> None:
    source.register(size=size)
    assert source.download() == ["/a"]
    source.register("/b", size)
    assert source.file.read_bytes() == DATA  # until the other one is whole
    assert not foz.is_zoo_model_downloaded("m")
    assert source.download() == ["/b"]
    assert source.file.read_bytes() == OTHER


def test_refreshing_asks_the_origin(source: Source) -> None:
    source.register()
    source.download()
    source.server.add("/a", serve(OTHER, etag='"v2"'))
    assert source.download() == []
    events: list[Event] = []
    assert source.download(refresh=True, report=events.append)
    assert [e.model_file for e in events if isinstance(e, ModelFileChanged)] == ["w.bin"]
    assert source.file.read_bytes() == OTHER


def test_the_cache_outlives_the_origin(source: Source, tmp_path: Path) -> None:
    source.register()
    source.download(cache_dir=tmp_path / "cache")
    foz.delete_zoo_model("m")
    assert source.download(cache_dir=tmp_path / "cache", offline=True) == []
    assert source.file.read_bytes() == DATA


def test_an_announced_size_is_an_estimate(source: Source) -> None:
    source.register()
    told = tool("downloader", "--name", "m", "--dry_run", "--progress_format=json").stdout
    document = json.loads(told)
    (row,) = document["models"][0]["files"]
    assert (row["size"], row["missing"], row["estimated"]) == (len(DATA), len(DATA), True)
    assert document["estimated"] == len(DATA)
    assert source.server.requests == []


def test_lists_of_urls_and_archives_are_told_apart(source: Source, tmp_path: Path) -> None:
    """Both are files; only an archive is registered on the way."""
    source.register()
    (tmp_path / "list.txt").write_text(f"l/l.bin={source.server.url}/b\n")
    (tmp_path / "more.zip").write_bytes(
        zipped(files_of("more", managed("z", "z.bin", f"{source.server.url}/a")))
    )
    given = [word for name in ("list.txt", "more.zip", "me/src") for word in ("--source", name)]
    done = tool("downloader", "--name", "l,z,m", *given, "-o", "out", cwd=tmp_path)
    assert done.stderr.count("registered ") == 1
    found = {p.relative_to(tmp_path / "out").as_posix() for p in tmp_path.glob("out/**/*.bin")}
    assert found == {"l/l.bin", "more/z.bin", "me/src/w.bin"}
    done = tool("info_dumper", "--print_all", *given, cwd=tmp_path)
    assert sorted(done.stdout.split()) == ["c", "l", "m", "z"]


def test_urls_alone_register_nothing(source: Source, tmp_path: Path) -> None:
    url = f"u/u.bin={source.server.url}/a"
    environ = {"MODELZOO_SOURCE": f"{source.server.url}/gone.zip"}
    tool("downloader", "--url", url, "-o", tmp_path / "out", environ=environ)
    assert (tmp_path / "out/u/u.bin").read_bytes() == DATA
    assert [request.path for request in source.server.requests] == ["/a"]
