"""Models that are no more than URLs: as options, in lists, in Python, and through every tool."""

from __future__ import annotations

import contextlib
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
import yaml
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.catalog.urls import load, parse_entry, recognises
from modelzoo.checksum import LENGTHS
from modelzoo.errors import CatalogError
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


def test_an_entry_means_what_it_says() -> None:
    name, file = parse_entry(f" vqgan/sub/last.ckpt={URL}#sha256={SHA256}&size=4000 ")
    assert (name, file.name, file.size) == ("vqgan", "sub/last.ckpt", 4000)
    assert (str(file.checksum), file.origins[0].url) == (f"sha256:{SHA256}", URL)


BAD_ENTRIES = {
    "": "expected NAME/FILE=URL",
    "name": "expected NAME/FILE=URL",
    "name=https://h/f": "expected NAME/FILE=URL",
    "name/=https://h/f": "expected NAME/FILE=URL",
    "/file=https://h/f": "expected NAME/FILE=URL",
    "n/f=": "expected NAME/FILE=URL",
    "n/f=nowhere": "is not a URL with a scheme",
    "n/f=c:\\models\\f": "is not a URL with a scheme",
    "n/f=../f": "is not a URL with a scheme",
    "n/f=//host/f": "is not a URL with a scheme",
    "n/f=https:///f": "is not a URL with a scheme",
    "n/f=https://h/a b": "is not a URL with a scheme",
    "n/f=https://h/a\x1b[2J": "is not a URL with a scheme",
    "n/f=https://[::1/f": "is not a URL",
    "n/f=https://h:port/f": "is not a URL",
    "../n/f=https://h/f": "unsafe name",
    "../f=https://h/f": "unsafe name",
    "con/f=https://h/f": "unsafe name",
    "n me/f=https://h/f": "model's name",
    "n/../f=https://h/f": "unsafe name",
    "n//f=https://h/f": "unsafe name",
    "n/a\\b=https://h/f": "unsafe name",
    "n/.modelzoo/=https://h/f": "unsafe name",
    "n/f.download=https://h/f": "unsafe name",
    "n/f=https://h/f#": "after # expected",
    "n/f=https://h/f#rubbish": "after # expected",
    "n/f=https://h/f#sha256": "expected 64 hex digits",
    "n/f=https://h/f#sha256=": "expected 64 hex digits",
    f"n/f=https://h/f#sha256={SHA256[:-1]}": "expected 64 hex digits",
    f"n/f=https://h/f#sha256={SHA256[:-1]}g": "expected 64 hex digits",
    f"n/f=https://h/f#sha256={SHA256}#": "expected 64 hex digits",
    f"n/f=https://h/f#sha256={SHA256}&sha256={SHA256}": "after # expected",
    f"n/f=https://h/f#sha256={SHA256}&": "after # expected",
    f"n/f=https://h/f#rot13={SHA256}": "after # expected",
    "n/f=https://h/f#size=-1": "after # expected",
    "n/f=https://h/f#size=1e3": "after # expected",
    "n/f=https://h/f#size=1&size=1": "after # expected",
    f"n/f=https://h/f#size={'9' * 19}": "after # expected",
}


@pytest.mark.parametrize("entry", BAD_ENTRIES, ids=ascii)
def test_what_is_no_entry(entry: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogError) as caught:
        parse_entry(entry)
    assert BAD_ENTRIES[entry] in str(caught.value)
    if entry and "\x1b" not in entry:
        (tmp_path / "list.txt").write_text(f"# a list\n\nok/a.bin=https://h/f\n{entry}\n")
        with pytest.raises(CatalogError, match=r"list\.txt") as caught:
            load(tmp_path / "list.txt", "here", pytest.fail)
        assert caught.value.key == "line 4"


@given(st.text() | st.from_regex(r"[a-z./]{1,9}/[a-z./]{1,9}=https://[ -~]{0,99}#?[ -~]{0,99}"))
def test_no_text_breaks_the_parser(text: str) -> None:
    with contextlib.suppress(CatalogError):
        name, file = parse_entry(text)
        assert not {"", ".", ".."} & {name, *file.name.split("/")}
        assert "#" not in file.origins[0].url


def test_two_urls_for_one_file_are_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(
        "m/a.bin=https://h/1\nn/a.bin=https://h/3\nm/a.bin=https://h/2\n"
    )
    with pytest.raises(CatalogError, match=r'"m": "files": "a.bin" is given twice'):
        load(tmp_path / "list.txt", "here", pytest.fail)
    (tmp_path / "list.txt").write_text("m/a.bin=https://h/1\nm/A.bin=https://h/2\n")
    with pytest.raises(CatalogError, match="cannot both exist"):
        load(tmp_path / "list.txt", "here", pytest.fail)


def test_a_list_of_lines(tmp_path: Path) -> None:
    lines = ["# models", "", f"  one/a.bin={URL}#sha256={SHA256}&size=4000", f"two/b={URL}",
             f"one/c.yaml={URL}"]  # fmt: skip
    path = tmp_path / "my models.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    models = modelzoo.find(sources=[path])
    assert [(m.id, m.source, m.subdirectory) for m in models] == [
        ("one", "my-models", "one"),
        ("two", "my-models", "two"),
    ]
    assert [(f.name, f.size) for f in models[0].files] == [("a.bin", 4000), ("c.yaml", None)]


