"""The lookup table of thousands of published models, when nothing is known of them, and again."""

from __future__ import annotations

import datetime as dt
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from modelzoo.registry.headers import Header, dump_header, dump_meta
from modelzoo.registry.identifiers import Uid, short_id
from modelzoo.registry.layout import header_key, meta_key

from ..environments import ROOT
from ..markdown import table
from .publishing import REPEATS, Say, _timed

MODELS = 5000
FIVE = ("--param", "sampling_rate>=16000", "--param", "seed<10")


def measure(folder: Path, quick: bool, say: Say) -> list[str]:
    """The paragraphs of the report."""
    models = MODELS // 10 if quick else MODELS
    repository = folder / "repository"
    plant(repository, models)
    cold, warm, narrow = [], [], []
    for number in range(REPEATS):
        kept = {**os.environ, "XDG_CACHE_HOME": str(folder / f"kept-{number}")}
        cold.append(_timed(lambda k=kept: _lookup(repository, models, k)))
        warm.append(_timed(lambda k=kept: _lookup(repository, models, k)))
        narrow.append(_timed(lambda k=kept: _lookup(repository, 5, k, *FIVE)))
        say(f"lookup: {cold[-1]:.2f} s, again {warm[-1]:.2f} s")
    rows = [
        ("cold: every header is read", f"{statistics.median(cold):.2f} s"),
        ("warm: what is kept of them", f"{statistics.median(warm):.2f} s"),
        ("warm, five rows of it", f"{statistics.median(narrow):.2f} s"),
    ]
    return [
        "## Lookup",
        f"`publisher.py lookup --format csv` over {models} models in a folder; medians of {REPEATS} "
        "runs, each the whole process. Warm runs list the repository too: what was "
        "published since is seen.",
        table(("", "time"), rows),
    ]


def plant(repository: Path, models: int) -> None:
    """As many headers, and what lies beside them."""
    for number in range(models):
        parameters: dict[str, Any] = {
            "data": ["emodb", "msppodcast"],
            "sampling_rate": 16000 if number % 2 else 8000,
            "network": "lstm",
            "seed": number,
        }
        uid = Uid(short_id("bench", parameters, "a.b"), "1.0.0")
        header = Header(
            author="bench",
            date=dt.date(2026, 1, 1),
            name="bench",
            parameters=parameters,
            subgroup="a.b",
            version="1.0.0",
        )
        for key, data in ((header_key(uid), dump_header(header)), (meta_key(uid), dump_meta(None))):
            (repository / key).parent.mkdir(parents=True, exist_ok=True)
            (repository / key).write_bytes(data)


def _lookup(repository: Path, rows: int, environ: dict[str, str], *more: str) -> None:
    tool = [sys.executable, str(ROOT / "tools" / "publisher.py"), "lookup", "--format=csv"]
    command = [*tool, "--repository", str(repository), *more]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environ)
    if (found := done.stdout.count("\n") - 1) != rows:
        raise RuntimeError(f"expected {rows} rows, there were {found}")
