"""The inventory tool on models of registered sources: those that come as files, and by code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import modelzoo
import pytest
from modelzoo import fiftyone as foz
from modelzoo.installation.inventory import take_inventory

from tests.conftest import tool
from tests.remote import entry, files_of, managed, write

Register = Callable[..., Path]


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELZOO_ZOO_DIR", str(tmp_path / "zoo"))
    return tmp_path / "zoo"


@pytest.fixture
def source(tmp_path: Path, zoo: Path) -> Path:
    """A registered source: `m` and `f` (a folder) come by code, `n` is a file of the source itself."""
    models = [entry("m", "m.bin"), entry("f", "folder"), managed("n", "n.bin", "data/n.bin")]
    origin = write(tmp_path / "origin", files_of("me/src", *models) | {"data/n.bin": "n"})
    modelzoo.register_source(str(origin))
    return zoo / "me/src"


def download(*names: str) -> None:
    modelzoo.download(names, sources=["me/src"], trust_remote_code=True)


def repair(zoo: Path) -> dict[str, tuple[str, bool, str]]:
    """What is broken, and whether it is repaired: path -> state, repaired, message."""
    found = modelzoo.verify(output_dir=zoo, repair=True, sources=["me/src"])
    return {file.path: (file.state, file.repaired, file.message) for file in found.broken}


def test_models_are_listed_and_verified_where_fiftyone_keeps_them(source: Path, zoo: Path) -> None:
    download("m", "f", "n")
    found = {model.model: model for model in modelzoo.installed(output_dir=zoo)}
    assert {name: [file.path for file in model.files] for name, model in found.items()} == {
        "f": ["me/src/folder/part.bin"],
        "m": ["me/src/m.bin"],
        "n": ["me/src/n.bin"],
    }
    assert {model.source for model in found.values()} == {"me/src"}
    assert modelzoo.verify(output_dir=zoo).successful
    listed = tool("inventory", "list", "--output_dir", zoo, "--source", "me/src").stdout
    assert [name for name in ("m", "f", "n") if f"\n{name} " in listed] == ["m", "f", "n"]


def test_what_code_brought_is_repaired_by_it(source: Path, zoo: Path) -> None:
    download("m", "f", "n")
    for name in ("m.bin", "n.bin"):
        (source / name).write_text("x")
    (source / "folder/part.bin").unlink()
    broken = repair(zoo)
    assert {path: (state, done) for path, (state, done, _) in broken.items()} == {
        "me/src/m.bin": ("changed", True),
        "me/src/n.bin": ("changed", True),
        "me/src/folder/part.bin": ("missing", True),
    }
    assert (source / "m.bin").read_text() == "weights of m"
    assert modelzoo.verify(output_dir=zoo).successful


def test_repairing_needs_consent_too(source: Path, zoo: Path) -> None:
    download("m")
    (source / "m.bin").write_text("x")
    write(source, {"weights.py": "other"})
    ((path, (_, repaired, message)),) = repair(zoo).items()
    assert (path, repaired) == ("me/src/m.bin", False)
    assert "weights.py" in message
    assert "--trust_remote_code" in message
    assert (source / "m.bin").read_text() == "x"


def test_deleted_models_are_gone_and_come_again(source: Path, zoo: Path) -> None:
    download("m", "f", "n")
    assert modelzoo.delete("*", zoo).successful
    assert take_inventory(zoo).entries == ()
    assert sorted(path.name for path in source.iterdir() if path.name != "__pycache__") == [
        "README.md", "__init__.py", "data", "manifest.json", "weights.py",
    ]  # fmt: skip
    assert not foz.is_zoo_model_downloaded("m")
    download("m")
    assert foz.load_zoo_model("m").what[3] == "weights of m"


def test_what_stays_of_a_deleted_model_is_no_whole_one(source: Path, zoo: Path) -> None:
    download("m", "f")
    (source / "m.bin").write_text("mine")
    deletion = modelzoo.delete("*", zoo)
    assert [(m.model, m.gone) for m in deletion.models] == [("f", True), ("m", False)]
    assert not foz.is_zoo_model_downloaded("m")
    (source / "m.bin").unlink()
    assert "only part of it is left" in repair(zoo)["me/src/m.bin"][2]
    download("m")
    assert (source / "m.bin").read_text() == "weights of m"
    assert modelzoo.verify(output_dir=zoo).successful


def test_code_says_what_is_right_and_adopting_does_not_ask_it(source: Path, zoo: Path) -> None:
    write(source, {"m.bin": "weights of m"})

    def adopted() -> dict[str, str]:
        done = modelzoo.adopt(["m", "f"], sources=["me/src"])
        assert not done.models[1].complete
        return {file.path: file.state for model in done.models for file in model.files}

    assert adopted() == {"me/src/m.bin": "unprocessed", "me/src/folder": "missing"}
    download("m")
    assert adopted() == {"me/src/m.bin": "known", "me/src/folder": "missing"}
    tool("inventory", "adopt", "--name", "m", "--source", "me/src")
    done = tool("inventory", "adopt", "--name", "f", "--source", "me/src", check=1)
    assert "0 of 1 model complete" in done.stdout


def test_a_registered_source_that_cannot_be_read_could_name_anything(
    source: Path, tmp_path: Path
) -> None:
    entry_of_cache = tmp_path / "cache" / "1" / "ab" / ("c" * 62)
    write(entry_of_cache.parent, {entry_of_cache.name: "kept"})
    write(source, {"manifest.json": "{"})
    with pytest.raises(modelzoo.CatalogError, match=r"manifest\.json"):
        modelzoo.prune_cache(tmp_path / "cache", unused=True)
    done = tool("inventory", "cache", "prune", "--cache_dir", tmp_path / "cache", "--unused", check=1)
    assert "manifest.json" in done.stderr
    assert entry_of_cache.exists()
