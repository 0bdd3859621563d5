"""The cache on a file system that can share blocks: a real XFS, which only root can make and mount."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import modelzoo
import pytest
from modelzoo.events import Event
from modelzoo.files import partial
from modelzoo.files.hashing import FileHasher

from tests.conftest import require
from tests.servers.faulty import FaultyServer
from tests.test_cache import DATA, Place, notices, origins
from tests.zoo import add_local_model, content

BIG = content("big", 20 << 20)


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("xfs")
    mkfs = shutil.which("mkfs.xfs", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    require(mkfs, "mkfs.xfs")
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    image, place = folder / "image", folder / "volume"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(512 << 20)
    subprocess.run([str(mkfs), "-q", "-m", "reflink=1", image], check=True)
    mounted = subprocess.call(["mount", "-o", "loop", image, place])
    require(not mounted, "the right to mount an XFS")
    yield place
    subprocess.check_call(["umount", place])


class Shared(Place):
    """A place on that file system, where it is seen whether a file was hashed."""

    hashed = 0

    def hits(self, out: str) -> tuple[list[str | None], bool]:
        """Where the file came from, and whether it was hashed on the way."""
        before = self.hashed
        found = origins(self.download(out=out))
        return found, self.hashed > before


@pytest.fixture
def place(
    volume: Path, tmp_path: Path, faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shared]:
    root = volume / tmp_path.name
    root.mkdir()
    place = Shared(root, faulty)

    def counted(*arguments: Any) -> FileHasher:
        place.hashed += 1
        return FileHasher(*arguments)

    monkeypatch.setattr(partial, "FileHasher", counted)
    yield place
    shutil.rmtree(root)


def test_an_entry_of_others_is_hashed_once(place: Shared) -> None:
    place.entry.parent.mkdir(parents=True)
    place.entry.write_bytes(DATA)
    assert place.hits("a") == (["cache"], True)
    assert place.hits("b") == (["cache"], False)
    (place.root / "a" / "m" / "model.bin").write_bytes(b"edited")
    assert place.hits("c") == (["cache"], False)
    assert place.server.requests == []


def test_what_was_just_downloaded_needs_no_second_proof(place: Shared) -> None:
    assert place.hits("a") == (["network"], True)
    assert place.hits("b") == (["cache"], False)


def test_a_changed_entry_is_hashed(place: Shared) -> None:
    """Its time may have been set back: the other time tells."""
    place.download(out="a")
    looked = place.entry.stat()
    place.entry.write_bytes(DATA[::-1])
    os.utime(place.entry, ns=(looked.st_atime_ns, looked.st_mtime_ns))
    events = place.download(out="b")
    assert origins(events) == ["network"]
    assert "is broken and was removed" in notices(events)
    assert place.hits("c") == (["cache"], False)


def test_what_is_in_flight_is_replaced_whole(place: Shared) -> None:
    place.download(out="a")
    begun = place.root / "b" / "m" / "model.bin.download"
    begun.parent.mkdir(parents=True)
    begun.write_bytes(b"x" * (len(DATA) + 5))
    assert place.hits("b") == (["cache"], False)
    assert not begun.exists()


def test_blocks_are_shared(place: Shared) -> None:
    """Neither the cache nor the output needs room beside the first copy."""
    shutil.rmtree(place.zoo)
    add_local_model(place.zoo, "big", {"model.bin": BIG})
    before = shutil.disk_usage(place.root).free
    for out in ("a", "b", "c"):
        events: list[Event] = []
        modelzoo.download(
            "big", place.root / out, sources=[place.zoo], cache_dir=place.cache, report=events.append
        )
        data = (place.root / out / "big" / "model.bin").read_bytes()
        assert hashlib.sha256(data).digest() == hashlib.sha256(BIG).digest()
    assert origins(events) == ["cache"]
    assert before - shutil.disk_usage(place.root).free < 1.5 * len(BIG)
