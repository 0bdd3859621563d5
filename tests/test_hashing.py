"""The hash of a file that grows: from memory or read back, in order or not, ahead of it or behind."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import modelzoo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelzoo.events import Event, ModelFileDownloadBegin, ModelFileDownloadEnd
from modelzoo.files import hashing
from modelzoo.files.hashing import BATCH, BUFFERS, INLINE, FileHasher

from tests.zoo import add_model, content, file_entry, model_config

DATA = content("hashed", 3 * BATCH + 7)
SIZES = st.one_of(st.integers(1, 3000), st.sampled_from([BATCH - 1, BATCH, BATCH + 1, INLINE + 1]))


@given(known=st.integers(0, BATCH + 1), sizes=st.lists(SIZES, max_size=12), skipped=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_any_pieces_in_any_order(known: int, sizes: list[int], skipped: int) -> None:
    """`known` bytes are there before; every so many pieces the growth comes from elsewhere."""
    with tempfile.TemporaryFile() as file:
        file.write(DATA)
        file.flush()
        hasher, at = FileHasher(file.fileno(), "sha256"), known
        hasher.follow(known)
        for number, size in enumerate(sizes):
            piece = DATA[at : at + size]
            at += len(piece)
            told = skipped and number % skipped == 0
            hasher.follow(at, *(() if told else (at - len(piece), piece)))
        assert hasher.checksum().value == hashlib.sha256(DATA[:at]).hexdigest()
        hasher.follow(len(DATA))
        assert hasher.checksum().value == hashlib.sha256(DATA).hexdigest()
        hasher.close()


def test_more_than_fits_into_memory() -> None:
    """Whoever brings it waits until some of it is hashed."""
    rounds = 3 * BUFFERS
    with tempfile.TemporaryFile() as file:  # nothing is in it: all must come from memory
        hasher, at, piece = FileHasher(file.fileno(), "md5"), 0, DATA[:BATCH]
        for _ in range(rounds):
            at += BATCH
            hasher.follow(at, at - BATCH, piece)
        assert hasher.checksum().value == hashlib.md5(piece * rounds).hexdigest()
        hasher.close()


class HeldHasher:
    """SHA-384 that does not go on with a large file before it may."""

    def __init__(self, name: str, may: Callable[[], bool]) -> None:
        self._digest, self._may = hashlib.new(name), may

    def update(self, data: bytes) -> None:
        assert self._may(), "nothing else was done meanwhile"
        self._digest.update(data)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


@pytest.mark.parametrize("processors", [1, 2])
def test_the_next_file_is_copied_while_one_is_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processors: int
) -> None:
    """With one job, from a cache, where a processor is free for it."""
    size = 2 * INLINE
    for name in "ab":
        data = content(name, size)
        digest = hashlib.sha384(data).hexdigest()
        entry = tmp_path / "cache" / "1" / digest[:2] / digest[2:]
        entry.parent.mkdir(parents=True)
        entry.write_bytes(data)
        file = file_entry("model.bin", data, "http://127.0.0.1:9/nobody")
        add_model(tmp_path / "zoo", name, model_config([file]))
    second_began = threading.Event()
    order: list[tuple[type[Event], str]] = []

    def report(event: Event) -> None:
        if isinstance(event, ModelFileDownloadBegin | ModelFileDownloadEnd):
            order.append((type(event), event.model))
            if event.model == "b":
                second_began.set()

    def may() -> bool:
        return processors == 1 or second_began.wait(30)

    monkeypatch.setattr(hashing, "processors", lambda: processors)
    monkeypatch.setattr(hashing, "_FOLLOWED", hashing._Followed())  # whatever other tests have left
    monkeypatch.setattr(hashing, "LONG", INLINE)
    monkeypatch.setattr(hashing, "new_hasher", lambda name: HeldHasher(name, may))
    monkeypatch.setattr("modelzoo.files.partial.clone", lambda *_: False)
    modelzoo.download(
        ["a", "b"],
        tmp_path / "out",
        sources=[tmp_path / "zoo"],
        cache_dir=tmp_path / "cache",
        jobs=1,
        report=report,
    )
    begin, end = ModelFileDownloadBegin, ModelFileDownloadEnd
    in_turn = [(begin, "a"), (end, "a"), (begin, "b"), (end, "b")]
    overlapping = [(begin, "a"), (begin, "b"), (end, "a"), (end, "b")]
    assert sorted(order, key=str) == sorted(in_turn, key=str)
    assert order[:2] == (in_turn if processors == 1 else overlapping)[:2]


@given(size=st.integers(0, INLINE), told=st.lists(st.integers(0, INLINE), max_size=5))
@settings(max_examples=30, deadline=None)
def test_a_small_file_that_was_copied_needs_no_thread(size: int, told: list[int]) -> None:
    data = DATA[:size]
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        hasher, before = FileHasher(file.fileno(), "sha384"), threading.active_count()
        for reached in sorted({min(reached, size) for reached in told} | {size}):
            hasher.follow(reached)
        assert hasher.checksum().value == hashlib.sha384(data).hexdigest()
        assert threading.active_count() == before
        hasher.close()
