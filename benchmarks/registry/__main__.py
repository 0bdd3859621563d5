"""Measure the registry: `python -m benchmarks.registry [--quick] [--only NAME ...] [--output FILE]`."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from ..machine import load, machine
from ..markdown import table
from ..places import base_folder

RESULTS = Path(__file__).parent.parent / "REGISTRY.md"


def main() -> int:
    """Run every part, and write what came of it."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begun, busy = time.monotonic(), load()
    text = ["# Publishing and loading", "Made by `make bench-registry`; see [README.md](README.md)."]
    rows = [*machine().items(), ("Load before", f"{busy:.1f}")]
    text.append(table(("", ""), [(name, value) for name, value in rows]))
    output = options.output or (None if options.quick or options.only else RESULTS)
    for name in options.only or parts():
        part = importlib.import_module(f".{name}", __package__)
        with tempfile.TemporaryDirectory(prefix="registry-", dir=base_folder()) as folder:
            text += part.measure(Path(folder), options.quick, _say)
        if output:  # after each part: the next may take minutes
            output.write_text("\n\n".join(text) + "\n", encoding="utf-8")
    if not output:
        print("\n\n".join(text))
    _say(f"{time.monotonic() - begun:.0f} s")
    return 0


def parts() -> list[str]:
    """The modules that measure something."""
    package = importlib.import_module(__package__)
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    return [
        n
        for n in names
        if n[0] != "_" and hasattr(importlib.import_module(f".{n}", __package__), "measure")
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.registry")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, printed")
    parser.add_argument("--only", nargs="+", choices=parts(), help="only these parts, printed")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write here instead")
    return parser.parse_args()


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
