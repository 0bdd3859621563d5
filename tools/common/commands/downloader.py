"""downloader: brings the files of models to this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from ..api import fetch, make_engine
from ..disk import write_whole
from ..errors import Interrupted, UsageError
from ..events import Event
from ..model import Model
from ..outcome import Summary
from ..plan import make_plans
from ..reporting.json import JsonReporter
from ..reporting.stream import warn, write_all
from ..reporting.text import TextReporter
from ..selection import parse_precisions
from .dry_run import as_json, as_text, examine
from .options import Parser, add_selection, number, positive, selected
from .session import FAILED, OK


def main(arguments: list[str], program: str) -> int:
    """Run the tool; returns the exit status."""
    options = _parser(program).parse(arguments)
    precisions = None if options.precisions is None else parse_precisions(options.precisions)
    models = selected(options, warn)
    if options.print_all:
        write_all("".join(f"{model.id}\n" for model in models).encode())
        return OK
    if options.dry_run:
        return _dry_run(options, models, precisions)
    return _download(options, models, precisions)


def _parser(program: str) -> Parser:
    parser = Parser(program, "Download models, verified, and print how it goes.")
    add_selection(parser)
    add = parser.add_value
    add("-o", "--output_dir", type=Path, default=Path(), metavar="DIR", help="where to put models")
    add("--precisions", metavar="P[,P...]", help="only files of these precisions")
    add("--num_attempts", type=positive, default=1, metavar="N", help="attempts for each file")
    add("--cache_dir", type=Path, metavar="DIR", help="keep a copy of each file in this cache")
    add(
        "--progress_format",
        choices=("text", "json"),
        default="text",
        help="text for people, or json events for programs, one a line",
    )
    add("-j", "--jobs", type=positive, default=1, metavar="N", help="files to transfer at a time")
    add(
        "--timeout",
        type=number(float, 0.001, "a number of seconds above 0"),
        default=60.0,
        metavar="SECONDS",
        help="give up on a connection that is silent or stalled for so long",
    )
    add(
        "--report",
        type=Path,
        metavar="FILE",
        help="write what came of each file as JSON at the end",
    )
    parser.add_argument("--dry_run", action="store_true", help="only say what would be fetched")
    parser.add_argument("--offline", action="store_true", help="no requests: cache and files only")
    parser.add_argument("--force", action="store_true", help="bring files again that are there")
    return parser


def _dry_run(options: Any, models: list[Model], precisions: frozenset[str] | None) -> int:
    engine = make_engine(report=_ignore, cache_dir=options.cache_dir)
    plans = make_plans(models, options.output_dir, precisions, engine.cache, options.force)
    document = examine(plans, options.output_dir)
    write_all(as_json(document) if options.progress_format == "json" else as_text(document))
    return OK


def _ignore(event: Event) -> None:
    """A dry run reports nothing."""


def _download(options: Any, models: list[Model], precisions: frozenset[str] | None) -> int:
    if options.report and options.report.is_dir():
        raise UsageError(f"--report: {options.report} is a folder")
    reporter = _reporter(options.progress_format)
    engine = make_engine(
        report=reporter,
        cache_dir=options.cache_dir,
        attempts=options.num_attempts,
        timeout=options.timeout,
        offline=options.offline,
        force=options.force,
    )
    try:
        summary = fetch(models, options.output_dir, precisions, options.jobs, engine)
    finally:
        reporter.close()
    if options.report:
        _write_report(options.report, summary)
    if summary.interrupted:
        raise Interrupted
    return OK if summary.successful else FAILED


def _reporter(progress_format: str) -> Any:
    if progress_format == "json":
        return JsonReporter()
    if _is_terminal(sys.stdout) and _is_terminal(sys.stderr) and "CI" not in os.environ:
        from ..reporting.live import LiveReporter

        return LiveReporter()
    return TextReporter()


def _is_terminal(stream: Any) -> bool:
    return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"


def _write_report(path: Path, summary: Summary) -> None:
    document = msgspec.json.format(msgspec.json.encode(summary), indent=4) + b"\n"
    try:
        write_whole(path, document)
    except OSError as error:
        warn(f"the report was not written: {path}: {error.strerror}")
