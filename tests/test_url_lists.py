"""Lists of URLs, in text and in YAML: what they mean, and every kind of damage."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from pathlib import Path

import modelzoo
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.catalog.urls import load, parse_entry, recognises
from modelzoo.errors import CatalogError

from tests.conftest import ROOT

DOCUMENT = (ROOT / "docs" / "urls.md").read_text()
SHA256 = hashlib.sha256(b"").hexdigest()
URL = "https://example.com/a?p=%2Fckpts%2Flast.ckpt&dl=1"


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
    "n/f=htps://host/f": 'no store for URLs of scheme "htps", known are az, file, gdrive, gs',
    "n/f=https:///f": "is not a URL with a scheme",
    "n/f=https://h/a b": "is not a URL with a scheme",
    "n/f=https://h/a\x1b[2J": "is not a URL with a scheme",
    "n/f=https://[::1/f": "is not a URL",
    "n/f=https://h:port/f": "is not a URL",
    "n/f=https://h@/f": "is not a URL",
    "n/f=hf://owner": "names no file of the hub",
    "n/f=hf://owner/../f": "names no file of the hub",
    "n/f=hf://owner/name@/f": "names no file of the hub",
    "n/f=hf://datasets/owner/name/f": "is not about a model",
    "n/f=gdrive://../x": "names no file: gdrive:// is followed by",
    "n/f=gdrive://id/x": "names no file: gdrive:// is followed by",
    "n/f=file://host/f": "names a host",
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


@pytest.mark.parametrize(("language", "suffix"), [("text", "txt"), ("yaml", "yml")])
def test_the_lists_of_the_documents_load(language: str, suffix: str, tmp_path: Path) -> None:
    block = re.search(rf"```{language}\n(.*?)```", DOCUMENT, re.S)
    assert block
    (tmp_path / f"models.{suffix}").write_text(block[1])
    (model,) = modelzoo.find("vqgan", sources=[tmp_path / f"models.{suffix}"])
    assert [file.name for file in model.files] == ["vqgan.yaml", "vqgan.ckpt"]
    assert str(model.files[1].checksum).startswith("sha256:9f86d08")
