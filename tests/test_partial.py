"""Files in flight: one holder at a time, bytes that can be gone on with, and nobody else's files."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from modelzoo.checksum import Checksum
from modelzoo.errors import StorageError
from modelzoo.files.claiming import claim, partial_size
from modelzoo.files.partial import NOTES_EVERY, WORTH_RESUMING, Partial, Provenance

from tests.zoo import content, tree

SOURCE = Provenance("https://example.com/x", '"v1"')
BIG = content("big", WORTH_RESUMING + 10)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "new" / "folder" / "x.bin"


@pytest.fixture
def flight(target: Path) -> Path:
    return target.with_name("x.bin.download")


def taken(target: Path) -> Partial:
    partial = claim(target)
    assert partial is not None
    return partial


def sha256(data: bytes) -> Checksum:
    return Checksum("sha256", hashlib.sha256(data).hexdigest())


def test_finish_leaves_one_file(target: Path) -> None:
    with taken(target) as partial:
        partial.begin(0, SOURCE, "sha384")
        partial.write(BIG[:9])
        partial.write(BIG[9:])
        assert (partial.size, partial.head()) == (len(BIG), BIG[:512])
        assert partial.checksum().value == hashlib.sha384(BIG).hexdigest()
        stat = partial.finish()
    assert tree(target.parent) == {"x.bin": BIG}
    assert (stat.st_size, stat.st_mtime_ns) == (len(BIG), target.stat().st_mtime_ns)
    assert target.stat().st_mode & 0o111 == 0


def test_nothing_written_leaves_nothing(target: Path) -> None:
    with taken(target):
        assert partial_size(target) == 0
    with taken(target) as partial:
        partial.begin(0, SOURCE, "sha256")
    assert tree(target.parent) == {}


@pytest.mark.parametrize("where", ["x.bin.download", "x.bin.download.json"])
@pytest.mark.parametrize("victim", ["precious", "not there"])
def test_planted_links_are_not_followed(tmp_path: Path, target: Path, where: str, victim: str) -> None:
    (tmp_path / "precious").write_bytes(b'{"url": "https://example.com/planted"}')
    target.parent.mkdir(parents=True)
    target.with_name(where).symlink_to(tmp_path / victim)
    if where.endswith(".json"):
        target.with_name("x.bin.download").write_bytes(b"some")
        with taken(target) as partial:
            assert partial.provenance is None
            partial.begin(0, SOURCE, "sha256")
            partial.write(BIG)
    else:
        with pytest.raises(StorageError, match=r"x\.bin\.download"):
            claim(target)
    assert (tmp_path / "precious").read_bytes() == b'{"url": "https://example.com/planted"}'
    assert not (tmp_path / "not there").exists()


@pytest.mark.parametrize("plant", [Path.mkdir, os.mkfifo])
def test_other_things_in_its_place(target: Path, flight: Path, plant: Callable[[Path], None]) -> None:
    flight.parent.mkdir(parents=True)
    plant(flight)
    with pytest.raises(StorageError, match=r"x\.bin\.download"), taken(target) as partial:
        partial.begin(0, SOURCE, "sha256")


def test_how_much_of_a_file_with_gaps_is_not_on_record(target: Path, flight: Path) -> None:
    chunk = bytes(NOTES_EVERY)
    with taken(target) as partial:
        partial.begin(0, SOURCE, "sha256")
        for number in range(2, 6):
            partial.write(chunk, number * len(chunk))
            notes = json.loads(Path(f"{flight}.json").read_bytes())
            noted = sum(stop - start for start, stop in notes["ranges"])
            assert partial.received - noted <= NOTES_EVERY


def test_one_thread_holds_it(target: Path) -> None:
    """Of many threads that work on one file again and again, never two at a time."""
    inside, most = 0, 0
    lock = threading.Lock()

    def work() -> int:
        nonlocal inside, most
        claimed = 0
        while claimed < 30:
            if (partial := claim(target)) is None:
                continue
            claimed += 1
            with partial:
                with lock:
                    inside, most = inside + 1, max(most, inside + 1)
                partial.begin(0, SOURCE, "sha256")
                partial.write(bytes(1 + claimed % 3))
                with lock:
                    inside -= 1
                partial.finish() if claimed % 3 else partial.discard()
        return claimed

    with ThreadPoolExecutor(4) as pool:
        assert [job.result(60) for job in [pool.submit(work) for _ in range(4)]] == [30] * 4
    assert most == 1
    assert list(tree(target.parent)) == ["x.bin"]


HOLDER = """
import sys
from pathlib import Path
from modelzoo.files.claiming import claim
from modelzoo.files.partial import Provenance
partial = claim(Path(sys.argv[1]))
partial.begin(0, Provenance("u", "v"), "sha256")
partial.write(b"by another process")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_killed_holder_frees_it(target: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert claim(target) is None
        assert partial_size(target) == 18
        holder.kill()
    with taken(target) as partial:
        assert (partial.size, partial.inherited) == (18, True)


@pytest.mark.parametrize("end", [Partial.discard, Partial.finish])
def test_ending_twice_spares_the_next_holder(target: Path, end: Callable[[Partial], object]) -> None:
    """Once it has ended, the names in flight belong to whoever came next."""
    first = taken(target)
    with first:
        first.begin(0, SOURCE, "sha256")
        first.write(BIG)
        end(first)
        second = taken(target)
        with second:
            second.begin(0, SOURCE, "sha256")
            second.write(BIG + b"2")
            before = tree(target.parent)
            assert "x.bin.download.json" in before
            first.discard()
            first.__exit__(None, None, None)
            assert tree(target.parent) == before
            second.finish()
    assert tree(target.parent) == {"x.bin": BIG + b"2"}


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_folders_without_locks(target: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each holder has a name of its own, the last rename decides, and nothing is left."""

    def refuse(handle: int) -> bool:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("modelzoo.files.claiming.lock", refuse)
    with taken(target) as first, taken(target) as second, taken(target) as third:
        assert len({first.path, second.path, third.path}) == 3
        for partial, data in ((first, BIG), (second, BIG * 2), (third, BIG * 3)):
            assert (partial.size, partial.provenance) == (0, None)
            partial.begin(0, SOURCE, "sha256")
            partial.write(data)
            assert partial.checksum() == sha256(data)
        second.finish()
        first.finish()
        assert list(tree(target.parent)) == sorted(["x.bin", third.path.name])
    assert tree(target.parent) == {"x.bin": BIG}


def test_without_locks_the_file_of_a_lock_holder_stays(
    target: Path, flight: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with taken(target) as holder:  # a process for which locks work
        holder.begin(0, SOURCE, "sha256")
        with monkeypatch.context() as patch:
            patch.setattr("modelzoo.files.claiming.lock", lambda _: os.close(-1))
            with taken(target) as alone:
                alone.begin(0, SOURCE, "sha256")
        assert flight.exists()
        holder.write(b"x")
        holder.finish()
    assert tree(target.parent) == {"x.bin": b"x"}
