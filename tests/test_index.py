"""The catalog index: with it or without it, after whatever edits, the answer is the same."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelzoo.catalog import builder
from modelzoo.catalog.index import Entry
from modelzoo.errors import CatalogError
from modelzoo.selection import Filters, split_patterns

from tests.index import ALL, NAMES, Later, ask, ask_without, plant
from tests.omz import config
from tests.zoo import add_model


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "time", Later)


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    return plant(tmp_path / "zoo")


def changed(path: Path, act: Callable[[], object]) -> None:
    """Do this until the file system shows another time: its clock has ticks of milliseconds."""
    before = path.stat().st_ctime_ns if path.exists() else 0
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


Edit = Callable[[Path, str], None]
EDITS: list[Edit] = [
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
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_the_same_after_one_edit(zoo: Path, edit: Edit, name: str) -> None:
    check(zoo)
    edit(zoo, name)
    check(zoo)


@pytest.mark.usefixtures("settled")
@given(st.lists(st.tuples(st.sampled_from(EDITS), st.sampled_from(NAMES)), min_size=2, max_size=6))
@settings(max_examples=40, deadline=None)
def test_the_same_after_any_edits(edits: list[tuple[Edit, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", f"{folder}/cache")
        root = plant(Path(folder).resolve() / "zoo")
        for act, name in edits:
            act(root, name)
            check(root)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(
    "patterns",
    [
        "a",
        "b",
        "c",
        "c-1",
        "d",
        "zoo:d",
        "zoo:c",
        "other:d",
        "a@1",
        "a-v1",
        "x",
        "a,d",
        "d,x",
        "c-*",
        "[ad]",
    ],
)
@pytest.mark.parametrize("exclude", [(), ("a",), ("y",)])
def test_every_way_to_name_models(patterns: str, exclude: tuple[str, ...], zoo: Path) -> None:
    filters = Filters(patterns=split_patterns(patterns), exclude=exclude)
    expected = ask_without(zoo, filters)
    assert [ask(zoo, filters) for _ in range(2)] == [expected] * 2


@pytest.mark.usefixtures("settled")
def test_who_asks_for_a_name_waits_for_few_models(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are not even decoded, unless they have other names too, by a version, say."""
    ask(zoo)
    decoded: list[Any] = []
    decode = msgspec.msgpack.decode

    def noted(data: Any, **options: Any) -> Any:
        decoded.append(found := decode(data, **options))
        return found

    monkeypatch.setattr(msgspec.msgpack, "decode", noted)
    filters = Filters(patterns=("d",))
    assert ask(zoo, filters) == ask_without(zoo, filters)
    names = [found.name for found in decoded if isinstance(found, Entry)]
    assert "b" not in names
    assert not any(isinstance(found, list) for found in decoded)
