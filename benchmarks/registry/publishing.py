"""Publishing a folder, against a plain zip archive and a copy of it."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from ..environments import ROOT
from ..markdown import table

Say = Callable[[str], None]

FILES = 8
REPEATS = 2


def measure(folder: Path, quick: bool, say: Say) -> list[str]:
    """The paragraphs of the report."""
    size = (8 if quick else 128) << 20
    root = make_model(folder / "model", FILES, size)
    rows = []
    for level in (0, 1):
        ours, plain = [], []
        for number in range(REPEATS):
            plain.append(_timed(lambda level=level, n=number: _zip_and_copy(root, folder, level, n)))
            ours.append(_timed(lambda level=level, n=number: _publish(root, folder, level, n)))
            say(f"publish, compression {level}: {ours[-1]:.2f} s, zip and copy {plain[-1]:.2f} s")
        rows.append(_row(level, FILES * size, statistics.mean(ours), statistics.mean(plain)))
    heading = ("compression", "publisher.py", "zip + copy", "", "publisher.py", "zip + copy")
    return [
        "## Publish",
        f"A folder of {FILES * size >> 20} MiB in {FILES} files, a third of it compressible, to a "
        f"folder; means of {REPEATS} runs. Ours is the whole process: packing, hashing every file "
        "and the archive, claim, copy with a check of what arrived, syncing to disk. The other is "
        "Python's `zipfile` and `shutil.copyfile` in a process that runs already, without digests.",
        table(heading, rows),
    ]


def make_model(root: Path, files: int, size: int) -> Path:
    """A folder of files like weights: two thirds random, the rest of few different bytes."""
    root.mkdir(parents=True)
    for number in range(files):
        with (root / f"weights-{number}.bin").open("wb") as file:
            for megabyte in range(size >> 20):
                if megabyte % 3:
                    file.write(os.urandom(1 << 20))
                else:
                    file.write(os.urandom(1 << 12) * (1 << 8))
    return root


def _row(level: int, size: int, ours: float, plain: float) -> tuple[str, ...]:
    speeds = (f"{size / seconds / 2**20:.0f} MiB/s" for seconds in (ours, plain))
    return (str(level), f"{ours:.2f} s", f"{plain:.2f} s", f"{plain / ours:.2f}×", *speeds)


def _timed(act: Callable[[], None]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def publish_command(root: Path, repository: Path, version: str, *more: str) -> list[str]:
    """What publishes a folder under this version."""
    tool = [sys.executable, str(ROOT / "tools" / "publisher.py"), "publish", str(root)]
    named = ["--name", "bench", "--version", version, "--param", "a=1"]
    return [*tool, *named, "--repository", str(repository), *more]


def _publish(root: Path, folder: Path, level: int, number: int) -> None:
    repository, temporary = folder / f"repository-{level}-{number}", folder / "tmp"
    more = (f"--compression={level}", f"--tmp_dir={temporary}")
    subprocess.run(
        publish_command(root, repository, "1.0.0", *more),
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    shutil.rmtree(repository)


def _zip_and_copy(root: Path, folder: Path, level: int, number: int) -> None:
    archive, copy = folder / "tmp.zip", folder / f"copy-{number}.zip"
    kind = zipfile.ZIP_DEFLATED if level else zipfile.ZIP_STORED
    with zipfile.ZipFile(archive, "w", kind, compresslevel=level or None) as target:
        for path in sorted(root.iterdir()):
            target.write(path, path.name)
    shutil.copyfile(archive, copy)
    archive.unlink()
    copy.unlink()
