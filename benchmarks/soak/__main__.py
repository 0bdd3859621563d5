"""Soak: `python -m benchmarks.soak [--seconds N] [--seed N] [--output FILE]`."""

from __future__ import annotations

import argparse
import random
import signal
import sys
from pathlib import Path

from .report import section
from .scenes import ALL
from .soaking import SECONDS, soak


def main() -> int:
    """Soak all scenes and show the figures; 1 when something was wrong."""
    options = _options()
    # An exit, unlike the end by a signal, stops the server and removes the files.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _say(f"seed {options.seed}")
    done = soak(ALL, options.seconds, options.seed, _say)
    text = "\n\n".join(section(done)) + "\n"
    print(text, end="")
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    return 1 if done.problems else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.soak", description=__doc__.partition(":")[0])
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, metavar="N",
        help="begin rounds for so long (default: %(default)g)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, default=random.randrange(10**6), metavar="N",
        help="of faults and kills (default: another one each time)",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args()


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
