"""How fast this machine can hash and receive at all, which no program can do better than."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
import time
from pathlib import Path

from .servers import FAST, MissingServer, serve

_SIZE = 64 << 20  # bytes, at least twice what a processor's caches hold
_TRIES = 4


def limits(base: Path) -> dict[str, str]:
    """The rates, as rows of a table; takes about a second, with files in a folder below `base`."""
    data = os.urandom(_SIZE)
    hashed = min(_seconds_to_hash(data) for _ in range(_TRIES // 2))
    return {
        "SHA-384, one core": f"{_rate(hashed)} MiB/s",
        "nginx to curl, one connection": _received(base, data),
    }


def _seconds_to_hash(data: bytes) -> float:
    start = time.monotonic()
    hashlib.sha384(data)
    return time.monotonic() - start


def _received(base: Path, data: bytes) -> str:
    with tempfile.TemporaryDirectory(prefix="modelzoo-bench-", dir=base) as name:
        root = Path(name) / "served"
        root.mkdir()
        (root / "file").write_bytes(data)
        try:
            with serve(root, FAST) as url:
                told = _seconds_to_receive(f"{url}/file")
        except (MissingServer, OSError, subprocess.CalledProcessError):
            return "not measured"
    return f"{_rate(told)} MiB/s"


def _seconds_to_receive(url: str) -> float:
    """The least that curl took for one of several times."""
    output = ["-o", os.devnull, url] * _TRIES
    command = ["curl", "--fail", "--silent", "--write-out", "%{time_total}\n", *output]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return min(map(float, done.stdout.split()))


def _rate(seconds: float) -> str:
    return f"{_SIZE / (1 << 20) / seconds:,.0f}"
