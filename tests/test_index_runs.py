"""The index in real runs: where it lies, who may read it, what is not in it, and many at a time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import modelzoo.catalog
import platformdirs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelzoo.catalog import Source, builder, choose
from modelzoo.errors import SelectionError
from modelzoo.selection import Filters
from modelzoo.user_folders import INDEX_VARIABLE, index_folder

from tests.conftest import TOOLS, tool
from tests.index import ALL, Later, ask, ask_without, folder, only_file, plant
from tests.omz import config, with_file
from tests.zoo import add_model

NAMED = Filters(patterns=("a",))
OFF = {INDEX_VARIABLE: "off"}


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    return plant(tmp_path / "zoo")


@pytest.mark.parametrize("value", ["off", "0", "no", "false", "OFF", " False "])
def test_switched_off(zoo: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    expected = ask_without(zoo)
    monkeypatch.setenv(INDEX_VARIABLE, value)
    assert ask(zoo) == expected
    assert not folder().exists()
    monkeypatch.setenv(INDEX_VARIABLE, "on")
    assert ask(zoo) == expected
    assert only_file().stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("home", ["file", "file/below", "/proc/none", "/dev/null", "loop", "x" * 300])
def test_a_cache_folder_that_cannot_be_written(
    zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / home))
    before = sorted(tmp_path.iterdir())
    for filters in (ALL, NAMED, ALL):
        assert ask(zoo, filters) == ask_without(zoo, filters)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("cache", [None, "", "/somewhere/else", "relative"])
@pytest.mark.parametrize("home", [None, "", "/home/somebody", "relative"])
def test_where_platformdirs_says(
    monkeypatch: pytest.MonkeyPatch, cache: str | None, home: str | None
) -> None:
    for name, value in (("XDG_CACHE_HOME", cache), ("HOME", home)):
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value)
    expected = platformdirs.user_cache_path("modelzoo", appauthor=False) / "catalogs"
    assert index_folder("catalogs") == expected


def test_a_disk_without_room(zoo: Path) -> None:
    """Files may have 2000 bytes here: there is no index, nothing else is missing, nothing is left."""
    for number in range(30):
        add_model(zoo, f"more/m-{number}", config(description="long " * 200))
    expected = tool("info_dumper", "--all", "--source", zoo, environ=OFF)
    limited = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    script = str(TOOLS / "info_dumper.py")
    command = [sys.executable, "-c", limited, script, "--all", "--source", str(zoo)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, expected.stdout, expected.stderr)
    assert list(folder().iterdir()) == []


def test_old_indexes_are_removed(zoo: Path) -> None:
    folder().mkdir(parents=True)
    names = ("0-1.index", "0-2.index.77", "young.index")
    for name in names:
        (folder() / name).touch()
    for name in names[:2]:
        os.utime(folder() / name, (0, 0))
    ask(zoo)
    (mine,) = {path.name for path in folder().iterdir()} - {"young.index"}
    assert mine not in names


@pytest.mark.parametrize(
    "url",
    [
        "https://user:pass-word@example.com/m",
        "https://example.com/m?token=pass-word",
        "m?key=pass-word",
    ],
)
def test_secrets_are_not_kept(zoo: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(builder, "time", Later)
    add_model(zoo, "public/a", with_file(source=url))
    for filters in (ALL, NAMED, ALL):
        models = ask(zoo, filters)[0]
        assert isinstance(models, list)
        assert models[0].files[0].origins[0].written == url
    assert b"pass-word" not in only_file().read_bytes()
    assert b"public/a/model.yml" in only_file().read_bytes()


SCALARS = st.none() | st.booleans() | st.integers() | st.integers(2**63, 2**65) | st.floats()
ANYTHING = st.recursive(
    SCALARS | st.text("aé\x7f\n😀"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("ab") | st.integers() | st.booleans() | st.none(), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(ANYTHING)
@settings(max_examples=60, deadline=None)
def test_values_of_any_kind_come_back(value: Any) -> None:
    with tempfile.TemporaryDirectory() as home, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", f"{home}/cache")
        patch.setattr(builder, "time", Later)
        root = Path(home, "zoo").resolve()
        add_model(root, "m", config(model_info={"value": value}))
        expected = repr(ask_without(root))
        assert repr(ask(root)) == repr(ask(root)) == expected


def test_several_processes_make_it_at_once(tmp_path: Path) -> None:
    for number in range(60):
        add_model(tmp_path / "zoo", f"m-{number:02}", config(description=f"Model {number}."))
    arguments = ["--source", str(tmp_path / "zoo")]
    questions = ["--all", "--name=m-07", "--print_all"]
    expected = [tool("info_dumper", *arguments, q, environ=OFF).stdout for q in questions]
    command = [sys.executable, str(TOOLS / "info_dumper.py"), *arguments]
    runs = [
        subprocess.Popen([*command, q], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for q in questions * 2
    ]
    outputs = [run.communicate(timeout=60)[0] for run in runs]
    assert outputs == expected * 2
    assert only_file().suffix == ".index"


def test_readers_beside_a_writer(zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer is one that the tree had: the text before an edit, or after it."""
    monkeypatch.setattr(builder, "time", Later)
    add_model(zoo, "public/a", config(description="0"))
    written, done, problems = [0], threading.Event(), []

    def read() -> None:
        while not done.is_set():
            before = written[0]
            (model,) = choose([Source("zoo", zoo)], NAMED, lambda text: None).models()
            if not before <= int(model.description) <= written[0] + 1:
                problems.append((before, model.description, written[0]))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(1, 60):
        new = add_model(tmp_path, "new", config(description=str(number))) / "model.yml"
        new.replace(zoo / "public/a/model.yml")
        written[0] = number
        ask(zoo)
    done.set()
    for reader in readers:
        reader.join()
    assert problems == []


