"""Models that are no more than URLs: as options, in lists, in Python, and through every tool."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import modelzoo
import pytest
from modelzoo.checksum import LENGTHS
from modelzoo.model import Model

from tests.conftest import ROOT, TOOLS, tool
from tests.servers.faulty import FaultyServer, redirect, serve, status
from tests.zoo import add_local_model, content

DATA = content("urls", 4000)
SHA256 = hashlib.sha256(DATA).hexdigest()
URL = "https://example.com/a?p=%2Fckpts%2Flast.ckpt&dl=1"


@pytest.mark.parametrize("algorithm", LENGTHS)
def test_every_known_checksum_can_be_in_the_fragment(
    faulty: FaultyServer, tmp_path: Path, algorithm: str
) -> None:
    faulty.add("/f", serve(DATA))
    right = hashlib.new(algorithm, DATA).hexdigest()
    models = modelzoo.from_urls({"m/a.bin": f"{faulty.url}/f#{algorithm}={right.upper()}"})
    summary = modelzoo.download(models, tmp_path / "out")
    assert summary.models[0].files[0].checksum == f"{algorithm}:{right}"
    assert summary.models[0].files[0].verified
    assert faulty.requests[0].path == "/f"
    wrong = modelzoo.from_urls({"m/a.bin": f"{faulty.url}/f#{algorithm}={'0' * LENGTHS[algorithm]}"})
    with pytest.raises(modelzoo.DownloadFailed) as caught:
        modelzoo.download(wrong, tmp_path / "other")
    assert caught.value.reason == modelzoo.Reason.CHECKSUM_MISMATCH


@pytest.mark.parametrize("listed", [False, True])
def test_every_tool_takes_them(faulty: FaultyServer, tmp_path: Path, listed: bool) -> None:
    faulty.add("/f", serve(DATA))
    entries = [f"m/a.bin={faulty.url}/f#sha256={SHA256}", f"n/b.bin={faulty.url}/f"]
    if listed:
        (tmp_path / "list.txt").write_text("\n".join(entries))
        given = ["--all", "--source", "list.txt"]
    else:
        given = [word for entry in entries for word in ("--url", entry)]
    told = json.loads(tool("info_dumper", *given, cwd=tmp_path).stdout)
    assert [(m["name"], m["source"], m["size"]) for m in told] == [
        ("m", "list" if listed else "urls", None),
        ("n", "list" if listed else "urls", None),
    ]
    assert told[0]["files"][0] == {
        "name": "a.bin",
        "size": None,
        "checksum": f"sha256:{SHA256}",
        "sources": [f"{faulty.url}/f"],
    }
    rows = json.loads(
        tool("downloader", *given, "--dry_run", "--progress_format=json", cwd=tmp_path).stdout
    )
    assert [m["files"][0]["state"] for m in rows["models"]] == ["absent", "absent"]
    tool("downloader", *given, "--cache_dir", "cache", "-o", "out", cwd=tmp_path)
    assert (tmp_path / "out/m/a.bin").read_bytes() == (tmp_path / "out/n/b.bin").read_bytes() == DATA
    done = tool(
        "downloader", *given, "--cache_dir=cache", "-o=x", "--offline", "--dry_run", cwd=tmp_path
    )
    assert done.stdout.count("  cached ") == 2
    assert "0 bytes (0 B) would be fetched, 8000 bytes copied from the cache." in done.stdout
    tool("downloader", *given, "--cache_dir=cache", "-o=x", "--offline", cwd=tmp_path)


def test_filters_choose_among_all(faulty: FaultyServer, tmp_path: Path) -> None:
    add_local_model(tmp_path / "zoo", "known", {"a.bin": b"a"})
    add_local_model(tmp_path / "urls", "mine", {"a.bin": b"b"})
    url = ["--url", "mine/a.bin=https://h/f"]

    def names(*options: str) -> list[str]:
        listed = tool("info_dumper", *options, cwd=tmp_path).stdout
        return [model["name"] for model in json.loads(listed)]

    sources = ["--source", "zoo", "--source", "urls"]
    assert names(*url) == ["mine"]
    assert names(*url, *sources) == ["mine"]
    assert names("--all", *url, *sources) == ["known", "urls:mine", "urls-2:mine"]
    assert names("--name=known,urls-2:mine", *url, *sources) == ["known", "urls-2:mine"]
    done = tool("downloader", "--print_all", *url, "--source", "zoo", cwd=tmp_path)
    assert done.stdout.split() == ["known", "mine"]


@pytest.mark.parametrize("entry", ["../up/a=https://h/f", "m/f=https://me:S3CRET@h/f#rubbish", "x"])
def test_bad_options_are_usage_errors(entry: str, tmp_path: Path) -> None:
    done = tool("downloader", "--url", entry, cwd=tmp_path, check=2)
    assert done.stderr.startswith("downloader.py: error: --url ")
    assert (done.stderr.count("\n"), "S3CRET" in done.stderr) == (1, False)
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_takes_no_token_along(
    faulty: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultyServer(host="127.0.0.2") as other:
        other.add("/f", serve(DATA))
        faulty.add("/f", redirect(f"{other.url}/f"))
        url = faulty.url.replace("//", "//me:S3CRET@")
        done = tool("downloader", "--url", f"m/a.bin={url}/f", "-o", tmp_path / "out", "--refresh")
        tool("downloader", "--url", f"m/a.bin={url}/f", "-o", tmp_path / "out", "--refresh")
        assert "authorization" in faulty.requests[0].headers
        assert len(other.requests) == 2
        assert all("authorization" not in request.headers for request in other.requests)
    receipt = (tmp_path / "out/.modelzoo/receipts/urls/m.json").read_text()
    assert "S3CRET" not in receipt + done.stdout + done.stderr


def test_python_takes_mirrors_and_mixes_with_names(faulty: FaultyServer, tmp_path: Path) -> None:
    faulty.add("/f", serve(DATA))
    add_local_model(tmp_path / "zoo", "known", {"a.bin": b"a"})
    models: list[str | Model] = [
        "known",
        *modelzoo.from_urls({"m/a.bin": [f"{faulty.url}/gone", f"{faulty.url}/f"]}),
    ]
    modelzoo.download(models, tmp_path / "out", sources=[tmp_path / "zoo"])
    assert (tmp_path / "out/m/a.bin").read_bytes() == DATA
    assert faulty.requests[0].path == "/gone"


DOCUMENT = (ROOT / "docs" / "urls.md").read_text()


def test_the_notebook_is_one_command(faulty: FaultyServer, tmp_path: Path) -> None:
    """The command of the documents, with our server in place of theirs."""
    block = re.search(r"```sh\n(.*?)```", DOCUMENT, re.S)
    assert block
    command = block[1].replace("https://heibox.uni-heidelberg.de", faulty.url)
    command = command.replace("./downloader.py", f"{sys.executable} {TOOLS}/downloader.py")
    place = "/d/8088892a516d4e3baf92/files/?p=%2F{}&dl=1"
    faulty.add(place.format("configs%2Fmodel.yaml"), redirect("/seafhttp/1"))
    faulty.add(place.format("ckpts%2Flast.ckpt"), redirect("/seafhttp/2"))
    faulty.add("/seafhttp/1", serve(b"model:\n"), status(404))
    faulty.add("/seafhttp/2", serve(DATA), status(404))

    def run() -> str:
        environ = {**os.environ, "DRIVE": str(tmp_path / "drive")}
        done = subprocess.run(
            ["sh", "-c", command], cwd=tmp_path, env=environ, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
        folder = tmp_path / "models/vqgan_imagenet_f16_1024"
        assert (folder / "vqgan_imagenet_f16_1024.yaml").read_bytes() == b"model:\n"
        assert (folder / "vqgan_imagenet_f16_1024.ckpt").read_bytes() == DATA
        return done.stdout

    assert run().count("========== Downloading ") == 2
    assert run().count("========== Present ") == 2
    shutil.rmtree(tmp_path / "models")
    assert run().count("========== Retrieving ") == 2
    assert len(faulty.requests) == 4
