"""The index as a file: when it is believed, and what may happen to it."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import modelzoo.catalog
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelzoo.catalog import Source, builder, choose, index, omz, stamps
from modelzoo.catalog.omz import config as omz_config
from modelzoo.errors import CatalogError
from modelzoo.selection import Filters

from tests.index import ALL, NAMES, Later, ask, ask_without, folder, only_file, plant
from tests.omz import config
from tests.zoo import add_model

NAMED = Filters(patterns=("a",))
DOUBT = '{}/public/b/model.yml: model "b": "task_type": unknown value "mind_reading"'


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of this test were written some time ago."""
    monkeypatch.setattr(builder, "time", Later)


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    return plant(tmp_path / "zoo")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Tells the models whose config files have been read since it was last asked."""
    names: list[str] = []
    real = omz_config.read_yaml

    def spy(path: Any, name: str, model: str = "") -> Any:
        names.append(model)
        return real(path, name, model)

    def since() -> str:
        found = " ".join(names)
        names.clear()
        return found

    monkeypatch.setattr(omz_config, "read_yaml", spy)
    return since


@pytest.mark.usefixtures("old")
def test_only_what_has_changed_is_read(zoo: Path, read: Callable[[], str]) -> None:
    ask(zoo)
    assert read() == " ".join(NAMES)
    for filters in (ALL, NAMED, Filters(tags=("x",)), Filters(patterns=("c", "b")), None):
        choose([Source("zoo", zoo)], filters, lambda text: None)
        assert read() == ""
    add_model(zoo, "public/b", config(description="Another."))
    assert ask(zoo, NAMED)[0] == ask_without(zoo, NAMED)[0]
    read()
    ask(zoo)
    assert read() == "b"
    add_model(zoo, "public/e", config())
    ask(zoo, NAMED)
    assert read() == "e"
    ask(zoo)
    assert read() == ""


def test_young_files_are_read_again(zoo: Path, read: Callable[[], str]) -> None:
    for _ in range(2):
        ask(zoo)
        assert read() == " ".join(NAMES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "time", Later)
        ask(zoo)
        assert read() == " ".join(NAMES)
    ask(zoo)
    assert read() == ""


@pytest.mark.parametrize(
    ("mtime", "ctime", "trusted"),
    [
        (50, 50, True),
        (97, 97, True),
        (98, 50, False),
        (50, 98, False),
        (100, 100, False),
        (200, 50, False),
        (-5, 50, True),
    ],
)
def test_when_a_time_is_old_enough(mtime: int, ctime: int, trusted: bool) -> None:
    looked = stamps._STAMP.pack(mtime * 10**9, ctime * 10**9, 2**63 + 1, 10)
    assert stamps.settled(looked, 100 * 10**9) == (looked if trusted else b"")
    assert stamps.settled(stamps.stamp("/nothing/there"), 100 * 10**9) == b""


def test_a_file_system_with_coarse_times(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two edits within one tick leave the same time and size; neither is missed."""

    def coarse(path: str | bytes) -> bytes:
        found = os.stat(path)
        return stamps._STAMP.pack(found.st_mtime_ns // (2 * 10**9) * 2 * 10**9, 0, 0, found.st_size)

    monkeypatch.setattr(index, "stamp", coarse)
    monkeypatch.setattr(omz, "stamp", coarse)
    for number in range(5):
        add_model(zoo, "public/a", config(description=f"Text {number}."))
        for filters in (ALL, NAMED):
            models = ask(zoo, filters)[0]
            assert isinstance(models, list)
            assert models[0].description == f"Text {number}."


@pytest.mark.usefixtures("old")
@pytest.mark.parametrize("filters", [ALL, NAMED, Filters(patterns=("c-*",)), None], ids=str)
def test_warnings_are_repeated(zoo: Path, filters: Filters | None) -> None:
    for _ in range(3):
        told: list[str] = []
        choose([Source("zoo", zoo)], filters, told.append)
        assert told == [DOUBT.format(zoo)]


@pytest.mark.usefixtures("old")
def test_a_tree_that_is_moved(zoo: Path, tmp_path: Path) -> None:
    ask(zoo)
    moved = zoo.rename(tmp_path / "moved")
    assert ask(zoo)[0] is CatalogError
    assert ask(moved) == ask_without(moved)
    (tmp_path / "zoo").symlink_to("moved")
    assert ask(tmp_path / "zoo") == ask(moved)
    other = plant(tmp_path / "other")
    add_model(other, "public/a", config(description="Another."))
    (tmp_path / "zoo").unlink()
    other.rename(zoo)
    assert ask(zoo) == ask_without(zoo)


@pytest.mark.usefixtures("old")
def test_the_same_name_in_two_sources(zoo: Path, tmp_path: Path) -> None:
    other = plant(tmp_path / "other")
    sources = [Source("zoo", zoo), Source("other", other)]
    named = Filters(patterns=("zoo:a",))
    for _ in range(2):
        assert choose(sources, named, lambda text: None).ids == ["zoo:a"]
        assert choose(sources, None, lambda text: None).ids[:2] == ["zoo:a", "zoo:b"]
    (other / "public/a/model.yml").unlink()
    (model,) = choose(sources, named, lambda text: None).models()
    assert (model.id, model.source) == ("a", "zoo")


@pytest.mark.usefixtures("old")
def test_damage(zoo: Path) -> None:
    """Whatever bytes are there, the answer is right, and the next index is."""
    expected = ask(zoo), ask(zoo, NAMED)
    path, good = only_file(), only_file().read_bytes()
    places = st.integers(0, len(good) - 1)

    @given(places, st.binary(max_size=40), st.integers(0, 40) | places, st.booleans())
    @settings(max_examples=80, deadline=None)
    def check(place: int, data: bytes, gone: int, cut: bool) -> None:
        path.write_bytes(good[:place] + data + (b"" if cut else good[place + gone :]))
        assert (ask(zoo, NAMED), ask(zoo)) == (expected[1], expected[0])
        ask(zoo)
        assert path.read_bytes() == good

    check()


def with_directory(data: bytes) -> bytes:
    return data + index._END.pack(0, len(data), zlib.crc32(data), index._MAGIC)


def forged(zoo: Path) -> bytes:
    """An index with the right key that places models beyond the file, and before it."""
    key, _ = index.locate(zoo, "zoo", *modelzoo.catalog._READERS) or (b"", Path())
    with only_file().open("rb") as file:
        kept = index._read_directory(file)
    found = index.Directory(kept.key, kept.shape, kept.entries)
    places = [(-5, 2**62, 1), (2**62, 5, 1), (0, -1, 1), (2**63, 2**63, 0), (0, 3, 7)]
    found.entries = [
        msgspec.structs.replace(entry, place=place)
        for entry, place in zip(found.entries, places, strict=True)
    ]
    assert found.key == key
    return index.directory_bytes(found, 0)


HOSTILE: list[bytes | Callable[[Path], bytes]] = [
    b"",
    b"\0" * 100,
    os.urandom(5000),
    index._END.pack(2**63, 2**63, 0, index._MAGIC),
    index._END.pack(0, 0, 0, index._MAGIC),
    with_directory(b""),
    with_directory(b"\x91" * 500_000),
    with_directory(b"\x93\xc4\x00\x90\xdd\xff\xff\xff\xff"),
    with_directory(b"\x93\xc6\xff\xff\xff\xff"),
    with_directory(b"\x93\xc4\x00\x90\x90"),
    with_directory(b"\x93\xc4\x00\x90\x91\xa4\xff\xff\xff\xff"),
    forged,
]


@pytest.mark.usefixtures("old")
@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_files(zoo: Path, data: bytes | Callable[[Path], bytes]) -> None:
    expected = ask(zoo)
    path, good = only_file(), only_file().read_bytes()
    bad = data if isinstance(data, bytes) else data(zoo)
    path.write_bytes(bad)
    assert ask(zoo, NAMED)[0] == expected[0][:1]
    path.write_bytes(bad)
    assert ask(zoo) == expected
    ask(zoo)
    assert path.read_bytes() == good


@pytest.mark.usefixtures("old")
@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "loop", "nowhere", "text", "others"])
def test_other_things_in_its_place(zoo: Path, kind: str) -> None:
    expected = ask(zoo)
    path = only_file()
    if kind == "others":
        if os.geteuid():
            pytest.skip("only root can give files away")
        os.chown(path, 65534, 65534)
    else:
        path.unlink()
        match kind:
            case "folder":
                path.mkdir()
            case "pipe":
                os.mkfifo(path)
            case "text":
                path.write_text("not an index")
            case _:
                path.symlink_to({"device": "/dev/zero", "loop": path, "nowhere": "/no/where"}[kind])
    for filters in (NAMED, ALL, ALL):
        assert ask(zoo, filters)[1] == expected[1]
        assert ask(zoo, filters) == ask_without(zoo, filters)
    assert path.is_dir() == (kind == "folder")
    assert kind == "folder" or path.stat().st_uid == os.geteuid()
    assert len(list(folder().iterdir())) == 1


@pytest.mark.usefixtures("old")
def test_what_a_killed_process_left_is_in_nobodys_way(zoo: Path) -> None:
    """In containers a process often has the number that its killed predecessor had."""
    ask(zoo)
    path = only_file()
    path.rename(f"{path}.{os.getpid()}")
    ask(zoo)
    assert path.is_file()


@pytest.mark.usefixtures("old")
def test_the_file_changes_while_models_are_read(zoo: Path) -> None:
    expected = ask(zoo)[0]
    for act in (Path.unlink, lambda path: path.write_bytes(path.read_bytes()[::-1])):
        ask(zoo)
        choice = choose([Source("zoo", zoo)], ALL, lambda text: None)
        act(only_file())
        assert list(choice.models()) == expected
