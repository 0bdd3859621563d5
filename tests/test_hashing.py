"""The hash of a file that grows: from memory or read back, in order or not, ahead of it or behind."""

from __future__ import annotations

import hashlib
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st
from modelzoo.files.hashing import BATCH, BUFFERS, INLINE, FileHasher

from tests.zoo import content

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
