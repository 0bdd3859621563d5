"""Deleting: what receipts name and nothing else, whoever has been at the files meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import modelzoo
import msgspec
import pytest
from modelzoo.files.claiming import claim
from modelzoo.files.paths import staging_folder
from modelzoo.installation.inventory import take_inventory
from modelzoo.keeping.deletion import Deletion, Kept
from modelzoo.run.postprocess import reserve

from tests.archives import add_patched_model
from tests.conftest import TOOLS, tool
from tests.processes import Downloader
from tests.servers import faulty as f
from tests.servers.faulty import FaultyServer
from tests.test_precision_steps import Zoo
from tests.zoo import add_local_model, add_model, content, file_entry, model_config, tree

A, B = content("a", 5000), content("b", 700)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Two models in `out`."""
    add_local_model(tmp_path / "zoo", "public/one", {"a.bin": A, "sub/b.bin": B})
    add_local_model(tmp_path / "zoo", "public/two", {"a.bin": A})
    modelzoo.download("*", tmp_path / "out", sources=[tmp_path / "zoo"])
    return tmp_path / "out"


def kept(done: Deletion) -> list[tuple[str, str]]:
    return [(item.path, item.why) for model in done.models for item in model.kept]


def test_only_what_receipts_name(out: Path) -> None:
    """A stranger's file stays, with the folders above it; so does the other model."""
    stranger = out / "public" / "one" / "sub" / "notes.txt"
    stranger.write_text("mine")
    done = modelzoo.delete("one", out)
    assert (done.successful, done.size) == (True, 5700)
    left = {name: what for name, what in tree(out).items() if what != "folder"}
    assert sorted(left) == [
        ".modelzoo/receipts/zoo/two.json", "public/one/sub/notes.txt", "public/two/a.bin",
    ]  # fmt: skip
    stranger.unlink()
    assert modelzoo.delete("*", out).successful
    assert (out / "public" / "one" / "sub").is_dir()  # it was no model's any more
    assert out.is_dir()


def test_a_changed_file_stays_unless_forced(out: Path) -> None:
    path = out / "public" / "one" / "a.bin"
    path.write_bytes(A[:-1] + b"!")
    done = tool("inventory", "delete", "--all", "-o", out, check=1)
    assert done.stderr == (
        "one: public/one/a.bin: kept: it was changed since it was installed; --force removes it\n"
    )
    assert "2 files of 2 models, 5700 bytes" in done.stdout
    (model,) = modelzoo.installed(output_dir=out)
    assert [file.path for file in model.files] == ["public/one/a.bin"]
    assert (model.state, model.model) == ("changed", "one")
    tool("inventory", "delete", "--all", "--force", "-o", out)
    assert tree(out) == {}


def test_what_a_kept_receipt_says_is_no_complete_model(out: Path, tmp_path: Path) -> None:
    """The next download brings everything that was deleted, and puts the changed file right."""
    path = out / "public" / "one" / "a.bin"
    path.write_bytes(A[:-1] + b"!")
    modelzoo.delete("one", out)
    modelzoo.download("one", out, sources=[tmp_path / "zoo"])
    assert (path.read_bytes(), (out / "public/one/sub/b.bin").read_bytes()) == (A, B)
    assert modelzoo.verify(output_dir=out).successful
    assert len(modelzoo.installed("one", out)[0].files) == 2


def test_a_kept_file_of_one_precision_does_not_vouch_for_the_other(
    tmp_path: Path, faulty: FaultyServer
) -> None:
    """Postprocessing has removed archives, so that files alone do not tell what is missing."""
    zoo = Zoo(tmp_path, faulty)
    zoo()
    (zoo.out / "m" / "FP16" / "m.bin").write_bytes(b"changed")
    assert kept(modelzoo.delete("m", zoo.out)) == [("m/FP16/m.bin", "changed")]
    zoo()
    assert tree(zoo.out / "m") == zoo.result


def test_a_new_time_is_no_change(out: Path) -> None:
    os.utime(out / "public" / "one" / "a.bin", ns=(5, 5))
    assert modelzoo.delete("*", out).successful
    assert tree(out) == {}


def test_files_that_are_gone_already(out: Path) -> None:
    (out / "public" / "one" / "a.bin").unlink()
    done = modelzoo.delete("*", out)
    assert (done.successful, done.size, tree(out)) == (True, 5700, {})


def test_postprocessed_models_go_with_what_was_made(tmp_path: Path) -> None:
    files, result = add_patched_model(tmp_path / "zoo", "")
    for name, data in files.items():
        (tmp_path / "zoo" / "m" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "zoo" / "m" / name).write_bytes(data)
    modelzoo.download("m", tmp_path / "out", sources=[tmp_path / "zoo"])
    assert tree(tmp_path / "out" / "m") == result
    assert modelzoo.delete("m", tmp_path / "out").successful
    assert tree(tmp_path / "out") == {}


def test_a_file_that_two_models_name(out: Path) -> None:
    """It goes with the last of them."""
    one, two = take_inventory(out).entries
    outputs = (*two.receipt.outputs, one.receipt.outputs[0])
    two.place.save(two, msgspec.structs.replace(two.receipt, outputs=outputs))
    done = modelzoo.delete("one", out)
    assert (done.successful, kept(done)) == (True, [("public/one/a.bin", "shared")])
    assert (out / "public" / "one" / "a.bin").exists()
    assert [model.model for model in modelzoo.installed(output_dir=out)] == ["two"]
    assert modelzoo.delete("two", out).successful
    assert tree(out) == {}


