"""downloader: brings the files of models to this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..cache.entries import Cache
from ..concurrency import processors
from ..errors import Interrupted, UsageError
from ..files.disk import write_whole
from ..reporting.json import JsonReporter, document
from ..reporting.stream import is_terminal, warn, write_all, write_text
from ..reporting.text import TextReporter
from ..run.jobs import run
from ..run.outcome import Summary
from ..run.plan import ModelPlan, make_plans
from ..run.setup import (
    CACHE_LINKS,
    MAX_INTERVAL,
    MAX_JOBS,
    MAX_TIMEOUT,
    Listener,
    make_cache,
    make_engine,
)
from ..selection import parse_precisions
from ..variants import Variants
from .cookie import add_cookie, use_given_cookie
from .options import Parser, add_selection, byte_rate, chosen, file_path, number, print_names
from .remote_models import add_code_options, code_obstacles, prepare, register_unknown
from .session import FAILED, OK


def main(arguments: list[str], program: str) -> int:
    """Run the tool; returns the exit status."""
    parser = _parser(program)
    options = parser.parse(arguments)
    precisions = None if options.precisions is None else parse_precisions(options.precisions)
    use_given_cookie(options, warn)
    register_unknown(options)
    choice = chosen(options, warn)
    if options.print_all:
        print_names(choice.ids)
        return OK
    cache = None if options.cache_dir is None else make_cache(options.cache_dir, options.cache_link)
    told: Path | None = options.output_dir
    otherwise = Path()
    if "output_dir" in parser.from_environment:  # a program's own variable says it better
        told, otherwise = None, options.output_dir
    variants = Variants(precisions)
    plans = make_plans(
        choice.models(), told, variants, cache, options.force, otherwise, options.refresh
    )
    if without := [plan.model.id for plan in plans if plan.model.files and not plan.files]:
        warn(f"warning: no file of these precisions: {', '.join(without)}")
    if options.refresh and options.offline:
        raise UsageError("--refresh asks the origins, which --offline forbids")
    if options.dry_run:
        return _dry_run(options, plans, cache)
    prepare(plans, options)
    return _download(options, plans, cache)


def _dry_run(options: Any, plans: Sequence[ModelPlan], cache: Cache | None) -> int:
    from ..run.sizes import measure
    from .dry_run import as_text, examine, obstacles

    measured, refusals = (plans, []) if options.offline else measure(plans, options.timeout)
    rows = examine(measured, cache)
    as_json = options.progress_format == "json"
    write_all(document(rows)) if as_json else write_text(as_text(rows))
    problems = [*refusals, *obstacles(measured, rows, cache, options.offline)]
    problems += code_obstacles(plans, options)
    for problem in problems:
        warn(problem)
    return FAILED if problems else OK


def _parser(program: str) -> Parser:
    parser = Parser(program, "Download models, verified, and print how it goes.")
    add_selection(parser)
    add = parser.add_value
    add("-o", "--output_dir", type=file_path, metavar="DIR", help="where to put models")
    add("--precisions", metavar="P[,P...]", help="only files of these precisions")
    add("--cache_dir", type=file_path, metavar="DIR", help="keep a copy of each file in this cache")
    add(
        "--cache_link",
        choices=CACHE_LINKS,
        default="copy",
        help="hardlink: the cache and the output directory share read-only files, where they can",
    )
    add(
        "--progress_format",
        choices=("text", "json"),
        default="text",
        help="text for people, or json events for programs, one a line",
    )
    add(
        "--progress_interval",
        type=number(float, 0, MAX_INTERVAL, f"seconds, from 0 to {MAX_INTERVAL}"),
        default=0.2,
        metavar="SECONDS",
        help="at least so long between two progress events of a file",
    )
    _add_transfers(parser)
    either = parser.add_mutually_exclusive_group()
    add(
        "--report",
        to=either,
        type=file_path,
        metavar="FILE",
        help="write what came of each file as JSON at the end",
    )
    either.add_argument("--dry_run", action="store_true", help="only say what would be fetched")
    add_code_options(parser)
    add_cookie(parser)
    parser.add_argument("--offline", action="store_true", help="no requests: cache and files only")
    parser.add_argument("--force", action="store_true", help="bring files again that are there")
    parser.add_argument(
        "--refresh",
        action="store_true",
        help="ask the origins whether files without a published checksum have changed",
    )
    return parser


def _add_transfers(parser: Parser) -> None:
    """How files are fetched: how many at a time, how fast, and how patiently."""
    add = parser.add_value
    attempts = number(int, 1, 10**6, "a whole number from 1 to 1000000")
    add(
        "--num_attempts",
        type=attempts,
        metavar="N",
        help="attempts for each file (default: 1, for Topaz models 5)",
    )
    several = number(int, 1, MAX_JOBS, f"a whole number from 1 to {MAX_JOBS}")
    add(
        "--connections",
        type=several,
        metavar="N",
        help="at most so many connections in all (default: 64, and one for each of the jobs)",
    )
    add(
        "--connections_per_host",
        type=several,
        metavar="N",
        help="the same to one host (default: 32, and one for each of the jobs); 1: never split",
    )
    add(
        "--limit_rate",
        type=byte_rate,
        metavar="RATE",
        help="bytes per second for all transfers together, also with K, M or G (of 1024)",
    )
    jobs = number(int, 1, MAX_JOBS, f"a whole number from 1 to {MAX_JOBS}, or auto")
    add(
        "-j",
        "--jobs",
        type=lambda text: text if text == "auto" else jobs(text),
        default=1,
        metavar="N",
        help="files to transfer at a time; auto: as many as make it faster",
    )
    add(
        "--timeout",
        type=number(float, 0.001, MAX_TIMEOUT, f"seconds, above 0 and up to {MAX_TIMEOUT}"),
        default=60.0,
        metavar="SECONDS",
        help="give up on a connection that is silent or stalled for so long",
    )


def _download(options: Any, plans: Sequence[ModelPlan], cache: Cache | None) -> int:
    if options.report:
        _require_writable(options.report)
    reporter = _reporter(options.progress_format, plans)
    listener = Listener(reporter)
    engine = make_engine(
        report=listener,
        cache=cache,
        attempts=options.num_attempts,
        timeout=options.timeout,
        offline=options.offline,
        force=options.force,
        refresh=options.refresh,
        connections=options.connections,
        connections_per_host=options.connections_per_host,
        limit_rate=options.limit_rate,
        progress_interval=options.progress_interval,
    )
    try:
        with listener:
            summary = run(plans, options.jobs, engine, processors())
    finally:
        reporter.close()
    told = not options.report or _write_report(options.report, summary)
    if summary.interrupted:
        raise Interrupted
    if summary.message is not None:
        warn(summary.message)
    return OK if summary.successful and told else FAILED


def _reporter(progress_format: str, plans: Sequence[ModelPlan]) -> Any:
    if progress_format == "json":
        return JsonReporter()
    if is_terminal(sys.stdout) and is_terminal(sys.stderr):
        from ..reporting.live import LiveReporter

        return LiveReporter()
    return TextReporter(plans)


def _require_writable(report: Path) -> None:
    """Raise UsageError where the report cannot be written: sooner than at the end of the work."""
    folder = next(f for f in (report.parent, *report.absolute().parents) if os.path.lexists(f))
    # It is put in place by a rename, which would replace a device or a pipe.
    if os.path.lexists(report) and not os.path.isfile(report):
        raise UsageError(f"--report: {report} is not a regular file")
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise UsageError(f"--report: {report} cannot be written: {folder} is no folder to write to")


def _write_report(path: Path, summary: Summary) -> bool:
    try:
        write_whole(Path(os.path.realpath(path)), document(summary))
    except OSError as error:
        warn(f"the report was not written: {path}: {error.strerror}")
        return False
    return True
