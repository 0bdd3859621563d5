"""What is installed, from receipts alone: a whole life of models, and receipts that lie."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import modelzoo
import msgspec
import pytest
from modelzoo.errors import SelectionError, StorageError
from modelzoo.installation.inventory import take_inventory
from modelzoo.installation.receipts import MAX_BYTES, Receipts
from modelzoo.model import Model

from tests.archives import add_patched_model
from tests.conftest import tool
from tests.servers.faulty import FaultyServer, serve
from tests.zoo import add_local_model, content, tree

A, B = content("a", 5000), content("b", 700)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Two models from a catalog `zoo`, one of them with a version, in `out`."""
    add_local_model(tmp_path / "zoo", "public/one", {"a.bin": A, "sub/b.bin": B}, version="1.2")
    add_local_model(tmp_path / "zoo", "public/two", {"a.bin": A})
    modelzoo.download("*", tmp_path / "out", sources=[tmp_path / "zoo"])
    return tmp_path / "out"


def receipt_path(out: Path, model: str = "one") -> Path:
    return out / ".modelzoo" / "receipts" / "zoo" / f"{model}.json"


def edit(path: Path, **members: Any) -> None:
    """Change members of a receipt."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **members}))


def states(out: Path) -> dict[str, str]:
    return {model.model: model.state for model in modelzoo.installed(output_dir=out)}


def unproven(zoo: Path) -> Model:
    """A model whose catalog tells no digest."""
    add_local_model(zoo, "loose", {"w.bin": B})
    (model,) = modelzoo.find("loose", sources=[zoo])
    files = tuple(msgspec.structs.replace(file, checksum=None) for file in model.files)
    return msgspec.structs.replace(model, files=files)


def test_a_whole_life(out: Path, tmp_path: Path) -> None:
    """Download, list, damage, verify, repair, delete: nothing is left."""
    source = ["--source", tmp_path / "zoo"]
    listed = tool("inventory", "list", "-o", out).stdout
    assert [line.split() for line in listed.splitlines()[:-1]] == [
        ["MODEL", "VERSION", "SOURCE", "SIZE", "DATE", "STATE"],
        ["one", "1.2", "zoo", "5.6", "KiB", listed.split("KiB  ")[1][:10], "whole"],
        ["two", "-", "zoo", "4.9", "KiB", listed.split("KiB  ")[1][:10], "whole"],
    ]
    assert listed.endswith("2 models, 10.4 KiB\n")
    assert tool("inventory", "verify", "-o", out).stdout.endswith(": all whole\n")
    damaged = out / "public" / "one" / "sub" / "b.bin"
    stat = damaged.stat()
    damaged.write_bytes(bytes(len(B)))
    os.utime(damaged, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # what only reading finds
    (out / "public" / "two" / "a.bin").unlink()
    assert states(out) == {"one": "whole", "two": "missing"}
    found = tool("inventory", "verify", "-o", out, check=1).stdout
    assert [line.split()[:3] for line in found.splitlines()[1:3]] == [
        ["one", "public/one/sub/b.bin", "changed"],
        ["two", "public/two/a.bin", "missing"],
    ]
    repaired = tool("inventory", "verify", "--repair", "-o", out, *source).stdout
    assert repaired.count("  repaired  ") == 2
    assert repaired.endswith(": all whole, 2 files repaired\n")
    assert damaged.read_bytes() == B
    tool("inventory", "verify", "-o", out)
    before = tree(out)
    dry = tool("inventory", "delete", "--all", "--dry_run", "-o", out).stdout
    assert dry.endswith("3 files of 2 models, 10700 bytes (10.4 KiB) would be removed.\n")
    assert tree(out) == before
    tool("inventory", "delete", "--all", "-o", out)
    assert tree(out) == {}
    assert tool("inventory", "list", "-o", out).stdout == f"Nothing is installed in {out}.\n"


def test_the_catalog_may_be_gone(out: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "zoo")
    gone = ["-o", out, "--source", "zoo"]
    assert json.loads(tool("inventory", "list", "--format=json", *gone).stdout)["size"] == 10700
    assert tool("inventory", "verify", *gone).stdout.endswith("all whole\n")
    tool("inventory", "delete", "--name", "two", *gone)
    assert states(out) == {"one": "whole"}


def test_the_document(out: Path) -> None:
    document = json.loads(tool("inventory", "list", "--name", "two", "--format=json", "-o", out).stdout)
    (model,) = document.pop("models")
    assert document == {"schema_version": 1, "output_dir": str(out), "size": 5000, "damaged": []}
    (file,) = model.pop("files")
    assert file.pop("checksum").startswith("sha384:")
    assert file == {"path": "public/two/a.bin", "state": "whole", "size": 5000}
    assert len(model.pop("time")) == 25
    assert model == {
        "model": "two", "source": "zoo", "version": None, "output_dir": str(out), "state": "whole",
        "verified": True, "postprocessed": False, "size": 5000,
    }  # fmt: skip


def test_states(out: Path, tmp_path: Path) -> None:
    os.utime(out / "public" / "one" / "a.bin", ns=(1, 1))
    (out / "public" / "two" / "a.bin").unlink()
    (out / "public" / "two" / "a.bin").mkdir()
    zoo = tmp_path / "more"
    for name, data in add_patched_model(zoo, "")[0].items():
        (zoo / "m" / name).parent.mkdir(parents=True, exist_ok=True)
        (zoo / "m" / name).write_bytes(data)
    modelzoo.download("m", out, sources=[zoo])
    modelzoo.download(unproven(tmp_path / "unproven"), out)
    found = {
        m.model: (m.state, m.verified, m.postprocessed) for m in modelzoo.installed(output_dir=out)
    }
    assert found == {
        "loose": ("whole", False, False),
        "m": ("whole", True, True),
        "one": ("changed", True, False),
        "two": ("changed", True, False),
    }
    listed = tool("inventory", "list", "-o", out).stdout
    assert "  whole, unverified\n" in listed
    assert "  whole, postprocessed\n" in listed


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--name", "on*"], ["one"]),
        (["--name", "zoo:two,one"], ["zoo:two", "one"]),
        (["--name", "one@1.2"], ["one"]),
        (["--exclude", "one"], ["other:two", "zoo:two"]),
        (["--source", "other"], ["other:two"]),
        (["--source", "zoo", "--name", "two"], ["zoo:two"]),
        (["--all"], ["one", "other:two", "zoo:two"]),
        (["--list", "names.lst"], ["one"]),
    ],
)
def test_selection(options: list[str], names: list[str], out: Path, tmp_path: Path) -> None:
    add_local_model(tmp_path / "other", "else/two", {"a.bin": A})
    modelzoo.download("two", out, sources=[tmp_path / "other"])
    (tmp_path / "names.lst").write_text("on*  # a comment\n")
    environ = {"MODELZOO_OUTPUT_DIR": "out", "MODELZOO_FORMAT": "json"}
    done = tool("inventory", "list", *options, environ=environ, cwd=tmp_path)
    document = json.loads(done.stdout)
    ids = [m["model"] if m["model"] == "one" else f"{m['source']}:two" for m in document["models"]]
    assert ids == names


def test_an_exclusion_of_nothing_is_told(out: Path) -> None:
    done = tool("inventory", "list", "--exclude", "onee", "--name", "one", "-o", out)
    assert done.stderr == 'warning: --exclude "onee" matches no model. Did you mean one?\n'


def test_a_list_is_a_source(out: Path, tmp_path: Path, faulty: FaultyServer) -> None:
    faulty.add("/f", serve(A))
    (tmp_path / "mine.txt").write_text(f"listed/a.bin={faulty.url}/f\n")
    modelzoo.download("listed", out, sources=[tmp_path / "mine.txt"])
    done = tool("inventory", "list", "--source", tmp_path / "mine.txt", "-o", out)
    assert [line.split()[0] for line in done.stdout.splitlines()[1:2]] == ["listed"]


def test_selection_errors(out: Path, tmp_path: Path) -> None:
    done = tool("inventory", "list", "--name", "onee", "-o", out, check=1)
    assert done.stderr == 'inventory.py: No matching models: "onee". Did you mean one?\n'
    done = tool("inventory", "delete", "-o", out, check=2)
    assert "one of the arguments --all --name --list --source is required" in done.stderr
    done = tool("inventory", "verify", "--source", "/gone/zo", "-o", out, check=1)
    assert done.stderr == (
        'inventory.py: Nothing of the source "/gone/zo" is installed. Did you mean zoo?\n'
    )
    with pytest.raises(SelectionError):
        modelzoo.installed("one", out, exclude="o*")
    with pytest.raises(StorageError, match="nowhere: No such file"):
        modelzoo.installed(output_dir=tmp_path / "nowhere")
    with pytest.raises(StorageError, match="is not a folder"):
        modelzoo.installed(output_dir=out / "public" / "one" / "a.bin")


PATHS = [
    "../x", "/etc/passwd", "public/../../x", "C:x", "a\\..\\b", "", ".", "a//b", "nul", "x.download",
    ".modelzoo/receipts/zoo/two.json", "a\x1b[31m", "x" * 2000,
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_leads_elsewhere(path: str, out: Path, tmp_path: Path) -> None:
    """Not even the good files of such a receipt are believed."""
    (tmp_path / "x").write_bytes(B)
    receipt = json.loads(receipt_path(out).read_text())
    receipt["outputs"].append({"path": path, "size": len(B), "mtime_ns": 0, "checksum": None})
    receipt_path(out).write_text(json.dumps(receipt))
    before = tree(tmp_path)
    (damaged,) = take_inventory(out).damaged
    assert (damaged.path, states(out)) == (str(receipt_path(out)), {"two": "whole"})
    assert not modelzoo.verify(output_dir=out).successful
    with pytest.raises(SelectionError):
        modelzoo.delete("one", out)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-9]), "truncated"),
        (lambda p: p.write_bytes(b""), "truncated"),
        (lambda p: p.write_bytes(b'{"x":' + b"[" * 100_000), "recursion"),
        (lambda p: edit(p, schema=2), "has schema 2, expected 1"),
        (lambda p: edit(p, model="two"), 'it is that of "zoo:two"'),
        (lambda p: edit(p, source="../zoo"), 'it is that of "../zoo:one"'),
        (lambda p: edit(p, inputs=[{"name": "a", "size": -1, "checksum": None}]), "`int` >= 0"),
        (
            lambda p: edit(
                p, inputs=[{"name": "a", "size": 1, "checksum": {"type": "shake_128", "value": "0"}}]
            ),
            "unknown checksum type 'shake_128'",
        ),
        (lambda p: os.truncate(p, MAX_BYTES + 1), "is larger than"),
        (lambda p: (p.unlink(), os.mkfifo(p)), "is not a regular file"),
        (lambda p: (p.unlink(), p.symlink_to("/dev/zero")), "is not a regular file"),
        (lambda p: (p.unlink(), p.symlink_to(p)), "symbolic link"),
    ],
)
def test_a_damaged_receipt(change: Any, problem: str, out: Path) -> None:
    """It is told, the others work, and everything ends with 1 only where everything was meant."""
    change(receipt_path(out))
    (damaged,) = take_inventory(out).damaged
    assert re.search(problem, damaged.problem), damaged.problem
    warning = tool("inventory", "list", "-o", out).stderr
    assert warning.startswith(f"warning: {receipt_path(out)}: the receipt cannot be used: ")
    assert tool("inventory", "verify", "--name", "two", "-o", out).stderr == ""
    tool("inventory", "delete", "--all", "-o", out, check=1)
    assert (out / "public" / "one" / "a.bin").read_bytes() == A
    assert not (out / "public" / "two").exists()


def test_receipts_of_a_folder_that_belongs_to_another_program(out: Path, tmp_path: Path) -> None:
    (model,) = modelzoo.find("two", sources=[tmp_path / "zoo"])
    home = tmp_path / "home of another"
    modelzoo.download(msgspec.structs.replace(model, home=str(home)))
    assert sorted(path.name for path in home.iterdir()) == ["public"]
    (found,) = modelzoo.installed(output_dir=home)
    assert (found.model, found.state) == ("two", "whole")
    os.truncate(home / "public" / "two" / "a.bin", 7)
    assert not modelzoo.verify(output_dir=home).successful
    assert modelzoo.delete("two", home, force=True).successful
    assert tree(home) == {}
    assert not Receipts(home, foreign=True).folder.parent.exists()
