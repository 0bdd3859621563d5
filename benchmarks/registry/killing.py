"""Publishing, killed at random moments: what can be seen is whole each time, and a second try works."""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from modelzoo.registry.identifiers import Uid
from modelzoo.registry.layout import UIDS, header_of
from modelzoo.registry.storage import Storage, connect
from tests.publishing import models, prove

from ..markdown import table
from .publishing import make_model, publish_command

KILLS = 50
FILES, SIZE = 4, 8 << 20

NOTHING, PACKED, WHOLE = "nothing", "an archive in the temporary folder", "the whole model"
_STATES = {
    PACKED: "tmp/{version}/*/*.zip",
    "a claim": "repository/_claim/*/{version}/*",
    "a part of the archive": "repository/bench/*/{version}/.*.tmp",
    "the archive": "repository/bench/*/{version}/*.zip",
    "all but the header": "repository/_uid/*/{version}/*.meta.yaml",
    WHOLE: "repository/_uid/*/{version}/*.header.yaml",
}
"""What is there after each step, and how to see it, in their order."""


def measure(folder: Path, quick: bool, say: Callable[[str], None]) -> list[str]:
    """The paragraphs of the report; AssertionError when a repository is not as it has to be."""
    kills, chance = (len(_STATES) if quick else KILLS), random.Random(5)
    root, storage = make_model(folder / "model", FILES, SIZE), connect(folder / "repository")

    def command_for(version: str) -> list[str]:
        more = ("--alias", "best", f"--tmp_dir={folder / 'tmp' / version}")
        return publish_command(root, folder / "repository", version, *more)

    begun = time.perf_counter()
    _finish(command_for("0.0.0"))
    whole = time.perf_counter() - begun
    seen: Counter[str] = Counter()
    for number in range(1, kills + 1):
        version = f"{number}.0.0"
        command = command_for(version)
        process = _start(command)
        if number % 2:
            time.sleep(whole * chance.uniform(0.2, 1.0))
        else:
            _await(folder, version, chance.choice(list(_STATES)), process)
        process.kill()
        process.wait()
        seen[_state(folder, version)] += 1
        if version not in _visible(storage):
            assert len(_visible(storage)) == number
            _finish(command)
        found = _visible(storage)
        assert len(found) == number + 1
        prove(storage, found[version])
        say(f"kill {number} of {kills}")
    assert len(models(storage)) == kills + 1  # every one of them, once more
    left = [entry.key for entry in storage.list() if ".tmp" in entry.key]
    assert not left, left
    return [
        "## Kills",
        f"`publisher.py` was killed (SIGKILL) {kills} times while it published {FILES * SIZE >> 20} "
        f"MiB, every other time at a random moment of a run of {whole:.1f} s, otherwise as soon as it "
        "had come to a step chosen at random. After each kill nothing was visible that was not whole, "
        "and a second run published what was not; that model was held against its digests then, and "
        "all of them at the end, when no file in flight was left.",
        table(("what the kill had left", "times"), [(s, str(seen[s])) for s in (NOTHING, *_STATES)]),
    ]


def _await(folder: Path, version: str, state: str, process: subprocess.Popen[bytes]) -> None:
    """Return when the run has come so far, or has ended."""
    while process.poll() is None and not _is_there(folder, version, state):
        pass  # the steps take a millisecond each


def _is_there(folder: Path, version: str, state: str) -> bool:
    return any(folder.glob(_STATES[state].format(version=version)))


def _state(folder: Path, version: str) -> str:
    """How far the killed run had come."""
    return next((s for s in reversed(_STATES) if _is_there(folder, version, s)), NOTHING)


def _visible(storage: Storage) -> dict[str, Uid]:
    """The models that can be seen, by version."""
    found = (header_of(entry.key) for entry in storage.list(UIDS))
    return {uid.version: uid for uid in found if uid}


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _finish(command: list[str]) -> None:
    assert _start(command).wait() == 0, command