YAML = f"""
models:
- name: vqgan
  description: A model of the notebook.
  framework: pytorch
  task_type: image_translation
  license: https://example.com/LICENSE
  version: "2"
  tags: [image]
  files:
  - name: vqgan.ckpt
    source: [{URL}, "hf://owner/repository/last.ckpt"]
    size: 4000
    sha256: {SHA256}
  - {{name: a.yaml, source: {URL}, checksum: "sha1:{"0" * 40}"}}
  - {{name: b.yaml, source: {URL}, checksum: {{$type: md5, value: "{"0" * 32}"}}}}
  - {{name: c.yaml, source: {URL}, checksum: "{"0" * 96}"}}
  - {{name: d.yaml, source: {URL}}}
"""


def test_a_list_in_yaml(tmp_path: Path) -> None:
    (tmp_path / "models.yml").write_text(YAML)
    (model,) = modelzoo.find("vqgan@2", sources=[tmp_path / "models.yml"])
    assert (model.framework, model.task_type, model.tags) == (
        "pytorch",
        "image_translation",
        ("image",),
    )
    assert [f.checksum.type if f.checksum else None for f in model.files] == [
        "sha256",
        "sha1",
        "md5",
        "sha384",
        None,
    ]
    assert [origin.url for origin in model.files[0].origins] == [URL, "hf://owner/repository/last.ckpt"]


def one(**changes: object) -> str:
    """A list of one model with one file; None removes."""
    file = {"name": "a.bin", "source": URL} | changes
    files = [{key: value for key, value in file.items() if value is not None}]
    return yaml.safe_dump({"models": [{"name": "m", "files": files}]})


BAD_YAML = {
    "models: 5": "array",
    "models: [5]": "object",
    "models: [{}]": "is required",
    "models: [{name: m}]": "is required",
    "models: [{name: m, files: []}]": "at least one file",
    "models: [{name: [m], files: []}]": "Expected `str`",
    "models: [{name: ../m, files: []}]": "model's name",
    "models: [{name: .., files: []}]": "unsafe name",
    "models:\n- {name: m, files: [{name: a, source: 'https://h/f'}]}\n"
    "- {name: m, files: [{name: a, source: 'https://h/f'}]}": "is declared twice",
    "models: [{name: m, fiels: []}]": "unknown field",
    "models: []\nother: 1": "unknown field",
    "models: [": "not valid YAML",
    "models: &a [*a]": "line 1",
    "models: !!python/object:os.system []": "tags are not allowed",
    one(name="../a"): "unsafe name",
    one(name=None): "is required",
    one(source=None): "is required",
    one(source=[]): "at least one source",
    one(source=5): "Expected",
    one(source="a.bin"): "is not a URL",
    one(size=-1): "Expected `int` >= 0",
    one(size="big"): "Expected `int",
    one(checksum="sha256:00"): "expected 64 hex digits",
    one(checksum="00"): "expected 96 hex digits",
    one(checksum={"value": SHA256}): "unknown checksum type",
    one(checksum=SHA256, sha256=SHA256): "one of checksum and sha256",
    one(sha265=SHA256): "unknown field",
    "models:\n" + "- [" * 100: "",
}


@pytest.mark.parametrize("text", BAD_YAML)
@pytest.mark.parametrize("suffix", ["yml", "yaml"])
def test_every_kind_of_damage(text: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"list.{suffix}"
    path.write_text(text)
    with pytest.raises(CatalogError) as caught:
        modelzoo.find(sources=[path])
    assert BAD_YAML[text] in str(caught.value)
    assert caught.value.file == str(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"\xff\xfe", b"x" * (17 << 20)], ids=["bytes", "huge"])
def test_text_that_is_none(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(data)
    with pytest.raises(CatalogError, match=r"list\.txt: is"):
        modelzoo.find(sources=[tmp_path / "list.txt"])


def test_what_is_recognised(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    assert not recognises(tmp_path / "pipe.txt")
    assert not recognises(tmp_path)
    (tmp_path / "model.yml").write_text("description: a model.yml is none\nfiles: []\n")
    assert not recognises(tmp_path / "model.yml")


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


@pytest.mark.parametrize(("language", "suffix"), [("text", "txt"), ("yaml", "yml")])
def test_the_lists_of_the_documents_load(language: str, suffix: str, tmp_path: Path) -> None:
    block = re.search(rf"```{language}\n(.*?)```", DOCUMENT, re.S)
    assert block
    (tmp_path / f"models.{suffix}").write_text(block[1])
    (model,) = modelzoo.find("vqgan", sources=[tmp_path / f"models.{suffix}"])
    assert [file.name for file in model.files] == ["vqgan.yaml", "vqgan.ckpt"]
    assert str(model.files[1].checksum).startswith("sha256:9f86d08")