@pytest.mark.parametrize("link", ["public", "public/one", "public/one/sub"])
@pytest.mark.parametrize("force", [False, True])
def test_nothing_goes_through_a_link(link: str, force: bool, out: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (out / link).rename(elsewhere)
    (out / link).symlink_to(elsewhere)
    before = {name: what for name, what in tree(elsewhere).items() if what != "folder"}
    assert modelzoo.verify(output_dir=out).successful  # reading through one is fine
    done = modelzoo.delete("one", out, force=force)
    assert not done.successful
    assert {why for _, why in kept(done)} == {"linked"}
    assert {name: what for name, what in tree(elsewhere).items() if what != "folder"} == before
    assert "one" in {model.model for model in modelzoo.installed(output_dir=out)}


def test_links_and_folders_in_place_of_files(out: Path, tmp_path: Path) -> None:
    """A link goes itself if the caller insists, never what it leads to; a folder never goes."""
    target, path = tmp_path / "precious", out / "public" / "one" / "a.bin"
    target.write_bytes(A)
    path.unlink()
    path.symlink_to(target)
    (out / "public" / "two" / "a.bin").unlink()
    (out / "public" / "two" / "a.bin").mkdir()
    done = modelzoo.delete("*", out)
    assert kept(done) == [("public/one/a.bin", "changed"), ("public/two/a.bin", "changed")]
    assert kept(modelzoo.delete("*", out, force=True)) == [("public/two/a.bin", "changed")]
    assert not path.is_symlink()
    assert target.read_bytes() == A
    assert (out / "public" / "two" / "a.bin").is_dir()


def test_the_output_directory_may_be_a_link(out: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(out)
    assert modelzoo.delete("*", tmp_path / "link").successful
    assert tree(out) == {}


def test_left_overs_of_killed_runs(out: Path) -> None:
    """Also of files that no run has finished, in a folder that is the model's alone."""
    for name in ("a.bin.download", "a.bin.download.json", "c.bin.download", "sub/b.bin.download"):
        (out / "public" / "one" / name).write_bytes(b"{}")
    (out / "public" / "other.download").write_bytes(b"of somebody else")
    assert modelzoo.delete("one", out).successful
    assert not (out / "public" / "one").exists()
    assert (out / "public" / "other.download").exists()


@pytest.mark.parametrize("what", ["a file", "the model"])
def test_a_model_in_use_is_left_alone(what: str, out: Path) -> None:
    before = tree(out)
    busy = out / "public" / "one" / "a.bin"
    partial = claim(busy) if what == "a file" else reserve(staging_folder(out, "zoo", "one"))
    assert partial is not None
    with partial:
        done = tool("inventory", "delete", "--name", "one", "-o", out, check=1)
        assert done.stderr == "one: kept: another process works on one\n"
        (two,) = modelzoo.delete("two", out).models
        assert two.gone
    assert {n: w for n, w in tree(out).items() if "one" in n and ".download" not in n} == {
        n: w for n, w in before.items() if "one" in n
    }
    assert modelzoo.delete("one", out).successful
    assert tree(out) == {}


def test_a_model_that_is_being_downloaded(tmp_path: Path, faulty: FaultyServer) -> None:
    """The first file is there, the second comes: nothing is taken away from under that run."""
    go = threading.Event()
    faulty.add("/a.bin", f.serve(A))
    faulty.add("/b.bin", f.hold_after(f.serve(B), 100, go))
    entries = [file_entry(n, d, f"{faulty.url}/{n}") for n, d in (("a.bin", A), ("b.bin", B))]
    out = tmp_path / "out"
    add_model(tmp_path / "zoo", "m", model_config(entries[:1]))
    modelzoo.download("m", out, sources=[tmp_path / "zoo"])
    add_model(tmp_path / "zoo", "m", model_config(entries))
    with Downloader("--source", tmp_path / "zoo", "-o", out) as downloader:
        downloader.until("model_file_download_begin")
        faulty.wait_for(2)
        assert (out / "m" / "b.bin.download").exists()
        assert kept(modelzoo.delete("m", out)) == [("", "busy")]
        go.set()
        downloader.until("run_end")
        assert downloader.wait() == 0
    assert ((out / "m/a.bin").read_bytes(), (out / "m/b.bin").read_bytes()) == (A, B)


def test_many_processes_at_once(tmp_path: Path) -> None:
    """Whoever comes first deletes a model; to the others it is gone, which is no failure."""
    for number in range(12):
        add_local_model(tmp_path / "zoo", f"public/m{number}", {"a.bin": A, "b.bin": B})
    out = tmp_path / "out"
    modelzoo.download("*", out, sources=[tmp_path / "zoo"])
    command = [sys.executable, TOOLS / "inventory.py"]
    tasks: list[list[Any]] = [[*command, "delete", "--all", "-o", out]] * 3
    tasks += [[*command, "verify", "-o", out]]
    runs = [
        subprocess.Popen(task, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for task in tasks
    ]
    results = [(run.communicate(timeout=60)[1], run.returncode) for run in runs]
    assert results == [("", 0)] * 4
    assert {name: what for name, what in tree(out).items() if what != "folder"} == {}
    assert Counter(m.model for m in modelzoo.installed(output_dir=out)) == {}


def test_a_dry_run_says_what_a_run_does(out: Path) -> None:
    (out / "public" / "one" / "a.bin").write_bytes(b"changed")
    before = tree(out)
    dry = modelzoo.delete("*", out, dry_run=True)
    assert tree(out) == before
    done = modelzoo.delete("*", out)
    assert dry.models == done.models
    assert (dry.dry_run, done.dry_run, dry.size) == (True, False, done.size)
    assert dry.models[0].kept == [
        Kept("public/one/a.bin", "changed", "it was changed since it was installed")
    ]
