"""The bytes of a file in flight: gone on with after a kill or a full disk, and always hashed right."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelzoo.checksum import Checksum
from modelzoo.errors import Reason, StorageError
from modelzoo.files.claiming import claim, partial_size
from modelzoo.files.partial import WORTH_RESUMING, Partial, Provenance

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


def left_by_a_killed_run(target: Path, data: bytes, notes: Provenance = SOURCE) -> None:
    """Written and never finished: what is on disk is what a kill leaves."""
    partial = taken(target)
    partial.begin(0, notes, "sha256")
    partial.write(data)
    os.close(partial._handle)


@contextlib.contextmanager
def largest_file(limit: int) -> Iterator[Callable[[], None]]:
    """The system refuses to write files beyond this size, until the function given is called."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))

    def lift() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    try:
        yield lift
    finally:
        lift()


def test_small_parts_need_no_notes(target: Path, flight: Path) -> None:
    with taken(target) as partial:
        partial.begin(0, SOURCE, "sha256")
        partial.write(b"123")
    assert tree(target.parent) == {flight.name: b"123"}
    assert partial_size(target) == 3
    with taken(target) as partial:
        assert (partial.size, partial.inherited, partial.provenance) == (3, True, None)


def test_resumed_with_its_notes(target: Path, flight: Path) -> None:
    left_by_a_killed_run(target, BIG)
    with taken(target) as partial:
        assert (partial.size, partial.inherited, partial.provenance) == (len(BIG), True, SOURCE)
        partial.begin(len(BIG), SOURCE, "sha256")
        partial.write(b"end")
        assert partial.inherited
        assert partial.checksum() == sha256(BIG + b"end")
        assert (flight.parent / f"{flight.name}.json").exists()
        partial.finish()
    assert tree(target.parent) == {"x.bin": BIG + b"end"}


def test_bytes_of_another_version_never_keep_the_old_notes(target: Path) -> None:
    left_by_a_killed_run(target, BIG)
    left_by_a_killed_run(target, b"of another version", Provenance(SOURCE.url, '"v2"'))
    with taken(target) as partial:
        assert (partial.size, partial.provenance) == (18, None)
        partial.begin(18, Provenance("https://mirror.example.com/x"), "sha256")
        partial.write(BIG)
    with taken(target) as partial:
        assert partial.provenance == Provenance("https://mirror.example.com/x")
        partial.reset()
        assert (partial.size, partial.inherited, partial.provenance) == (0, False, None)
    assert tree(target.parent) == {}


@pytest.mark.parametrize(
    "notes",
    [
        b"", b"{", b"[]", b"null", b'{"url": 5}', b'{"url": "\xff"}', b'{"url":' * 9999, b"\x00" * 9,
        b'{"url": "u", "x": ' + b"[" * 9999, b'{"url": "u"' + b" " * 99_999 + b"}",
    ],
    ids=lambda notes: repr(notes[:12]),
)  # fmt: skip
def test_notes_that_cannot_be_read_are_none(target: Path, flight: Path, notes: bytes) -> None:
    left_by_a_killed_run(target, b"some")
    flight.with_name(f"{flight.name}.json").write_bytes(notes)
    with taken(target) as partial:
        assert partial.provenance is None
        partial.begin(4, SOURCE, "sha256")
        partial.finish()
    assert tree(target.parent) == {"x.bin": b"some"}


def test_full_disk_keeps_what_fitted(target: Path) -> None:
    limit = 1 << 16
    data = BIG[: limit + 1000]
    with taken(target) as partial, largest_file(limit) as lift:
        partial.begin(0, SOURCE, "sha256")
        partial.write(data[:60_000])
        with pytest.raises(StorageError, match="disk is full") as caught:
            partial.write(data[60_000:])
        assert caught.value.reason == Reason.NO_SPACE
        assert partial.size == limit
        partial.begin(limit, SOURCE, "sha256")
        assert partial.checksum() == sha256(data[:limit])
        lift()
        partial.write(data[limit:])
        assert partial.checksum() == sha256(data)
        partial.finish()
    assert target.read_bytes() == data


STEPS = st.lists(
    st.tuples(st.just("write"), st.binary(max_size=40).map(lambda data: data * 9))
    | st.tuples(st.just("begin"), st.floats(0, 1), st.sampled_from(["sha256", "sha384", "md5"]))
    | st.tuples(st.sampled_from(["reopen", "head", "reset"])),
    max_size=25,
)


@settings(deadline=None, max_examples=150)
@given(steps=STEPS)
def test_any_sequence_gives_the_right_checksum(steps: list[tuple[object, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "x"
        partial, expected, algorithm = taken(target), b"", "sha256"
        partial.begin(0, SOURCE, algorithm)
        for name, *arguments in steps:
            if name == "write":
                partial.write(arguments[0])  # type: ignore[arg-type]
                expected += arguments[0]  # type: ignore[operator]
                continue
            if name == "head":
                assert partial.head() == expected[:512]
                continue
            if name == "reopen":
                partial.__exit__(None, None, None)
                partial = taken(target)
            if name == "reset":
                partial.reset()
                expected = b""
            if name == "begin":
                algorithm = str(arguments[1])
                expected = expected[: int(arguments[0] * len(expected))]  # type: ignore[operator]
            assert partial.size >= len(expected)
            partial.begin(len(expected), SOURCE, algorithm)
        assert partial.size == len(expected)
        assert partial.checksum() == Checksum(algorithm, hashlib.new(algorithm, expected).hexdigest())
        partial.finish()
        partial.__exit__(None, None, None)
        assert tree(Path(folder)) == {"x": expected}
