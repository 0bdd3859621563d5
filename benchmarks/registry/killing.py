"""Publishing, killed at random moments: what can be seen is whole each time, and a second try works."""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from modelzoo.registry.storage import connect
from tests.publishing import models

from ..markdown import table
from .publishing import make_model, publish_command

KILLS = 50


def measure(folder: Path, quick: bool, say: Callable[[str], None]) -> list[str]:
    """The paragraphs of the report; AssertionError when a repository is not as it has to be."""
    kills, chance = (5 if quick else KILLS), random.Random(5)
    root, storage = make_model(folder / "model", 4, 1 << 20), connect(folder / "repository")
    more = ("--alias", "best", f"--tmp_dir={folder / 'tmp'}")
    begun = time.perf_counter()
    _finish(publish_command(root, folder / "repository", "0.0.0", *more))
    whole = time.perf_counter() - begun
    seen: Counter[str] = Counter()
    for number in range(1, kills + 1):
        command = publish_command(root, folder / "repository", f"{number}.0.0", *more)
        process = _start(command)
        time.sleep(whole * chance.uniform(0.2, 1.0))
        process.kill()
        process.wait()
        seen[_state(folder, number)] += 1
        visible = models(storage)
        if f"{number}.0.0" not in {uid.version for uid in visible}:
            assert len(visible) == number, visible
            _finish(command)
        assert len(models(storage)) == number + 1
        say(f"kill {number} of {kills}")
    left = [entry.key for entry in storage.list() if ".tmp" in entry.key]
    assert not left, left
    return [
        "## Kills",
        f"`publisher.py` was killed (SIGKILL) {kills} times, at random moments of a run of "
        f"{whole:.1f} s. After each, every visible model was held against its digests, nothing else "
        "was visible, and a second run published the model, which was proved too. At the end no "
        "file in flight is left.",
        table(("what the kill had left", "times"), [(s, str(n)) for s, n in seen.most_common()]),
    ]


def _state(folder: Path, number: int) -> str:
    """How far the killed run had come."""
    repository = folder / "repository"
    version = f"{number}.0.0"
    for pattern, state in (
        (f"_uid/*/{version}/*.header.yaml", "the whole model"),
        (f"_uid/*/{version}/*.meta.yaml", "all but the header"),
        (f"bench/*/{version}/*.zip", "the archive"),
        (f"bench/*/{version}/.*.tmp", "a part of the archive"),
        (f"_claim/*/{version}/*", "a claim"),
    ):
        if any(repository.glob(pattern)):
            return state
    return "an archive in the temporary folder" if any((folder / "tmp").glob("*/*.zip")) else "nothing"


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _finish(command: list[str]) -> None:
    assert _start(command).wait() == 0, command
