"""Adopting: receipts for what others have put there, if it is right."""

from __future__ import annotations

import json
from pathlib import Path

import modelzoo
import pytest

from tests.archives import add_patched_model
from tests.conftest import tool
from tests.servers.faulty import FaultyServer
from tests.test_inventory import unproven
from tests.zoo import add_model, content, file_entry, model_config, tree

A, B = content("a", 5000), content("b", 700)


@pytest.fixture
def out(tmp_path: Path, faulty: FaultyServer) -> Path:
    """Files of model `m` that somebody copied there; the server would be asked in vain."""
    named = (("a.bin", A), ("b.bin", B), ("c.bin", A), ("d.bin", A))
    entries = [file_entry(n, d, f"{faulty.url}/{n}") for n, d in named]
    add_model(tmp_path / "zoo", "m", model_config(entries))
    folder = tmp_path / "out" / "m"
    folder.mkdir(parents=True)
    (folder / "a.bin").write_bytes(A)
    (folder / "b.bin").write_bytes(bytes(len(B)))
    (folder / "c.bin").write_bytes(B)
    return tmp_path / "out"


def test_each_file_gets_an_answer(out: Path, tmp_path: Path, faulty: FaultyServer) -> None:
    before = tree(out / "m")
    options = ["--all", "--source", tmp_path / "zoo", "-o", out]
    printed = tool("inventory", "adopt", *options, check=1).stdout
    states = [line.split() for line in printed.splitlines()]
    assert states[1:5] == [
        ["m", "m/a.bin", "adopted"],
        ["m", "m/b.bin", "different"],
        ["m", "m/c.bin", "different"],
        ["m", "m/d.bin", "missing"],
    ]
    assert printed.endswith("1 file adopted, 0 of 1 model complete.\n")
    assert tree(out / "m") == before
    assert [file.path for file in modelzoo.installed(output_dir=out)[0].files] == ["m/a.bin"]
    (out / "m" / "b.bin").write_bytes(B)
    (out / "m" / "c.bin").write_bytes(A)
    (out / "m" / "d.bin").write_bytes(A)
    done = modelzoo.adopt("m", out, sources=[tmp_path / "zoo"])
    assert [file.state for file in done.models[0].files] == ["known", *["adopted"] * 3]
    assert (done.adopted, done.models[0].complete) == (3, True)
    tool("inventory", "adopt", *options)
    modelzoo.download("m", out, sources=[tmp_path / "zoo"], offline=True)
    assert faulty.requests == []
    assert modelzoo.verify(output_dir=out).files == 4


def test_models_of_which_nothing_is_here_are_only_counted(out: Path, tmp_path: Path) -> None:
    for name in ("x", "y"):
        add_model(
            tmp_path / "zoo", name, model_config([file_entry("a.bin", A, "https://example.com/a")])
        )
    arguments = ["inventory", "adopt", "--source", tmp_path / "zoo", "-o", out]
    printed = tool(*arguments, "--all", check=1).stdout
    assert [line.split()[0] for line in printed.splitlines()[1:-1]] == ["m"] * 4
    assert printed.endswith(" adopted, 0 of 3 models complete; nothing is here of 2 models.\n")
    listed = json.loads(tool(*arguments, "--all", "--format=json", check=1).stdout)
    assert [model["model"] for model in listed["models"]] == ["m", "x", "y"]
    alone = tool(*arguments, "--name=x", check=1).stdout
    assert alone.splitlines()[1].split() == ["x", "x/a.bin", "missing"]
    assert alone.endswith("0 files adopted, 0 of 1 model complete.\n")


def test_by_size_where_no_digest_is_known(tmp_path: Path) -> None:
    model = unproven(tmp_path / "zoo")
    path = tmp_path / "out" / "loose" / "w.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(700))
    done = modelzoo.adopt(model, tmp_path / "out")
    assert [file.state for file in done.models[0].files] == ["unverified"]
    assert not modelzoo.installed(output_dir=tmp_path / "out")[0].verified


def test_what_wants_postprocessing(tmp_path: Path) -> None:
    """It cannot be had without changing files; a download does it with what is there."""
    files, result = add_patched_model(tmp_path / "zoo", "http://127.0.0.1:9/")
    for name, data in files.items():
        (tmp_path / "out" / "m" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / "m" / name).write_bytes(data)
    before = tree(tmp_path / "out")
    done = modelzoo.adopt("m", tmp_path / "out", sources=[tmp_path / "zoo"])
    assert {file.state for file in done.models[0].files} == {"unprocessed"}
    assert (tree(tmp_path / "out"), done.models[0].complete) == (before, False)
    modelzoo.download("m", tmp_path / "out", sources=[tmp_path / "zoo"], offline=True)
    assert tree(tmp_path / "out" / "m") == result
    done = modelzoo.adopt("m", tmp_path / "out", sources=[tmp_path / "zoo"])
    assert done.models[0].complete


def test_nothing_is_written_where_nothing_is_right(tmp_path: Path, out: Path) -> None:
    (out / "m" / "a.bin").unlink()
    before = tree(out)
    modelzoo.adopt("m", out, sources=[tmp_path / "zoo"])
    assert tree(out) == before


def test_forms_of_output(out: Path, tmp_path: Path) -> None:
    options = ["adopt", "--name", "m", "--source", tmp_path / "zoo", "-o", out]
    events = tool("inventory", *options, "--progress_format=json", "-j1", check=1).stdout.splitlines()
    assert [json.loads(e)["state"] for e in events if "file_verify_end" in e] == [
        *("whole", "changed", "changed", "missing")
    ]
    document = json.loads(tool("inventory", *options, "--format=json", check=1).stdout)
    assert document["models"][0]["files"][0] == {"path": "m/a.bin", "state": "known"}
    assert tool("inventory", "adopt", "--print_all", *options[3:5]).stdout == "m\n"
