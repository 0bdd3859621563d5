"""What killed processes leave in a folder: removed by the next one, unless somebody writes it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from modelzoo.files.locks import lock, machine
from modelzoo.registry.storage import connect
from modelzoo.registry.storage.folder import IN_FLIGHT, STALE

TAG = machine().replace("-", "")[:12]


def left(folder: Path, name: str, age: float = 0.0) -> Path:
    """A file in flight that nobody has open."""
    path = folder / f".{name}{IN_FLIGHT}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age,) * 2)
    return path


@pytest.mark.parametrize("act", ["create", "write", "delete"])
def test_what_was_left_is_removed(act: str, tmp_path: Path) -> None:
    """With the next file of that name; of another machine only what is old."""
    storage = connect(tmp_path)
    gone = [left(tmp_path / "a", f"x.yaml.{TAG}01234567"), left(tmp_path / "a", "x.yaml.0", STALE + 9)]
    kept = [left(tmp_path / "a", "x.yaml.000000000000fedcba98"), left(tmp_path / "a", f"y.{TAG}0")]
    acts: dict[str, Callable[[], object]] = {
        "create": lambda: storage.create("a/x.yaml", b"1"),
        "write": lambda: storage.write("a/x.yaml", b"1"),
        "delete": lambda: storage.delete("a/x.yaml"),
    }
    acts[act]()
    assert [path for path in gone if path.exists()] == []
    assert all(path.exists() for path in kept)
    assert (tmp_path / "a" / "x.yaml").exists() == (act != "delete")


def test_what_somebody_writes_is_not(tmp_path: Path) -> None:
    path = left(tmp_path, f"x.yaml.{TAG}01234567")
    with path.open("rb") as file:
        assert lock(file.fileno())
        connect(tmp_path).write("x.yaml", b"1")
        assert path.exists()
    connect(tmp_path).write("x.yaml", b"2")
    assert not path.exists()
