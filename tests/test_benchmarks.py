"""What the benchmarks compare: the right files, and the programs that their targets name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from benchmarks.corpus import differing_files, equal, make_files
from benchmarks.environments import ROOT
from benchmarks.scenarios import scenarios
from benchmarks.targets import REMARKS, TARGETS, essential

SIZE = 300_000  # more than one piece


def _change_last_byte(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


@pytest.mark.parametrize(
    "spoil",
    [
        Path.unlink,
        _change_last_byte,
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes() + b"x"),
        lambda path: path.write_bytes(b""),
    ],
)
def test_a_wrong_file_is_seen(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    files = make_files(tmp_path / "served", equal(1, 2, SIZE))
    for file in files:
        path = tmp_path / "out" / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((tmp_path / "served" / file.path).read_bytes())
    assert differing_files(tmp_path / "out", tmp_path / "served", files) == []
    spoil(tmp_path / "out" / files[1].path)
    assert differing_files(tmp_path / "out", tmp_path / "served", files) == [files[1].path]


@pytest.mark.parametrize("quick", [False, True])
def test_every_target_is_measured(quick: bool) -> None:
    found = list(essential(scenarios(quick)))
    measured = {(scenario.name, program.name) for scenario in found for program in scenario.programs}
    wanted = {(t.scenario, name) for t in TARGETS for name in (t.ours, t.other)}
    assert measured == wanted
    assert REMARKS.keys() <= wanted


def test_what_the_quick_mode_has_not_is_refused() -> None:
    argv = [sys.executable, "-m", "benchmarks", "--quick", "--only", "F"]
    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "in F: leave out --quick" in ended.stderr
