"""Measure: `python -m benchmarks [--quick] [--repeats N] [--only NAME ...] [--output FILE]`."""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from pathlib import Path

from .environments import FOLDER, prepare
from .limits import limits
from .machine import load
from .places import base_folder
from .report import document, failures
from .rounds import Pace, Result, measure
from .scenarios import scenarios
from .soak.report import section
from .soak.scenes import ALL, quick
from .soak.soaking import QUICK_SECONDS, SECONDS, Soak, soak
from .targets import essential

_RESULTS = Path(__file__).with_name("RESULTS.md")
SOAK = "soak"


def main() -> int:
    """Run what is asked for and write the report; 1 when a program failed."""
    options = _options()
    # An exit, unlike the end by a signal, stops the servers and removes the files.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    repeats = options.repeats or (3 if options.quick else 5)
    pace = Pace(3.0, 6.0, 2) if options.quick else Pace(20.0, 40.0, 3)
    found = essential(scenarios(quick=True)) if options.quick else scenarios(quick=False)
    wanted = [scenario for scenario in found if not options.only or scenario.name in options.only]
    start, before = time.monotonic(), {"Load average before": f"{load():.2f}"}
    if wanted:
        prepare(_say)
        before |= limits(base_folder())
    results: list[Result] = []
    for scenario in wanted:
        results.append(measure(scenario, base_folder(), repeats, pace, _say))
        _write(FOLDER / "so-far.md", document(results, repeats, options.quick, before))
    soaked = _soak(options) if not options.only or SOAK in options.only else None
    sections = section(soaked) if soaked else ()
    text = document(results, repeats, options.quick, before, sections)
    output = options.output or _default_output(options)
    _write(output, text)
    if options.quick:
        print(text)
    for line in (failed := failures(results) + (soaked.problems if soaked else [])):
        _say(f"FAILED: {line}")
    _say(f"written to {output} after {time.monotonic() - start:.0f} s")
    return 1 if failed else 0


def _soak(options: argparse.Namespace) -> Soak:
    scenes, seconds = (quick(ALL), QUICK_SECONDS) if options.quick else (ALL, SECONDS)
    return soak(scenes, seconds, random.randrange(10**6), _say)


def _options() -> argparse.Namespace:
    names = [scenario.name for scenario in scenarios(quick=False)] + [SOAK]
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__.partition(":")[0])
    parser.add_argument("--quick", action="store_true", help="only what has a target, and fewer rounds")
    parser.add_argument("--repeats", type=int, metavar="N", help="rounds (default: 5, quick: 3)")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write the report")
    options = parser.parse_args()
    quick = {scenario.name for scenario in essential(scenarios(quick=True))} | {SOAK}
    if options.quick and options.only and (without := set(options.only) - quick):
        parser.error(f"nothing with a target is in {', '.join(sorted(without))}: leave out --quick")
    return options


def _default_output(options: argparse.Namespace) -> Path:
    """Only a whole run replaces the results in the repository."""
    if options.quick:
        return FOLDER / "quick.md"
    return FOLDER / "some.md" if options.only else _RESULTS


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


sys.exit(main())
