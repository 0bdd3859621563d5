"""The catalog index: with it or without it, after whatever edits, the answer is the same."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelzoo.catalog import Source, builder, choose, index
from modelzoo.catalog.omz import config as omz_config
from modelzoo.errors import CatalogError, ModelZooError
from modelzoo.model import Model
from modelzoo.selection import Filters

from tests.omz import config
from tests.zoo import add_model

ALL = Filters()
NAMED = Filters(patterns=("a",))
NAMES = ("a", "b", "c-1", "c-2", "d")


class Later:
    """A clock for which whatever a test has just written is old, as in real life."""

    @staticmethod
    def time_ns() -> int:
        return time.time_ns() + 10 * 10**9

    @staticmethod
    def time() -> float:
        return time.time()


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "time", Later)


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """Two models, one with a warning, and a composite with two stages."""
    return plant(tmp_path / "zoo")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the models whose config files are parsed."""
    names: list[str] = []
    real = omz_config.read_yaml

    def spy(path: Any, name: str, model: str = "") -> Any:
        names.append(model)
        return real(path, name, model)

    monkeypatch.setattr(omz_config, "read_yaml", spy)
    return names


def plant(root: Path) -> Path:
    add_model(root, "public/a", config(tags=["x"], version="1"))
    add_model(root, "public/b", config(task_type="mind_reading"))
    for stage in ("c-1", "c-2"):
        add_model(root, f"public/c/{stage}", config())
    (root / "public/c/composite-model.yml").write_text("stages_order: [c-2, c-1]\n")
    (root / "docs").mkdir()
    return root


Outcome = tuple[list[Model], list[str]] | tuple[type[ModelZooError], str]


def ask(root: Path, filters: Filters = ALL) -> Outcome:
    """The models and the warnings, or the error."""
    told: list[str] = []
    try:
        choice = choose([Source("zoo", root)], filters, told.append)
        models = list(choice.models())
    except ModelZooError as error:
        return type(error), str(error)
    assert choice.ids == [model.id for model in models]
    return models, told


def ask_without(root: Path, filters: Filters = ALL) -> Outcome:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(index.VARIABLE, "off")
        return ask(root, filters)


def changed(path: Path, act: Callable[[], object]) -> None:
    """Do this until the file system shows another time: its clock has ticks of milliseconds."""
    before = path.stat().st_ctime_ns
    act()
    while path.exists() and path.stat().st_ctime_ns == before:
        path.chmod(path.stat().st_mode)


def rewrite(root: Path, folder: str, document: Any) -> None:
    path = root / folder
    if path.is_dir() and not path.is_symlink():
        changed(path / "model.yml", lambda: add_model(root, folder, document))


def find(root: Path, name: str) -> Path:
    """The folder of that name, wherever edits have brought it."""
    return next((p for p in sorted(root.rglob(name)) if p.is_dir()), root / "public" / name)


def add(root: Path, name: str) -> None:
    find(root, name).parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(find(root, name), ignore_errors=True)
    add_model(root, str(find(root, name).relative_to(root)), config(description="Added."))


def remove(root: Path, name: str) -> None:
    shutil.rmtree(find(root, name), ignore_errors=True)


def remove_config(root: Path, name: str) -> None:
    (find(root, name) / "model.yml").unlink(missing_ok=True)


def edit(root: Path, name: str) -> None:
    """Another text of the same size, and the time that it had before."""
    path = find(root, name) / "model.yml"
    if path.is_file():
        text, times = path.read_text(), path.stat()
        mixed = text.replace("for tests", "for trial" if "for tests" in text else "for tests")

        def act() -> None:
            path.write_text(mixed.replace("for trial", "for tests") if mixed == text else mixed)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

        changed(path, act)


def touch(root: Path, name: str) -> None:
    path = find(root, name) / "model.yml"
    if path.is_file():
        changed(path, lambda: os.utime(path))


def move(root: Path, name: str) -> None:
    (root / "moved").mkdir(exist_ok=True)
    if find(root, name).is_dir() and not (root / "moved" / name).exists():
        find(root, name).rename(root / "moved" / name)


def rename(root: Path, name: str) -> None:
    folder = find(root, name)
    if folder.is_dir() and not folder.with_name("renamed").exists():
        folder.rename(folder.with_name("renamed"))


def nest(root: Path, name: str) -> None:
    """A model below a model, which no folder of folders notices."""
    if find(root, name).is_dir():
        shutil.rmtree(find(root, name) / "deep", ignore_errors=True)
        add_model(find(root, name), f"deep/{name}-inner", config())


def make_composite(root: Path, name: str) -> None:
    if find(root, name).is_dir():
        changed(find(root, name), lambda: (find(root, name) / "composite-model.yml").touch())


def end_composite(root: Path, name: str) -> None:
    for path in root.rglob("composite-model.yml"):
        path.unlink()


def order(root: Path, name: str) -> None:
    for path in root.rglob("composite-model.yml"):
        changed(path, lambda path=path: path.write_text(f"stages_order: [{name}]\n"))  # type: ignore[misc]


def damage(root: Path, name: str) -> None:
    path = find(root, name) / "model.yml"
    if path.is_file():
        changed(path, lambda: path.write_text("files: [\n"))


def doubt(root: Path, name: str) -> None:
    path = find(root, name)
    rewrite(root, str(path.relative_to(root)), config(task_type=f"new-{name}", framework="later"))


def link_config(root: Path, name: str) -> None:
    path = find(root, name) / "model.yml"
    if path.is_file() and not path.is_symlink():
        (root / "docs").mkdir(exist_ok=True)
        path.replace(root / f"docs/{name}.txt")
        path.symlink_to(root / f"docs/{name}.txt")


def edit_target(root: Path, name: str) -> None:
    path = root / f"docs/{name}.txt"
    if path.is_file():
        changed(path, lambda: path.write_text(path.read_text().replace("tests", "tasks")))


def link_folder(root: Path, name: str) -> None:
    folder = find(root, name)
    if folder.is_dir() and not folder.is_symlink() and not (root / f".{name}").exists():
        folder.rename(root / f".{name}")
        folder.symlink_to(root / f".{name}")


def unrelated(root: Path, name: str) -> None:
    if find(root, name).is_dir():
        changed(find(root, name), lambda: (find(root, name) / f"{time.time_ns()}.md").touch())


EDITS = [
    *(add, remove, remove_config, edit, touch, move, rename, nest, make_composite, end_composite),
    *(order, damage, doubt, link_config, edit_target, link_folder, unrelated),
]
QUESTIONS = [
    ALL,
    Filters(patterns=("a*", "*1")),
    Filters(tags=("x",)),
    Filters(exclude=("b",)),
    Filters(patterns=("zoo:a@1",)),
]


def check(root: Path) -> None:
    """Named models come from the index although others are broken; everything else is the same."""
    for name in NAMES:
        named = Filters(patterns=(name,))
        got, expected = ask(root, named), ask_without(root, named)
        if expected[0] is CatalogError and isinstance(got[0], list):
            assert [m.name == name or m.composite == name for m in got[0]]
        elif isinstance(expected[0], list):
            assert got[0] == expected[0]
        else:
            assert got == expected
    for question in QUESTIONS:
        assert ask(root, question) == ask_without(root, question)


@pytest.mark.usefixtures("settled")
@given(st.lists(st.tuples(st.sampled_from(EDITS), st.sampled_from(NAMES)), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_the_same_after_any_edits(edits: list[tuple[Callable[[Path, str], None], str]]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", f"{folder}/cache")
        root = plant(Path(folder).resolve() / "zoo")
        check(root)
        for act, name in edits:
            act(root, name)
            check(root)
