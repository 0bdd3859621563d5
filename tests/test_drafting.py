"""`sources.py new`: a model.yml that loads in a strict catalog, from URLs or from a folder."""

from __future__ import annotations

import errno
import hashlib
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import modelzoo
import pytest
import yaml
from modelzoo.catalog import omz
from modelzoo.drafting import draft_of_urls
from modelzoo.errors import ModelZooError
from modelzoo.model import Model

from tests.conftest import ROOT, TOOLS, tool
from tests.servers.faulty import FaultyServer, html_page, serve, stall_after, status
from tests.zoo import content, tree

DATA, LABELS = content("draft", 3000), b"cat\ndog\n"


def strict(root: Path) -> Model:
    (model,) = omz.load(root, "draft", pytest.fail, strict=True)
    return model


def test_from_urls(faulty: FaultyServer, tmp_path: Path) -> None:
    faulty.add("/m", serve(DATA))
    faulty.add("/l", serve(LABELS))
    digest = hashlib.sha512(LABELS).hexdigest()
    entries = [f"net.onnx={faulty.url}/m", f"sub/labels.txt={faulty.url}/l#sha512={digest}"]
    done = tool("sources", "new", "net", *entries, "-o", "zoo", cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("zoo/net/model.yml\n", "")
    assert list(tree(tmp_path / "zoo")) == ["net", "net/model.yml"]
    assert len(faulty.requests) == 2
    model = strict(tmp_path / "zoo")
    assert (model.name, model.framework) == ("net", "onnx")
    first, second = model.files
    assert (first.name, first.size) == ("net.onnx", 3000)
    assert str(first.checksum) == f"sha256:{hashlib.sha256(DATA).hexdigest()}"
    assert (second.name, str(second.checksum)) == ("sub/labels.txt", f"sha512:{digest}")
    modelzoo.download("net", tmp_path / "out", sources=[tmp_path / "zoo"])
    assert (tmp_path / "out/net/net.onnx").read_bytes() == DATA


@pytest.mark.parametrize(
    ("files", "framework"),
    [
        (["a.onnx"], "onnx"),
        (["a.txt", "a.PTH"], "pytorch"),
        (["a.pb"], "tf"),
        (["a.caffemodel", "a.prototxt"], "caffe"),
        (["FP16/{}.xml", "FP16/{}.bin"], "dldt"),
        (["FP16/{}.xml", "FP16/other.bin"], "onnx"),
        (["what.ever"], "onnx"),
    ],
)
def test_from_a_folder(files: list[str], framework: str, tmp_path: Path) -> None:
    folder = tmp_path / "my-net"
    for name in (*files, ".hidden", ".git/x", ".modelzoo/x", "sub/with space #1.txt"):
        path = folder / name.format("my-net")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(DATA)
    done = tool("sources", "new", folder)
    assert done.stdout == f"{folder}/model.yml\n"
    model = strict(folder)
    expected = sorted([*(name.format("my-net") for name in files), "sub/with space #1.txt"])
    assert (model.framework, sorted(file.name for file in model.files)) == (framework, expected)
    assert all(str(f.checksum) == f"sha384:{hashlib.sha384(DATA).hexdigest()}" for f in model.files)
    modelzoo.download("my-net", tmp_path / "out", sources=[folder.parent / "my-net"])
    assert (tmp_path / "out/my-net/sub/with space #1.txt").read_bytes() == DATA


def test_nothing_is_overwritten_without_force(tmp_path: Path, faulty: FaultyServer) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/a.bin").write_bytes(DATA)
    (tmp_path / "net/model.yml").write_text("mine")
    for arguments in (["net"], ["net", f"a.bin={faulty.url}/f"]):
        done = tool("sources", "new", *arguments, cwd=tmp_path, check=2)
        assert "net/model.yml is there already; --force replaces it" in done.stderr
    assert (tmp_path / "net/model.yml").read_text() == "mine"
    assert faulty.requests == []
    tool("sources", "new", "net", "--force", cwd=tmp_path)
    assert [file.name for file in strict(tmp_path / "net").files] == ["a.bin"]


BAD: list[tuple[list[str], int, str]] = [
    ([], 2, "required"),
    (["nothing"], 2, "nothing is no folder"),
    (["empty"], 2, "empty holds no files"),
    (["odd"], 2, "unsafe name"),
    (["../up", "a=https://h/f"], 2, "model's name"),
    (["..", "a=https://h/f"], 2, "model's name"),
    (["n", "../a=https://h/f"], 2, "unsafe name"),
    (["n", "a"], 2, "expected NAME/FILE=URL"),
    (["n", "a=nowhere"], 2, "is not a URL"),
    (["n", "a=https://h/1", "a=https://h/2"], 2, "is given twice"),
    (["n", "a=https://h/f#rubbish"], 2, "after # expected"),
    (["n", "a.onnx={}/gone"], 1, "404"),
    (["n", "a.onnx={}/page"], 1, "web page"),
    (["n", "a.onnx={}/f#sha1=" + "0" * 40], 1, "expected sha1:000"),
]


@pytest.mark.parametrize(("arguments", "code", "problem"), BAD)
def test_bad_use(
    arguments: list[str], code: int, problem: str, tmp_path: Path, faulty: FaultyServer
) -> None:
    faulty.add("/f", serve(DATA))
    faulty.add("/gone", status(404))
    faulty.add("/page", html_page("hello"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd/a\\b").write_bytes(b"x")
    before = tree(tmp_path)
    for more in ([], ["-o", "new/tree"]):
        arguments = [argument.format(faulty.url) for argument in arguments]
        done = tool("sources", "new", *arguments, *more, cwd=tmp_path, check=code)
        assert problem in done.stderr
        assert (done.stdout, done.stderr.count("\n")) == ("", 1)
        assert ".draft-" not in done.stderr
        assert tree(tmp_path) == before


def test_what_the_disk_refuses_names_no_folder_that_has_gone(
    tmp_path: Path, faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    faulty.add("/f", serve(DATA))
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(ModelZooError, match="space") as caught:
        draft_of_urls("n", [f"sub/a.bin={faulty.url}/f"], tmp_path / "zoo", report=lambda event: None)
    assert str(caught.value).startswith("sub/a.bin: ")
    assert ".draft-" not in str(caught.value)
    assert tree(tmp_path) == {}


def test_an_interrupted_draft_leaves_nothing(tmp_path: Path, faulty: FaultyServer) -> None:
    faulty.add("/f", stall_after(serve(DATA), 1000))
    command = [
        sys.executable,
        TOOLS / "sources.py",
        "new",
        "n",
        f"a.bin={faulty.url}/f",
        "-o",
        "new/tree",
    ]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        faulty.wait_for(1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "sources.py: interrupted\n")
    assert tree(tmp_path) == {}


def test_a_place_that_is_no_folder(tmp_path: Path, faulty: FaultyServer) -> None:
    (tmp_path / "zoo").write_text("a file")
    done = tool("sources", "new", "n", f"a.bin={faulty.url}/f", "-o", tmp_path / "zoo", check=1)
    assert f"{tmp_path}/zoo" in done.stderr
    assert faulty.requests == []


def test_the_draft_says_what_to_complete(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/a.pt").write_bytes(DATA)
    tool("sources", "new", tmp_path / "net")
    text = (tmp_path / "net/model.yml").read_text()
    assert text.startswith("# A draft: ")
    assert list(yaml.safe_load(text)) == [
        *("description", "task_type", "files", "framework", "license"),
        *("model_optimizer_args", "conversion_to_onnx_args"),
    ]


def test_the_commands_of_the_documents(tmp_path: Path, faulty: FaultyServer) -> None:
    text = (ROOT / "docs" / "catalog.md").read_text().partition("## Keeping a catalog")[2]
    block = re.search(r"```sh\n(.*?)```", text, re.S)
    assert block
    faulty.add("/my-net.onnx", serve(DATA))
    (tmp_path / "my-zoo/other-net").mkdir(parents=True)
    (tmp_path / "my-zoo/other-net/a.onnx").write_bytes(DATA)
    printed = []
    for line in block[1].replace("https://example.com", faulty.url).splitlines():
        program, *arguments = shlex.split(line)
        assert program == "./sources.py"
        printed.append(tool("sources", *arguments, cwd=tmp_path).stdout)
    assert printed == ["my-zoo/my-net/model.yml\n", "my-zoo/other-net/model.yml\n", "2 URLs: 2 ok\n"]
