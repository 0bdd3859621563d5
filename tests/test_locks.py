"""Locks on open files."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from modelzoo.files.locks import lock

fcntl = pytest.importorskip("fcntl")


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "x"
    first, second = (os.open(path, os.O_RDWR | os.O_CREAT) for _ in range(2))
    try:
        assert lock(first)
        assert not lock(second)
        os.close(first)
        assert lock(second)
    finally:
        os.close(second)


@pytest.mark.parametrize(
    ("number", "held"), [(errno.EACCES, True), (errno.EAGAIN, True), (errno.ENOLCK, False)]
)
def test_what_refusals_mean(number: int, held: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems say EACCES of a file that is locked; others know no locks."""

    def refuse(handle: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    if held:
        assert not lock(0)
        return
    with pytest.raises(OSError, match=os.strerror(number)):
        lock(0)
