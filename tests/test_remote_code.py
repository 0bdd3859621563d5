"""Code of sources: it runs only with consent to exactly that code, in a process that can be stopped."""

from __future__ import annotations

import os
import py_compile
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import modelzoo
import pytest
from modelzoo import fiftyone as foz
from modelzoo.errors import ConsentRequired, ModelZooError, Reason

from tests.conftest import tool
from tests.remote import CODE, code, entry, files_of, managed, write
from tests.zoo import tree

Register = Callable[..., Path]


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELZOO_ZOO_DIR", str(tmp_path / "zoo"))
    return tmp_path / "zoo"


@pytest.fixture
def register(tmp_path: Path, zoo: Path) -> Register:
    """Registers a source `me/src` with these models and files; returns the folder it is from."""

    def make(*models: dict[str, Any], **files: str) -> Path:
        folder = write(tmp_path / "origin", files_of("me/src", *models))
        write(folder, {name.replace("_py", ".py"): text for name, text in files.items()})
        modelzoo.register_source(str(folder), refresh=True)
        return folder

    return make


def failure(name: str = "m", **options: Any) -> tuple[Reason | None, str]:
    """Why a download fails, and that it left nothing but the source."""
    with pytest.raises(modelzoo.DownloadFailed) as caught:
        modelzoo.download(name, **options)
    outcome = caught.value.summary.models[0]
    return outcome.reason, outcome.message or ""


def test_nothing_runs_without_consent(register: Register, zoo: Path, tmp_path: Path) -> None:
    proof = tmp_path / "it ran"
    init = f"open({str(proof)!r}, 'w')\n{CODE}"
    register(entry("m", "w.bin"), managed("n", "n.bin", "file:///n", size_bytes=1), __init___py=init)
    reason, message = failure()
    assert reason == Reason.CONSENT_REQUIRED
    for part in ("me/src", str(zoo / "me/src/__init__.py"), "--trust_remote_code"):
        assert part in message
    tool("info_dumper", "--all", "--source", "me/src")
    tool("sources", "show", "me/src")
    tool("downloader", "--all", "--source", "me/src", "--dry_run", check=1)
    for name in "mn":
        with pytest.raises(ConsentRequired, match="has not been allowed"):
            foz.load_zoo_model(name)
    assert not proof.exists()
    assert not (zoo / "me/src/w.bin").exists()
    foz.download_zoo_model("m", trust_remote_code=True)
    assert proof.exists()


def test_consent_is_remembered_until_the_code_changes(register: Register, zoo: Path) -> None:
    register(entry("m", "w.bin"), entry("n", "folder"), entry("o", "o.bin"))
    foz.download_zoo_model("m", trust_remote_code=True)
    path = foz.download_zoo_model("n")[1]
    assert os.listdir(str(path)) == ["part.bin"]
    assert foz.load_zoo_model("m").what[3] == "weights of m"
    for name in ("weights.py", "new.py", "README.md", "manifest.json", "data/x.bin"):
        before = (zoo / "me/src" / name).read_bytes() if (zoo / "me/src" / name).exists() else None
        write(zoo / "me/src", {name: (before or b"").decode() + " "})
        with pytest.raises(ConsentRequired, match="has changed") as caught:
            foz.load_zoo_model("m")
        assert caught.value.file.endswith(name)
        assert failure("o")[0] == Reason.CONSENT_REQUIRED
        if before is None:
            (zoo / "me/src" / name).unlink()
        else:
            (zoo / "me/src" / name).write_bytes(before)
    foz.load_zoo_model("m")
    (zoo / "me/src/weights.py").unlink()
    with pytest.raises(ConsentRequired, match=r"weights\.py"):
        foz.load_zoo_model("m")


