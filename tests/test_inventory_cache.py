"""Looking after caches: what they hold, broken entries, what can go, and runs that go on meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
import time
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path

import modelzoo
import pytest
from modelzoo.cache.contents import AGES, DAY
from modelzoo.cache.entries import Cache
from modelzoo.checksum import LENGTHS, Checksum, new_hasher
from modelzoo.commands.installed import byte_size, duration
from modelzoo.errors import StorageError, UsageError
from modelzoo.events import Event, VerifyEnd

from tests.conftest import tool
from tests.zoo import add_local_model, content, tree

DATA = [content(str(number), 1000 * (number + 1)) for number in range(4)]


def add(cache: Path, data: bytes, algorithm: str = "sha384", used: float = 0) -> Path:
    """Put an entry into a cache; it was used so many seconds ago."""
    hasher = new_hasher(algorithm)
    hasher.update(data)
    path = Cache(cache).path(Checksum(algorithm, hasher.hexdigest()))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    moment = time.time() - used
    os.utime(path, (moment, moment))
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Four entries of 1000 to 4000 bytes; the smallest was used longest ago."""
    for number, data in enumerate(DATA):
        add(tmp_path / "cache", data, used=(40 - 10 * number) * DAY)
    return tmp_path / "cache"


def left(cache: Path) -> list[int]:
    """The sizes of the files, which are not read: that would be using them."""
    return sorted(path.stat().st_size for path in cache.rglob("*") if path.is_file())


def stage(cache: Path, name: str, days: float) -> Path:
    path = cache / "1" / "staging" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"begun")
    os.utime(path, (time.time() - days * DAY,) * 2)
    return path


def test_status(cache: Path) -> None:
    stage(cache, "ab.download", 0)
    (cache / "1" / "zz").mkdir()
    (cache / "1" / "ab").mkdir(exist_ok=True)
    (cache / "1" / "ab" / "readme.txt").write_text("?")
    info = modelzoo.cache_info(cache)
    assert (info.entries, info.size, info.staging, info.staging_size, info.other) == (
        4,
        10_000,
        1,
        5,
        2,
    )
    assert [(group.within, group.entries, group.size) for group in info.ages] == [
        ("a day", 0, 0), ("a week", 0, 0), ("30 days", 2, 7000), ("a year", 2, 3000), (None, 0, 0),
    ]  # fmt: skip
    assert list(AGES) == [group.within for group in info.ages[:-1]]
    lines = tool("inventory", "cache", "--cache_dir", cache).stdout.splitlines()
    assert lines[0] == f"{cache}: 4 entries, 9.8 KiB"
    assert lines[1] == "1 file being written or left over, 5 B"
    document = tool(
        "inventory", "cache", environ={"MODELZOO_CACHE_DIR": str(cache), "MODELZOO_FORMAT": "json"}
    )
    assert json.loads(document.stdout)["size"] == 10_000


