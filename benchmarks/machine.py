"""What the numbers were measured on and with: nothing that names this machine or its user."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from tests.servers.nginx import nginx_binary

from . import environments
from .corpus import CORES
from .environments import OURS, REQUIREMENTS, ROOT

_COMMANDS = {"curl": 1, "aria2c": 2, "wget": 2}  # the word of the first line that is the version


def machine() -> dict[str, str]:
    """The machine, as a table of two columns."""
    return {
        "Processor": f"{_field('/proc/cpuinfo', 'model name')}, {CORES} cores",
        "Memory": f"{int(_field('/proc/meminfo', 'MemTotal').split()[0]) / 2**20:.1f} GiB",
        "System": f"{_field('/etc/os-release', 'PRETTY_NAME', '=')}, Linux {platform.release()}",
        "Python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """The programs and their versions."""
    told = {"modelzoo": f"{_ours()}, commit {_commit()}", "nginx": _nginx()}
    told |= {name: _version(name, word) for name, word in _COMMANDS.items()}
    others = {name: r for name, r in REQUIREMENTS.items() if name != OURS}
    for name, requirements in others.items():
        package, _, version = requirements[0].partition("==")
        told[package] = version if environments.python(name) else "not installed"
    return told


def load() -> float:
    """How many processes want to run, on average over the last minute."""
    return os.getloadavg()[0]


def _field(path: str, name: str, separator: str = ":") -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(separator)
        if key.strip() == name:
            return value.strip(' "')
    return "0 (unknown)"


def _ours() -> str:
    from modelzoo.version import VERSION

    return VERSION


def _commit() -> str:
    commit = _output("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD") or "unknown"
    return f"{commit} with changes" if _output("git", "-C", str(ROOT), "status", "--short") else commit


def _nginx() -> str:
    binary = nginx_binary()
    return _output(binary, "-v").rpartition("/")[2] if binary else "not installed"


def _version(name: str, word: int) -> str:
    words = _output(name, "--version").split()
    return words[word] if len(words) > word else "not installed"


def _output(*argv: str) -> str:
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
