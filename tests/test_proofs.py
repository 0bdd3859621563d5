"""Notes on verified cache entries: what they vouch for, and what must not be believed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from modelzoo.cache import proofs as module
from modelzoo.cache.proofs import Proofs
from modelzoo.checksum import Checksum

DATA = b"an entry"
SUM = Checksum("sha384", hashlib.sha384(DATA).hexdigest())


def note(cache: Path, checksum: Checksum, entry: Path) -> None:
    """What a process does that has verified an entry."""
    proofs = Proofs(cache)
    proofs.add(checksum, entry.stat())
    proofs.flush()


class Noted:
    """An entry of a cache that has been verified."""

    def __init__(self, root: Path) -> None:
        self.cache, self.entry = root / "cache", root / "cache" / "entry"
        self.cache.mkdir()
        self.entry.write_bytes(DATA)
        note(self.cache, SUM, self.entry)
        (self.notes,) = (Path(os.environ["XDG_CACHE_HOME"]) / "modelzoo" / "proofs").iterdir()

    def holds(self, checksum: Checksum = SUM) -> bool:
        """Whether another process would trust the entry as it is now."""
        return Proofs(self.cache).hold(checksum, self.entry.stat())


@pytest.fixture
def noted(tmp_path: Path) -> Noted:
    return Noted(tmp_path)


def rewritten(entry: Path) -> None:
    looked = entry.stat()
    entry.write_bytes(DATA[::-1])
    os.utime(entry, ns=(looked.st_atime_ns, looked.st_mtime_ns))


def replaced(entry: Path) -> None:
    other = entry.with_name("other")
    other.write_bytes(DATA)
    os.utime(other, ns=(entry.stat().st_atime_ns, entry.stat().st_mtime_ns))
    other.replace(entry)


CHANGES: dict[str, Callable[[Path], object]] = {
    "rewritten, its time set back": rewritten,
    "replaced by a file like it": replaced,
    "touched": os.utime,
    "longer": lambda entry: entry.write_bytes(DATA + b"x"),
    "mode": lambda entry: entry.chmod(0o600),
    "linked to": lambda entry: os.link(entry, entry.with_name("link")),
}


def test_what_was_noted_holds(noted: Noted) -> None:
    assert noted.holds()
    assert noted.notes.stat().st_mode & 0o777 == 0o600
    assert not noted.holds(Checksum("sha256", SUM.value))
    assert not noted.holds(Checksum("sha384", "0" * 96))
    assert not Proofs(noted.cache / "other").hold(SUM, noted.entry.stat())


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_any_kind_ends_it(noted: Noted, change: Callable[[Path], object]) -> None:
    change(noted.entry)
    assert not noted.holds()


def test_links_to_a_read_only_entry_come_and_go(noted: Noted) -> None:
    noted.entry.chmod(0o444)
    assert noted.holds()
    os.link(noted.entry, noted.entry.with_name("link"))
    assert noted.holds()
    os.utime(noted.entry)
    assert not noted.holds()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_read_only_entry_of_somebody_else(noted: Noted) -> None:
    """Its owner could make it writable, and set its time."""
    noted.entry.chmod(0o444)
    os.chown(noted.entry, 12345, -1)
    assert not noted.holds()
    note(noted.cache, SUM, noted.entry)
    assert noted.holds()
    os.link(noted.entry, noted.entry.with_name("link"))
    assert not noted.holds()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_notes_of_somebody_else(noted: Noted) -> None:
    os.chown(noted.notes, 12345, -1)
    assert not noted.holds()


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_damage(noted: Noted, damage: bytes) -> None:
    """Nothing but whole lines counts, and what follows them is read all the same."""
    noted.notes.write_bytes(damage)
    assert not noted.holds()
    noted.notes.write_bytes(damage + b"\n")
    note(noted.cache, SUM, noted.entry)
    assert noted.holds()


def test_a_line_that_was_cut_off(noted: Noted) -> None:
    line = noted.notes.read_bytes()
    for length in range(len(line) - 1):
        noted.notes.write_bytes(line[:length])
        assert not noted.holds(), line[:length]
        noted.notes.write_bytes(line[:length] + b"\n" + line)
        assert noted.holds()


def test_what_is_not_flushed_holds_for_this_process_alone(noted: Noted) -> None:
    os.utime(noted.entry)
    one = Proofs(noted.cache)
    one.add(SUM, noted.entry.stat())
    assert one.hold(SUM, noted.entry.stat())
    assert not noted.holds()


def test_the_last_of_several_notes_counts(noted: Noted) -> None:
    old = noted.entry.stat()
    os.utime(noted.entry, ns=(0, 0))
    note(noted.cache, SUM, noted.entry)
    assert noted.holds()
    assert not Proofs(noted.cache).hold(SUM, old)


PLACES: dict[str, Callable[[Path], object]] = {
    "folder": lambda notes: notes.mkdir(),
    "pipe": lambda notes: os.mkfifo(notes),
    "link": lambda notes: notes.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("plant", PLACES.values(), ids=PLACES)
def test_something_else_in_the_place_of_notes(noted: Noted, plant: Callable[[Path], object]) -> None:
    noted.notes.unlink()
    plant(noted.notes)
    assert not noted.holds()
    note(noted.cache, SUM, noted.entry)
    assert not noted.holds()


def test_no_folder_for_notes(noted: Noted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    one = Proofs(noted.cache)
    assert not one.hold(SUM, noted.entry.stat())
    one.add(SUM, noted.entry.stat())
    one.flush()
    assert one.hold(SUM, noted.entry.stat())  # for this run


def test_notes_do_not_grow_for_ever(noted: Noted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", noted.notes.stat().st_size - 1)
    assert not noted.holds()
    assert not noted.notes.exists()


def test_several_processes(noted: Noted) -> None:
    """Lines that are written at once do not mix."""
    code = """
import os, sys
from pathlib import Path
from modelzoo.checksum import Checksum
from modelzoo.cache.proofs import Proofs
cache, letter = Path(sys.argv[1]), sys.argv[2]
for number in range(300):
    proofs = Proofs(cache)
    proofs.add(Checksum("sha384", f"{letter * 90}{number:06}"), os.stat(cache))
    proofs.flush()
"""
    command = [sys.executable, "-c", code, str(noted.cache)]
    running = [subprocess.Popen([*command, letter]) for letter in "abc"]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0]
    together = Proofs(noted.cache)
    sums = [Checksum("sha384", f"{letter * 90}{n:06}") for letter in "abc" for n in range(300)]
    assert all(together.hold(checksum, noted.cache.stat()) for checksum in sums)