def test_no_cache(tmp_path: Path) -> None:
    assert tool("inventory", "cache", check=2).stderr.startswith("inventory.py: error: which cache?")
    with pytest.raises(StorageError, match="No such file"):
        modelzoo.cache_info(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert modelzoo.cache_info(tmp_path / "empty").entries == 0
    assert modelzoo.verify_cache(tmp_path / "empty").successful
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("algorithm", LENGTHS)
def test_verify_knows_every_algorithm(algorithm: str, tmp_path: Path) -> None:
    path = add(tmp_path, DATA[0], algorithm)
    assert modelzoo.verify_cache(tmp_path).successful
    path.write_bytes(DATA[0][:-1] + b"?")
    (broken,) = modelzoo.verify_cache(tmp_path, dry_run=True).broken
    assert (broken.path, broken.removed, path.exists()) == (str(path), False, True)
    assert modelzoo.verify_cache(tmp_path).broken[0].removed
    assert not path.exists()
    assert modelzoo.verify_cache(tmp_path).successful


@pytest.mark.skipif(not hasattr(os, "O_NOATIME"), reason="only Linux reads without a trace")
def test_verifying_is_not_using(cache: Path) -> None:
    before = modelzoo.cache_info(cache).ages
    assert modelzoo.verify_cache(cache).successful
    assert modelzoo.cache_info(cache).ages == before


def test_broken_entries(cache: Path) -> None:
    """Whatever has the name of an entry and is none goes; what has another name stays."""
    digests = [hashlib.sha256(bytes([number])).hexdigest() for number in range(3)]
    folder, pipe, strange = (cache / "1" / d[:2] / d[2:] for d in digests)
    strange = strange.with_name("not a digest")
    for path in (folder, pipe, strange):
        path.parent.mkdir(parents=True, exist_ok=True)
    (folder / "sub").mkdir(parents=True)
    os.mkfifo(pipe)
    strange.write_text("?")
    done = tool("inventory", "cache", "verify", "--cache_dir", cache, check=1).stdout
    assert done.count("  removed  ") == 2
    assert done.endswith("6 entries, 9.8 KiB hashed: 2 broken\n")
    assert (folder.exists(), pipe.exists(), strange.exists()) == (False, False, True)
    assert left(cache) == [1, 1000, 2000, 3000, 4000]
    tool("inventory", "cache", "verify", "--cache_dir", cache)


def test_an_entry_that_is_being_replaced_stays(cache: Path) -> None:
    path = add(cache, b"good")
    path.write_bytes(b"bad!")
    checksum = Checksum("sha384", path.parent.name + path.name)
    reservation = Cache(cache).reserve(checksum)
    assert reservation is not None
    with reservation:
        (broken,) = modelzoo.verify_cache(cache).broken
    assert (broken.removed, path.exists()) == (False, True)
    assert modelzoo.verify_cache(cache).broken[0].removed
    assert tree(cache / "1" / "staging") == {}


def test_an_entry_that_was_replaced_stays(cache: Path) -> None:
    """Between the look and the removal another process has put it right."""
    path = add(cache, b"good")
    path.write_bytes(b"bad!")

    def report(event: Event) -> None:
        if isinstance(event, VerifyEnd):
            path.unlink()
            path.write_bytes(b"good")

    assert not modelzoo.verify_cache(cache, report=report).successful
    assert path.read_bytes() == b"good"
    assert modelzoo.verify_cache(cache).successful


PRUNES: list[tuple[list[str], list[int]]] = [
    ([], [1000, 2000, 3000, 4000]),
    (["--max_size", "10K"], [1000, 2000, 3000, 4000]),
    (["--max_size", "9999"], [2000, 3000, 4000]),
    (["--max_size", "7000"], [3000, 4000]),
    (["--max_size", "4.5K"], [4000]),
    (["--max_size", "0"], []),
    (["--older_than", "25d"], [3000, 4000]),
    (["--older_than", "2w"], [4000]),
    (["--older_than", "5w", "--max_size", "5K"], [4000]),
    (["--older_than", "9999d"], [1000, 2000, 3000, 4000]),
]


@pytest.mark.parametrize(("options", "sizes"), PRUNES)
def test_prune(options: list[str], sizes: list[int], cache: Path) -> None:
    """A dry run says the same, and removes nothing."""
    command = ["cache", "prune", "--cache_dir", cache, "--format=json", *options]
    dry = json.loads(tool("inventory", *command, "--dry_run").stdout)
    assert left(cache) == [1000, 2000, 3000, 4000]
    done = json.loads(tool("inventory", *command).stdout)
    assert left(cache) == sizes
    assert (dry.pop("dry_run"), done.pop("dry_run")) == (True, False)
    assert dry == done
    assert (done["size"], done["removed_size"]) == (sum(sizes), 10_000 - sum(sizes))


def test_reading_is_using(cache: Path) -> None:
    """An entry that was read lately is not old, where the file system remembers that."""
    path = add(cache, b"read", used=90 * DAY)
    os.utime(path, (time.time(), path.stat().st_mtime))
    modelzoo.prune_cache(cache, older_than=50 * DAY)
    assert path.exists()


def test_unused(cache: Path, tmp_path: Path) -> None:
    """What the catalog declares and what came to an installed model stay, whatever its name."""
    zoo, gone = tmp_path / "zoo", tmp_path / "gone"
    add_local_model(zoo, "m", {"0.bin": DATA[0]})
    add_local_model(gone, "n", {"1.bin": DATA[1]})
    modelzoo.download("n", tmp_path / "out", sources=[gone])
    options = ["cache", "prune", "--cache_dir", cache, "--unused", "--source", zoo]
    tool("inventory", *options, "-o", tmp_path / "out", "-o", tmp_path)
    assert left(cache) == [1000, 2000]
    tool("inventory", *options, cwd=tmp_path)
    assert left(cache) == [1000]
    modelzoo.prune_cache(cache, unused=True, sources=["demo"])
    assert left(cache) == []


def test_unused_needs_to_know(cache: Path, tmp_path: Path) -> None:
    """A receipt that cannot be read could name anything."""
    receipt = tmp_path / "out" / ".modelzoo" / "receipts" / "zoo" / "m.json"
    receipt.parent.mkdir(parents=True)
    receipt.write_text("{")
    with pytest.raises(StorageError, match="the receipt cannot be used"):
        modelzoo.prune_cache(cache, unused=True, output_dirs=[tmp_path / "out"], sources=["demo"])
    with pytest.raises(UsageError):
        modelzoo.prune_cache(cache, max_size=-1)
    done = tool("inventory", "cache", "prune", "--cache_dir", cache, "-o", tmp_path, check=2)
    assert "they need --unused" in done.stderr
    assert left(cache) == [1000, 2000, 3000, 4000]


def test_left_overs_go_when_they_are_old_and_nobody_holds_them(cache: Path) -> None:
    held = Cache(cache).reserve(Checksum("md5", "0" * 32))
    assert held is not None
    with held:
        os.utime(held.path, (1, 1))
        old = [stage(cache, name, 2) for name in ("a.download", "a.download.json", "of-another-tool")]
        new = stage(cache, "b.download", 0.5)
        assert len(modelzoo.prune_cache(cache, dry_run=True).left_overs) == 4
        assert all(path.exists() for path in old)
        modelzoo.prune_cache(cache)
        assert (new.exists(), held.path.exists()) == (True, True)
        assert not any(path.exists() for path in old)
    assert left(cache) == [5, 1000, 2000, 3000, 4000]


@pytest.mark.parametrize("value", ["10X", "-1", "ten", "", "1e9", "9" * 400, "٣G", "1 G"])
@pytest.mark.parametrize("kind", [byte_size, duration])
def test_quantities_that_make_no_sense(kind: Callable[[str], float], value: str) -> None:
    with pytest.raises(ArgumentTypeError, match="expected a "):
        kind(value)


def test_quantities(cache: Path) -> None:
    assert [byte_size(text) for text in ("7", "1k", "1.5M", "2G", "1T")] == [
        *(7, 1024, 3 << 19, 2 << 30, 1 << 40)
    ]
    assert [duration(text) for text in ("7s", "90m", "1.5h", "30D", "4w")] == [
        *(7, 5400, 5400, 30 * DAY, 28 * DAY)
    ]
    done = tool("inventory", "cache", "prune", "--cache_dir", cache, "--max_size=-1", check=2)
    assert "argument --max_size: expected a size like 500M or 1.5G, got '-1'" in done.stderr


def test_events_of_a_cache(cache: Path) -> None:
    """The sizes are known beforehand, and no entry has a model."""
    command = ["cache", "verify", "--cache_dir", cache, "--progress_format=json", "-j1"]
    events = [json.loads(line) for line in tool("inventory", *command).stdout.splitlines()]
    assert [e["$type"] for e in events] == [
        *("verify_begin", *["file_verify_begin", "file_verify_end"] * 4, "verify_end")
    ]
    assert (events[0]["size"], events[-1]["size"]) == (10_000, 10_000)
    assert sorted(e["size"] for e in events if e["$type"] == "file_verify_begin") == [
        *(1000, 2000, 3000, 4000)
    ]
    assert not [event for event in events if "model" in event]
