"""The cache: Open Model Zoo's layout, proven entries, and a failing cache that fails nothing."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import modelzoo
import pytest
from modelzoo.events import Event, ModelFileDownloadEnd, Notice, Report
from modelzoo.files import partial

from tests.conftest import require
from tests.processes import Downloader
from tests.servers import faulty as f
from tests.servers.faulty import FaultyServer
from tests.zoo import add_model, content, file_entry, model_config, tree

DATA = content("cached", 200_000)
SHA256, SHA384 = hashlib.sha256(DATA).hexdigest(), hashlib.sha384(DATA).hexdigest()


class Place:
    """A catalog of models with one and the same file, a cache, and a server."""

    def __init__(self, root: Path, server: FaultyServer) -> None:
        self.root, self.server = root, server
        self.cache, self.zoo = root / "cache", root / "zoo"
        self.entry = self.cache / "1" / SHA384[:2] / SHA384[2:]
        self.staging = self.cache / "1" / "staging"
        self.add("m", f.serve(DATA))

    def add(self, name: str, step: f.Step, **checksum: Any) -> None:
        """Add a model; `checksum` replaces the SHA-384 of its entry."""
        self.server.add(f"/{name}.bin", step)
        entry = file_entry("model.bin", DATA, f"{self.server.url}/{name}.bin") | checksum
        add_model(self.zoo, name, model_config([{k: v for k, v in entry.items() if v is not None}]))

    def download(self, *models: str, out: str = "out", **options: Any) -> list[Event]:
        """Download models (else `m`), which must succeed; returns the events of this run."""
        events: list[Event] = []
        options = {"report": events.append, **options}
        modelzoo.download(
            models or "m", self.root / out, sources=[self.zoo], cache_dir=self.cache, **options
        )
        for model in models or "m":
            assert (self.root / out / model / "model.bin").read_bytes() == DATA
        return events


@pytest.fixture
def place(tmp_path: Path, faulty: FaultyServer) -> Place:
    return Place(tmp_path, faulty)


def notices(events: list[Event]) -> str:
    return "\n".join(event.message for event in events if isinstance(event, Notice))


def origins(events: list[Event]) -> list[str | None]:
    return [event.origin for event in events if isinstance(event, ModelFileDownloadEnd)]


SPELLINGS: list[tuple[dict[str, Any], str]] = [
    ({"checksum": None, "sha256": SHA256}, SHA256),
    ({"checksum": None, "sha256": SHA256.upper()}, SHA256),
    ({"checksum": SHA384}, SHA384),
    ({"checksum": SHA384.upper()}, SHA384),
    ({"checksum": {"$type": "sha256", "value": SHA256.upper()}}, SHA256),
]


@pytest.mark.parametrize(("checksum", "digest"), SPELLINGS)
def test_layout(place: Place, checksum: dict[str, Any], digest: str) -> None:
    place.add("x", f.serve(DATA), **checksum)
    assert origins(place.download("x")) == ["network"]
    top = f"1/{digest[:2]}"
    folders = dict.fromkeys(["1", "1/staging", top], "folder")
    assert tree(place.cache) == folders | {f"{top}/{digest[2:]}": DATA}


@pytest.mark.parametrize(("checksum", "digest"), SPELLINGS)
@pytest.mark.parametrize("offline", [False, True])
def test_entries_of_other_tools_are_used(
    place: Place, checksum: dict[str, Any], digest: str, offline: bool
) -> None:
    place.add("x", f.status(404), **checksum)
    entry = place.cache / "1" / digest[:2] / digest[2:]
    entry.parent.mkdir(parents=True)
    entry.write_bytes(DATA)
    entry.chmod(0o444)
    before = tree(place.cache)
    assert origins(place.download("x", offline=offline)) == ["cache"]
    assert place.server.requests == []
    assert tree(place.cache) == before


def _folder(entry: Path) -> None:
    (entry / "below").mkdir(parents=True)
    (entry / "below" / "x").write_bytes(b"x")


BROKEN: dict[str, Callable[[Path], object]] = {
    "short": lambda entry: entry.write_bytes(DATA[:-1]),
    "short and wrong": lambda entry: entry.write_bytes(b"x" + DATA[1:-9]),
    "long": lambda entry: entry.write_bytes(DATA + b"x"),
    "empty": lambda entry: entry.write_bytes(b""),
    "wrong bytes": lambda entry: entry.write_bytes(DATA[:-1] + b"x"),
    "empty folder": lambda entry: entry.mkdir(),
    "folder": _folder,
}


@pytest.mark.parametrize("spoil", BROKEN.values(), ids=BROKEN)
def test_broken_entries_are_reported_and_replaced(
    place: Place, spoil: Callable[[Path], object]
) -> None:
    place.entry.parent.mkdir(parents=True)
    spoil(place.entry)
    events = place.download()
    assert origins(events) == ["network"]
    assert notices(events).count("the cache's copy of model.bin ") == 1
    assert place.entry.read_bytes() == DATA
    assert list(place.staging.iterdir()) == []
    assert origins(place.download(out="again")) == ["cache"]


ODD: dict[str, Callable[[Path], object]] = {
    "dangling link": lambda entry: entry.symlink_to(entry.parent / "nowhere"),
    "pipe": lambda entry: os.mkfifo(entry),
}


@pytest.mark.parametrize("plant", ODD.values(), ids=ODD)
def test_what_is_no_entry_is_replaced(place: Place, plant: Callable[[Path], object]) -> None:
    place.entry.parent.mkdir(parents=True)
    plant(place.entry)
    assert origins(place.download()) == ["network"]
    assert not place.entry.is_symlink()
    assert place.entry.read_bytes() == DATA


@pytest.mark.parametrize("where", ["", "1", "1/staging", f"1/{SHA384[:2]}"])
def test_a_file_in_the_way(place: Place, where: str) -> None:
    blocked = place.cache / where
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_bytes(b"in the way")
    events = place.download()
    assert origins(events) == ["network"]
    assert "the cache cannot be used" in notices(events) or "the cache was not filled" in notices(
        events
    )
    assert blocked.read_bytes() == b"in the way"
    assert not place.staging.is_dir() or not list(place.staging.iterdir())


@pytest.fixture
def frozen(place: Place) -> Iterator[Callable[[], None]]:
    """A function that makes the cache read-only; root needs a mount for that."""

    def freeze() -> None:
        if os.geteuid() != 0:
            for path in [place.cache, *place.cache.rglob("*")]:
                path.chmod(path.stat().st_mode & ~0o222)
            return
        failed = subprocess.call(["mount", "--bind", place.cache, place.cache])
        require(not failed, "the right to mount")
        subprocess.check_call(["mount", "-o", "remount,bind,ro", place.cache])

    yield freeze
    if os.geteuid() == 0:
        subprocess.call(["umount", "--lazy", place.cache], stderr=subprocess.DEVNULL)
    else:
        for path in [place.cache, *place.cache.rglob("*")]:
            path.chmod(0o700)


@pytest.mark.parametrize(
    ("entry", "origin", "notice"),
    [
        (DATA, "cache", ""),
        (b"broken", "network", "is broken and was removed"),
        (None, "network", "the cache cannot be used"),
    ],
)
def test_read_only_cache(
    place: Place, frozen: Callable[[], None], entry: bytes | None, origin: str, notice: str
) -> None:
    place.entry.parent.mkdir(parents=True)
    if entry is not None:
        place.entry.write_bytes(entry)
    frozen()
    before = tree(place.cache)
    events = place.download()
    assert origins(events) == [origin]
    assert notice in notices(events)
    assert tree(place.cache) == before


def test_unreadable_entry(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.entry.parent.mkdir(parents=True)
    place.entry.write_bytes(DATA)
    original = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == place.entry:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return original(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    events = place.download()
    assert origins(events) == ["network"]
    assert notices(events).count("cannot be read: Permission denied") == 1
    monkeypatch.undo()
    assert place.entry.read_bytes() == DATA


def test_full_cache(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    original = partial.copy_range

    def copy(source: int, target: int, offset: int) -> int:
        if not os.readlink(f"/proc/self/fd/{target}").startswith(str(place.cache)):
            return original(source, target, offset)
        if offset:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(target, bytes(1000))

    monkeypatch.setattr(partial, "copy_range", copy)
    events = place.download()
    assert origins(events) == ["network"]
    assert "the cache was not filled" in notices(events)
    assert "the disk is full" in notices(events)
    assert list(place.staging.iterdir()) == []
    assert not place.entry.exists()


def test_a_cache_that_fails_is_told_of_once(place: Place) -> None:
    place.cache.mkdir()
    (place.cache / "1").write_bytes(b"")
    for name in "abc":
        place.add(name, f.serve(DATA))
    events = place.download("a", "b", "c")
    assert sum(isinstance(event, Notice) for event in events) == 1


@pytest.mark.parametrize("left", [b"half", DATA + b"more", DATA])
def test_left_over_of_a_killed_process(place: Place, left: bytes) -> None:
    place.staging.mkdir(parents=True)
    (place.staging / f"{SHA384}.download").write_bytes(left)
    (place.staging / "tmp_of_other_tools").write_bytes(b"not ours")
    assert origins(place.download()) == ["network"]
    assert place.entry.read_bytes() == DATA
    assert [path.name for path in place.staging.iterdir()] == ["tmp_of_other_tools"]


def when_another_waits(waiting: threading.Event) -> Report:
    def report(event: Event) -> None:
        if isinstance(event, Notice) and "somebody else is fetching" in event.message:
            waiting.set()

    return report


def test_two_threads_fetch_once(place: Place) -> None:
    """Two runs of one program, with one cache."""
    waiting = threading.Event()
    place.server.add("/m.bin", f.hold_after(f.serve(DATA), 1000, waiting), f.status(500))
    with ThreadPoolExecutor() as pool:
        report = when_another_waits(waiting)
        runs = [pool.submit(place.download, out=out, report=report) for out in ("a", "b")]
        for done in runs:
            done.result(timeout=30)
    assert len(place.server.requests) == 1


def test_two_processes_fetch_once(place: Place) -> None:
    waiting = threading.Event()
    place.server.add("/m.bin", f.hold_after(f.serve(DATA), 1000, waiting), f.status(500))
    options = ["--source", place.zoo, "--cache_dir", place.cache, "--output_dir"]
    with Downloader(*options, place.root / "a") as first:
        place.server.wait_for(1)
        with Downloader(*options, place.root / "b") as second:
            assert second.process.stderr is not None
            assert (
                b"waiting for model.bin, which somebody else is fetching"
                in second.process.stderr.readline()
            )
            waiting.set()
            assert second.until("run_end")[-1]["bytes_cache"] == len(DATA)
            assert first.until("run_end")[-1]["bytes_network"] == len(DATA)
            assert (first.wait(), second.wait()) == (0, 0)
    assert len(place.server.requests) == 1
    assert (place.root / "b" / "m" / "model.bin").read_bytes() == DATA


def test_whoever_waited_fetches_when_the_first_one_failed(place: Place) -> None:
    waiting = threading.Event()
    place.add("bad", f.pause_before(f.status(404), waiting))
    with ThreadPoolExecutor() as pool:
        first = pool.submit(place.download, "bad", out="a")
        place.server.wait_for(1)
        place.download("m", out="b", report=when_another_waits(waiting))
        with pytest.raises(modelzoo.DownloadFailed, match="404"):
            first.result(timeout=30)
    assert place.entry.read_bytes() == DATA


def test_one_file_of_two_models_is_fetched_once(place: Place) -> None:
    place.add("other", f.status(500))
    assert sorted(map(str, origins(place.download("m", "other")))) == ["cache", "network"]