def test_code_in_the_place_of_weights_is_no_weight(register: Register, zoo: Path) -> None:
    """A manifest cannot hide code from the digest by describing it as a model."""
    source = zoo / "me/src"
    register(entry("m", "w.bin"), entry("n", "folder"), entry("o", "net.so"))
    write(source, {"folder/hidden.py": "1"})
    foz.download_zoo_model("m", trust_remote_code=True)
    write(source, {"folder/data.bin": "weights may come"})
    foz.load_zoo_model("m")
    for name in ("folder/hidden.py", "folder/other.py", "net.so"):
        write(source, {name: "2"})
        with pytest.raises(ConsentRequired, match="has changed"):
            foz.load_zoo_model("m")
        foz.load_zoo_model("m", trust_remote_code=True)


def test_a_refresh_that_brings_other_code_asks_again(register: Register) -> None:
    register(entry("m", "w.bin"))
    foz.download_zoo_model("m", trust_remote_code=True)
    register(entry("m", "w.bin"))
    foz.load_zoo_model("m")
    register(entry("m", "w.bin"), new_py="")
    with pytest.raises(ConsentRequired):
        foz.load_zoo_model("m")
    foz.load_zoo_model("m", trust_remote_code=True)


def test_what_is_downloaded_is_in_the_receipt_and_not_brought_again(
    register: Register, zoo: Path
) -> None:
    leaves = "import os\nopen(model_path, 'w').write('w')\n"
    leaves += "open(os.path.join(os.path.dirname(model_path), 'labels.txt'), 'w').write('l')\n"
    leaves += "os.mkdir(os.path.join(os.path.dirname(model_path), '.cache'))"
    register(entry("m", "w.bin"), entry("n", "n.bin"), __init___py=code(leaves, "return 'loaded'"))
    summary = modelzoo.download("m", trust_remote_code=True)
    assert summary.successful
    assert set(tree(zoo / "me/src")) >= {"w.bin", "labels.txt"}
    assert ".cache" not in tree(zoo / "me/src")
    inode = (zoo / "me/src/w.bin").stat().st_ino
    modelzoo.download("m")
    assert (zoo / "me/src/w.bin").stat().st_ino == inode
    assert foz.load_zoo_model("m") == "loaded"  # the labels are no change of the code
    (zoo / "me/src/labels.txt").unlink()
    assert not foz.is_zoo_model_downloaded("m")
    modelzoo.download("m")
    assert (zoo / "me/src/labels.txt").exists()
    foz.delete_zoo_model("m")
    assert not {"w.bin", "labels.txt"} & set(tree(zoo / "me/src"))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("raise ValueError('no\\nluck')", "ValueError: no luck (ZOO/me/src/__init__.py, line 2)"),
        ("pass", "there is nothing in w.bin"),
        ("open(model_path, 'w')", "there is nothing in w.bin"),
        ("import os; os.mkdir(model_path)", "there is nothing in w.bin"),
        ("import os; os._exit(3)", "ended with exit status 3"),
        ("import sys; sys.exit(4)", "ended with exit status 4"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended with exit status -11"),
        ("import os; os.symlink('/etc/passwd', model_path)", '"w.bin", which is no regular file'),
        ("import os; os.mkfifo(model_path)", '"w.bin", which is no regular file'),
        (
            "import os; open(model_path, 'w').write('w'); open('__init__.py', 'w').write('evil')",
            '"__init__.py" could replace code',
        ),
        (
            "import os; open(model_path, 'w').write('w'); open('manifest.json', 'w').write('{}')",
            '"manifest.json" could replace code',
        ),
        ("open(model_path, 'w').write('w'); open('a:b', 'w').write('x')", "unsafe name 'a:b'"),
        ("import nothing_of_this_name", "No module named 'nothing_of_this_name'"),
    ],
)
def test_code_that_fails(register: Register, zoo: Path, body: str, problem: str) -> None:
    register(entry("m", "w.bin"), __init___py=code(body))
    before = tree(zoo / "me")
    _, message = failure(trust_remote_code=True)
    assert problem.replace("ZOO", str(zoo)) in message
    assert "\n" not in message
    assert tree(zoo / "me") == before
    assert not (zoo / ".modelzoo/staging").exists()


