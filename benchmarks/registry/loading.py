"""Loading a model, alone and by eight processes at once, against a plain copy that is unzipped."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import zipfile
from pathlib import Path

from ..environments import ROOT
from ..markdown import table
from .publishing import FILES, REPEATS, Say, _timed, make_model, publish_command

PROCESSES = 8

_LOAD = """
import sys
sys.path.insert(0, sys.argv[3])
from common.events import ModelPostprocessingBegin
from common.loading import load
seen = []
load(sys.argv[1], sys.argv[2], repository=sys.argv[4], report=seen.append)
print(sum(isinstance(event, ModelPostprocessingBegin) for event in seen))
"""


def measure(folder: Path, quick: bool, say: Say) -> list[str]:
    """The paragraphs of the report."""
    size = (8 if quick else 128) << 20
    root, repository = make_model(folder / "model", FILES, size), folder / "repository"
    command = publish_command(root, repository, "1.0.0", f"--tmp_dir={folder / 'tmp'}")
    uid = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    shutil.rmtree(root)
    (archive,) = repository.rglob("*.zip")
    ours, plain, eight, again = [], [], [], []
    for number in range(REPEATS):
        cache = folder / f"cache-{number}"
        plain.append(_timed(lambda n=number: _copy_and_unzip(archive, folder / f"plain-{n}")))
        ours.append(_timed(lambda c=cache: _load(uid, c, repository, 1)))
        again.append(_timed(lambda c=cache: _load(uid, c, repository, 0)))
        shutil.rmtree(cache)
        eight.append(_timed(lambda c=cache: _load_at_once(uid, c, repository)))
        shutil.rmtree(cache)
        say(f"load: {ours[-1]:.2f} s, copy and unzip {plain[-1]:.2f} s, eight {eight[-1]:.2f} s")
    rows = [
        ("copy + unzip", *_speed(FILES * size, plain)),
        ("load", *_speed(FILES * size, ours)),
        ("load, by eight processes at once: one extraction", *_speed(FILES * size, eight)),
        ("load, what is there already", f"{statistics.median(again):.2f} s", ""),
    ]
    return [
        "## Load",
        f"A model of {FILES * size >> 20} MiB in {FILES} files from a folder, compression 1; medians "
        f"of {REPEATS} runs, each the whole process. Ours copies the archive and hashes it, unpacks "
        "it, hashes every file, compares all that with what was published, and syncs it to the disk. "
        "The other is `shutil.copyfile` and `zipfile` in a process that is running already.",
        table(("", "time", "unpacked"), rows),
    ]


def _speed(size: int, seconds: list[float]) -> tuple[str, str]:
    median = statistics.median(seconds)
    return f"{median:.2f} s", f"{size / median / 2**20:.0f} MiB/s"


def _command(uid: str, cache: Path, repository: Path) -> list[str]:
    return [sys.executable, "-c", _LOAD, uid, str(cache), str(ROOT / "tools"), str(repository)]


def _load(uid: str, cache: Path, repository: Path, extractions: int) -> None:
    done = subprocess.run(_command(uid, cache, repository), check=True, capture_output=True, text=True)
    _require(json.loads(done.stdout), extractions)


def _load_at_once(uid: str, cache: Path, repository: Path) -> None:
    command = _command(uid, cache, repository)
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    _require(sum(json.loads(process.communicate()[0]) for process in processes), 1)


def _require(extractions: int, expected: int) -> None:
    if extractions != expected:
        raise RuntimeError(f"expected {expected} extractions, there were {extractions}")


def _copy_and_unzip(archive: Path, target: Path) -> None:
    target.mkdir()
    shutil.copyfile(archive, target / "model.zip")
    with zipfile.ZipFile(target / "model.zip") as file:
        file.extractall(target)
    os.unlink(target / "model.zip")
    shutil.rmtree(target)