@contextmanager
def as_nobody() -> Iterator[None]:
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_tree_that_cannot_be_read_as_a_whole_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may read a folder can change without a trace, by another user or a mount."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name).resolve()
        home.chmod(0o755)
        (home / "cache").mkdir()
        (home / "cache").chmod(0o777)
        monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        closed = plant(home / "zoo") / "public/b"
        closed.chmod(0)
        with as_nobody():
            assert ask(home / "zoo")[1] == [f"{closed}: cannot be read: Permission denied"]
            assert not folder().exists()
        closed.chmod(0o755)
        with as_nobody():
            assert ask(home / "zoo") == ask_without(home / "zoo")
            assert only_file().is_file()


def test_a_format_without_an_index(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = ask_without(zoo)[0]
    assert isinstance(expected, list)
    other = SimpleNamespace(
        FORMAT="Other", recognises=lambda path: True, load=lambda path, source, warn: expected
    )
    monkeypatch.setattr(modelzoo.catalog.source, "formats", lambda: [other])
    assert ask(zoo) == (expected, [])
    assert ask(zoo, NAMED) == (expected[:1], [])
    assert ask(zoo, Filters(patterns=("x",)))[0] is SelectionError
    assert not folder().exists()


def test_a_warm_run_imports_little() -> None:
    """The files of the built-in catalog have been there for a while."""
    commands = (["--name", "aclnet"], ["--all"], ["--print_all", "--task", "detection"])
    expected = [tool("info_dumper", *command).stdout for command in commands]
    for command, output in zip(commands, expected, strict=True):
        done = tool("info_dumper", *command, environ={"PYTHONPROFILEIMPORTTIME": "1"})
        modules = set(re.findall(r"^import time:.*\|\s*([\w.]+)$", done.stderr, re.M))
        assert done.stdout == output
        assert {"msgspec", "common.catalog.index"} <= modules  # the list is read rightly
        assert not modules & {"yaml", "requests", "rich", "hashlib", "shutil", "difflib", "pkgutil"}
        assert not modules & {"platformdirs", "common.catalog.omz.config", "common.credentials"}
