"""Where archives are made: nobody takes the folder of a process that lives for that of a killed one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from modelzoo.files.locks import lock
from modelzoo.registry import workspace as module
from modelzoo.registry.workspace import workspace


def names(base: Path) -> list[str]:
    return sorted(path.name for path in base.iterdir())


def just_before_it_locks(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Let another process come, once, when a new folder has its lock file but is not locked yet."""
    acts = [act]

    def locking(handle: int) -> bool:
        if acts:
            acts.pop()()
        return lock(handle)

    monkeypatch.setattr(module, "lock", locking)


def test_a_folder_that_was_cleared_away_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    just_before_it_locks(monkeypatch, lambda: module._clear_away(tmp_path))
    with workspace(tmp_path) as folder:
        assert names(tmp_path) == [folder.name]
        (folder / "model.zip").write_bytes(b"1")
        module._clear_away(tmp_path)
        assert names(folder) == ["lock", "model.zip"]
    assert names(tmp_path) == []


def test_a_folder_that_is_being_cleared_away_is_left_to_who_does_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []

    def take() -> None:
        (folder,) = tmp_path.iterdir()
        held.append(file := open(folder / "lock", "rb+"))  # noqa: SIM115
        assert lock(file.fileno())

    just_before_it_locks(monkeypatch, take)
    with workspace(tmp_path) as folder:
        assert len(names(tmp_path)) == 2
    assert len(names(tmp_path)) == 1
    held[0].close()
    with workspace(tmp_path) as folder:
        assert names(tmp_path) == [folder.name]


def test_without_locks_it_works_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: int) -> bool:
        raise OSError("no locks here")

    monkeypatch.setattr(module, "lock", refuse)
    with workspace(tmp_path) as folder:
        assert names(folder) == ["lock"]
    assert names(tmp_path) == []
