"""Peers from the package index, each in a virtual environment of its own that is made once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "bench"
REQUIREMENTS = {
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
    return FOLDER / name / ("ready-" + "-".join(REQUIREMENTS[name]))


def _make(name: str) -> None:
    folder = FOLDER / name
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
    subprocess.run([*pip, "--quiet", *REQUIREMENTS[name]], check=True)
    _stamp(name).touch()
