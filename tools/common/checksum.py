"""Checksums: parse them, print them, and feed a hasher that proves them."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Protocol, cast

import msgspec

CHUNK = 1 << 18  # bytes read at a time: hashing, not Python, is the limit, and memory stays small

LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128, "sha1": 40, "md5": 32, "blake2b": 128}
"""Known algorithms (names of `hashlib`) and the length of their digests in hex digits."""


_HEX = re.compile("[0-9a-fA-F]+")


class Hasher(Protocol):
    """What `hashlib` gives: takes bytes, tells the digest."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take the next bytes."""

    def hexdigest(self) -> str:
        """The digest of everything taken so far, lower-case hex."""


class Checksum(msgspec.Struct, frozen=True, gc=False):
    """A digest that names its algorithm; prints as `sha384:<hex>`."""

    type: str
    value: str

    def __str__(self) -> str:
        return f"{self.type}:{self.value}"

    def hasher(self) -> Hasher:
        """A fresh hasher of this algorithm."""
        return new_hasher(self.type)

    def proves(self, hasher: Hasher) -> bool:
        """Whether what the hasher has taken has this digest."""
        return hasher.hexdigest() == self.value


def new_hasher(algorithm: str) -> Hasher:
    """A fresh hasher; MD5 and SHA-1 identify files here, they protect nothing.

    `usedforsecurity=False` lets them work on machines in FIPS mode too.
    """
    return _constructor(algorithm)(usedforsecurity=False)


@cache
def _constructor(algorithm: str) -> Callable[..., Hasher]:
    """What `hashlib` would look up by its name for every file."""
    import hashlib  # it loads OpenSSL, which only transfers need

    return cast("Callable[..., Hasher]", getattr(hashlib, algorithm))


def make_checksum(algorithm: str, value: str) -> Checksum:
    """A checked checksum; raises ValueError with what was expected."""
    if algorithm not in LENGTHS:
        raise ValueError(f"unknown checksum type {algorithm!r}, expected one of {', '.join(LENGTHS)}")
    if len(value) != LENGTHS[algorithm] or not _HEX.fullmatch(value):
        raise ValueError(
            f"expected {LENGTHS[algorithm]} hex digits of {algorithm}, got {value[:140]!r}"
        )
    return Checksum(algorithm, value.lower())


def parse_checksum(text: str) -> Checksum:
    """Read what `str(checksum)` prints; raises ValueError."""
    algorithm, _, value = text.partition(":")
    return make_checksum(algorithm, value)


def file_checksum(path: Path, algorithm: str) -> Checksum:
    """The checksum of a file on disk; raises OSError."""
    hasher = new_hasher(algorithm)
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            hasher.update(chunk)
    return Checksum(algorithm, hasher.hexdigest())
