"""Peers from the package index, each in a virtual environment of its own that is made once.

These tools have one too, with nothing but what they need themselves, as a user's would be.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "bench"
OURS = "modelzoo"
REQUIREMENTS = {
    OURS: ("-r", "requirements.in"),
    "omz": ("openvino-dev==2024.6.0",),
    "hf_transfer": ("hf_transfer==0.1.9",),
    "pooch": ("pooch==1.9.0",),
    "pypdl": ("pypdl==1.5.7",),
}


def python(name: str) -> Path | None:
    """The interpreter of an environment; None when it could not be made."""
    return FOLDER / name / "bin" / "python" if _stamp(name).exists() else None


def prepare(say: Callable[[str], None]) -> None:
    """Make the environments that are missing; one that cannot be made is left out, with a word."""
    for name in REQUIREMENTS:
        if not _stamp(name).exists():
            say(f"installing {' '.join(REQUIREMENTS[name])}")
            try:
                _make(name)
            except subprocess.CalledProcessError as error:
                say(f"NOT INSTALLED: {name} (exit status {error.returncode})")


def _stamp(name: str) -> Path:
    wanted = "-".join(REQUIREMENTS[name])
    if name == OURS:
        wanted = hashlib.sha256((ROOT / "requirements.in").read_bytes()).hexdigest()[:16]
    return FOLDER / name / f"ready-{wanted}"


def _make(name: str) -> None:
    folder = FOLDER / name
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
    subprocess.run([*pip, "--quiet", *REQUIREMENTS[name]], check=True, cwd=ROOT)
    _stamp(name).touch()
