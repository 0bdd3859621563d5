"""The soak of the benchmarks in small: its clients, its server, and a verdict that can be no."""

from __future__ import annotations

import hashlib
import os
import random
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.corpus import File, mixed
from benchmarks.places import NotHere
from benchmarks.scenarios import KIB, MIB
from benchmarks.soak import scenes, verdict
from benchmarks.soak.clients import Kill, Run
from benchmarks.soak.report import section
from benchmarks.soak.rounds import soak_once
from benchmarks.soak.server import FAULTS, Odds
from benchmarks.soak.soaking import Soak

from tests.conftest import require

SMALL = replace(
    scenes.FILES, shape=mixed(8, 5, 4 * KIB, MIB), kills=2, kill_progress=9, kill_seconds=0.6, limit=1.5
)
DATA = b"a model file"
DIGEST = hashlib.sha384(DATA).hexdigest()
FILE = File("public/m/part.bin", len(DATA), DIGEST)
RECEIPT = ".modelzoo/receipts/s/m.json"


def test_two_clients(tmp_path: Path) -> None:
    done = soak_once(SMALL, 7, tmp_path)
    assert done.problems == ()
    assert done.kills >= 1
    assert done.runs >= 2 * SMALL.kills + 2
    assert done.faults["file changed"] == 2
    assert sum(done.faults[kind] for kind in FAULTS) >= 2
    assert done.events > 100
    assert 1 < done.factor <= SMALL.limit
    assert list(tmp_path.iterdir()) == []


def test_a_small_disk(tmp_path: Path) -> None:
    require(os.geteuid() == 0, "the right to mount a small file system")
    scene = replace(SMALL, small_disk=True, kills=1, odds=Odds(failing=0.0), limit=2.0)
    try:
        done = soak_once(scene, 1, tmp_path)
    except NotHere:
        require(False, "the right to mount a small file system")
    assert done.problems == ()
    assert done.runs >= 6


def test_too_many_bytes_are_a_problem(tmp_path: Path) -> None:
    """And its report says so."""
    scene = replace(SMALL, shape=[[KIB]], limit=0.5, kills=0, clients=1, odds=Odds(failing=0.0))
    done = soak_once(scene, 1, tmp_path)
    assert len(done.problems) == 1
    assert "bytes went out for 1024" in done.problems[0]
    text = "\n".join(section(Soak(1, [done], {"small disk": "no root"})))
    assert "**1 problems**" in text
    assert "- files, seed 1: " in text
    assert "Not run: small disk: no root." in text


def written(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({FILE.path: DATA, RECEIPT: b"{}"}, None),
        ({FILE.path: DATA.upper(), RECEIPT: b"{}"}, f"{FILE.path} is missing or wrong"),
        ({RECEIPT: b"{}"}, f"{FILE.path} is missing or wrong"),
        ({FILE.path: DATA, f"{FILE.path}.download": b""}, f"{FILE.path}.download was left"),
        ({FILE.path: DATA, ".modelzoo/staging/x": b""}, ".modelzoo/staging was left"),
    ],
)
def test_the_verdict_on_an_output_folder(
    tmp_path: Path, files: dict[str, bytes], problem: str | None
) -> None:
    found = verdict.judge_output(written(tmp_path, files), [FILE])
    assert bool(found) == (problem is not None)
    assert problem is None or problem in "\n".join(found)


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        (f"1/{DIGEST[:2]}/{DIGEST[2:]}", DATA, None),
        (f"1/{DIGEST[:2]}/{DIGEST[2:]}", DATA[1:], "is wrong in the cache"),
        (f"1/{'0' * 2}/{'0' * 94}", DATA, "does not belong into the cache"),
        (f"1/staging/{DIGEST}.download", b"", "was left in the cache"),
    ],
)
def test_the_verdict_on_a_cache(tmp_path: Path, name: str, data: bytes, problem: str | None) -> None:
    found = verdict.judge_cache(written(tmp_path, {name: data}), [FILE])
    assert [problem in text for text in found if problem] == [True] * (problem is not None)


def test_the_verdict_while_runs_go_on(tmp_path: Path) -> None:
    assert verdict.judge_finished(tmp_path, [FILE]) == []
    written(tmp_path, {FILE.path: DATA[:5]})
    assert verdict.judge_finished(tmp_path, [FILE]) == [f"{FILE.path} had its name before it was right"]


def test_the_verdict_on_events() -> None:
    good = b'{"$type":"model_download_begin","model":"m","num_files":%d}\n'
    assert verdict.judge_events([good % 1, good % 2]) == []
    for line in (b'{"$type":"model_download_begin"}\n', b'{"$type":"model_dow\n', b"[]\n"):
        assert len(verdict.judge_events([good % 1, line])) == 1


@pytest.mark.parametrize(
    ("run", "problems"),
    [
        (Run(0, [], ""), []),
        (Run(None, [], ""), []),
        (Run(None, [], "", hung=True), ["a run had no end"]),
        (Run(1, [], "no space"), ["a run ended with 1: no space"]),
        (Run(0, [], "Traceback (most recent call last):"), ["a run showed a traceback"]),
    ],
)
def test_the_verdict_on_a_run(run: Run, problems: list[str]) -> None:
    found = run.problems()
    assert [text.startswith(problem) for text, problem in zip(found, problems, strict=True)] == [
        True for _ in problems
    ]


def test_the_same_seed_means_the_same_kills() -> None:
    one, two, other = (random.Random(seed) for seed in (1, 1, 2))
    drawn = [[Kill.drawn(draw, 3.0, 50) for _ in range(9)] for draw in (one, two, other)]
    assert drawn[0] == drawn[1] != drawn[2]
