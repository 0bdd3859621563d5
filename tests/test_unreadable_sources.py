"""Sources that this user may not read, wholly or in part: an error that names the place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import modelzoo
import pytest
from modelzoo.drafting import draft_of_folder
from modelzoo.errors import CatalogError, StorageError

from tests.nobody import own_folder
from tests.remote import entry, files_of, write
from tests.zoo import add_local_model, tree


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of this user, which holds the zoo and all else that the tools write."""
    with own_folder() as folder:
        monkeypatch.setenv("MODELZOO_ZOO_DIR", str(folder / "zoo"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield folder
        for path in (folder / "source").rglob("*"):
            path.chmod(0o700)


Make = Callable[[Path], Path]
"""Puts a source into a folder that is there; returns what nobody may read of it."""


def the_folder(source: Path) -> Path:
    write(source, files_of("mine", entry("m")))
    return source


def a_folder_in_it(source: Path) -> Path:
    (source / "sub").mkdir()
    return source / "sub"


def the_manifest(source: Path) -> Path:
    return write(source, files_of("mine", entry("m"))) / "manifest.json"


@pytest.mark.parametrize(
    ("make", "mode"),
    [
        (the_folder, 0),
        (the_folder, 0o444),
        (a_folder_in_it, 0),
        (a_folder_in_it, 0o444),
        (the_manifest, 0),
    ],
)
@pytest.mark.parametrize("act", [lambda s: modelzoo.find(sources=[s]), modelzoo.register_source])
def test_sources(home: Path, make: Make, mode: int, act: Callable[[str], object]) -> None:
    source = home / "source"
    source.mkdir()
    closed = make(source)
    closed.chmod(mode)
    with pytest.raises(CatalogError) as caught:
        act(str(source))
    closed.chmod(0o700)
    assert caught.value.file == str(closed)
    assert caught.value.problem == "cannot be read: Permission denied"
    assert modelzoo.list_sources() == []


def test_a_source_is_registered_as_a_whole_or_not_at_all(home: Path) -> None:
    source = write(home / "source", files_of("mine", entry("m")))
    for place in (source / "weights", source / "weights.py"):
        if place.suffix != ".py":
            place.mkdir()
        place.chmod(0)
        with pytest.raises(CatalogError, match="cannot be read: Permission denied") as caught:
            modelzoo.register_source(str(source))
        place.chmod(0o700)
        assert caught.value.file == str(place)
    assert [name for name in tree(home / "zoo") if not name.startswith(".modelzoo")] == []


def test_a_tree_without_some_of_its_models_is_told(home: Path) -> None:
    add_local_model(home / "source", "there", {"a.bin": b"a"})
    (home / "source" / "lost").mkdir(mode=0)
    with pytest.warns(UserWarning, match="lost: cannot be read: Permission denied"):
        assert modelzoo.list_models(sources=[home / "source"]) == ["there"]


def test_a_draft_lacks_nothing(home: Path) -> None:
    write(home / "source", {"a.bin": "a", "sub/b.bin": "b"})
    for place in (home / "source/sub", home / "source/sub/b.bin"):
        place.chmod(0)
        with pytest.raises(StorageError, match=f"{place}: Permission denied"):
            draft_of_folder(home / "source")
        place.chmod(0o700)
    assert "name: sub/b.bin" in draft_of_folder(home / "source")