@pytest.mark.parametrize(
    ("init", "problem"),
    [
        ("def load_model(): pass", "__init__.py does not define download_model()"),
        ("def broken(:", "SyntaxError"),
        ("download_model = 3", "__init__.py does not define download_model()"),
    ],
)
def test_code_of_no_use(register: Register, init: str, problem: str) -> None:
    register(entry("m", "w.bin"), __init___py=init)
    assert problem in failure(trust_remote_code=True)[1]


def test_a_source_without_code(tmp_path: Path, zoo: Path) -> None:
    folder = write(tmp_path / "plain", files_of("plain", entry("m", "w.bin"), entry("hub"), code=False))
    modelzoo.register_source(str(folder))
    assert "the source has no __init__.py" in failure(trust_remote_code=True)[1]
    assert modelzoo.download("hub").successful  # there is nothing to download
    with pytest.raises(ModelZooError, match=r"cannot be used.*__init__\.py"):
        foz.load_zoo_model("hub", trust_remote_code=True)


def test_bytecode_of_a_source_is_never_believed(register: Register, zoo: Path, tmp_path: Path) -> None:
    register(entry("m", "w.bin"))
    foz.download_zoo_model("m", trust_remote_code=True)
    source = zoo / "me/src"
    foz.load_zoo_model("m")
    assert not (source / "__pycache__").exists()
    text = (source / "weights.py").read_text()
    stat = (source / "weights.py").stat()
    (source / "weights.py").write_text("make = None; EVIL = 1".ljust(len(text)))
    os.utime(source / "weights.py", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    py_compile.compile(str(source / "weights.py"))
    (source / "weights.py").write_text(text)
    os.utime(source / "weights.py", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert list((source / "__pycache__").iterdir())
    assert foz.load_zoo_model("m").what[3] == "weights of m"
    module = sys.modules[type(foz.load_zoo_model("m")).__module__]
    assert not hasattr(module.weights, "EVIL")


NET = """
class NetConfig:
    def __init__(self, d):
        self.width, self.model_path = d["width"], None

class Net:
    def __init__(self, config):
        self.told = (config.width, config.model_path)

class Plain:
    def __init__(self, width, model_path=None):
        self.told = (width, model_path)

class Manager:
    def __init__(self, config):
        self.config = config

    def download_model(self, path, force=False):
        with open(path, "w") as file:
            file.write(self.config["text"])
"""


@pytest.mark.parametrize("kind", ["net.Net", "net.Plain", ".net.Net", "sub.net.Net"])
def test_a_class_that_the_manifest_names(register: Register, zoo: Path, kind: str) -> None:
    manager = {"type": "net.Manager", "config": {"text": "hello"}}
    deployed = {"type": kind, "config": {"width": 3}}
    model = entry("m", "w.bin", manager=manager, default_deployment_config_dict=deployed)
    folder = write(zoo.parent / "origin", {"net.py": NET, "sub/net.py": NET, "sub/__init__.py": ""})
    register(model)
    assert folder.is_dir()
    with pytest.raises(ConsentRequired):
        foz.load_zoo_model("m")
    assert foz.load_zoo_model("m", trust_remote_code=True).told == (3, str(zoo / "me/src/w.bin"))
    assert (zoo / "me/src/w.bin").read_text() == "hello"
    assert foz.load_zoo_model("m", width=5).told[0] == 5


def test_a_class_that_is_not_there(register: Register) -> None:
    for kind in ("net.Missing", "nothing.of.this.Name", "Missing"):
        register(entry("m", default_deployment_config_dict={"type": kind}), net_py=NET)
        with pytest.raises(ModelZooError, match='the source "me/src"'):
            foz.load_zoo_model("m", trust_remote_code=True)
