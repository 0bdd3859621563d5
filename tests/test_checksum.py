"""Checksums: what is accepted, how they print, and that a hasher proves exactly the right bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.checksum import (
    CHUNK,
    LENGTHS,
    Checksum,
    file_checksum,
    make_checksum,
    new_hasher,
    parse_checksum,
)

ALGORITHMS = st.sampled_from(sorted(LENGTHS))


def digest(algorithm: str, data: bytes) -> str:
    return hashlib.new(algorithm, data).hexdigest()


@given(ALGORITHMS, st.binary())
def test_what_is_printed_can_be_read(algorithm: str, data: bytes) -> None:
    checksum = make_checksum(algorithm, digest(algorithm, data))
    assert str(checksum) == f"{algorithm}:{digest(algorithm, data)}"
    assert parse_checksum(str(checksum)) == checksum


@given(ALGORITHMS, st.binary())
def test_case_does_not_matter(algorithm: str, data: bytes) -> None:
    value = digest(algorithm, data)
    assert make_checksum(algorithm, value.upper()) == make_checksum(algorithm, value)


@given(ALGORITHMS, st.lists(st.binary()), st.binary())
def test_proves_these_bytes_and_no_others(algorithm: str, pieces: list[bytes], other: bytes) -> None:
    whole = b"".join(pieces)
    checksum = make_checksum(algorithm, digest(algorithm, whole))
    hasher = checksum.hasher()
    for piece in pieces:
        hasher.update(memoryview(piece))
    assert checksum.proves(hasher)
    wrong = checksum.hasher()
    wrong.update(other)
    assert checksum.proves(wrong) == (other == whole)


@given(ALGORITHMS, st.text())
def test_anything_but_the_right_number_of_hex_digits_is_refused(algorithm: str, value: str) -> None:
    right = len(value) == LENGTHS[algorithm] and set(value) <= set("0123456789abcdefABCDEF")
    if right:  # hypothesis may find one in a very long life
        assert make_checksum(algorithm, value).value == value.lower()
    else:
        with pytest.raises(
            ValueError, match=f"expected {LENGTHS[algorithm]} hex digits of {algorithm}"
        ):
            make_checksum(algorithm, value)


@pytest.mark.parametrize("length", [95, 97, 64, 0])
def test_wrong_length(length: int) -> None:
    with pytest.raises(ValueError, match="expected 96 hex digits of sha384, got "):
        make_checksum("sha384", "a" * length)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("a" * 63 + "g", id="not hex"),
        pytest.param("a" * 64 + "\n", id="line end"),
        pytest.param(" " + "a" * 63, id="space"),
        pytest.param("０" * 64, id="digits of another script"),
        pytest.param("0x" + "a" * 62, id="prefix"),
    ],
)
def test_almost_a_digest(value: str) -> None:
    with pytest.raises(ValueError, match="expected 64 hex digits of sha256"):
        make_checksum("sha256", value)


@pytest.mark.parametrize("algorithm", ["crc32", "SHA256", "", "shake_128", "sha3_256", "sha224"])
def test_unknown_algorithms(algorithm: str) -> None:
    with pytest.raises(ValueError, match=r"unknown checksum type .*, expected one of sha256, sha384"):
        make_checksum(algorithm, "a" * 64)


@pytest.mark.parametrize("text", ["", "sha256", "a" * 64, "sha256;" + "a" * 64, ":" + "a" * 64])
def test_text_that_is_no_checksum(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_checksum(text)


def test_a_long_value_is_not_quoted_whole() -> None:
    with pytest.raises(ValueError, match="expected 32 hex digits") as caught:
        make_checksum("md5", "z" * 1_000_000)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1])
@pytest.mark.parametrize("algorithm", ["md5", "sha384"])
def test_files_of_any_size(tmp_path: Path, size: int, algorithm: str) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    path = tmp_path / "file"
    path.write_bytes(data[:size])
    assert file_checksum(path, algorithm) == Checksum(algorithm, digest(algorithm, data[:size]))


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        file_checksum(tmp_path / "nothing", "sha256")


@pytest.mark.parametrize("algorithm", sorted(LENGTHS))
def test_every_known_algorithm_has_the_length_that_it_says(algorithm: str) -> None:
    assert len(new_hasher(algorithm).hexdigest()) == LENGTHS[algorithm]


def test_is_a_frozen_value() -> None:
    checksum = make_checksum("sha256", "a" * 64)
    assert {checksum, make_checksum("sha256", "A" * 64)} == {checksum}
    with pytest.raises(AttributeError):
        checksum.value = "b" * 64  # type: ignore[misc]
