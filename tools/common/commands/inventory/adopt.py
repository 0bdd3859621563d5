"""write receipts for files that are in place already, if they are right."""

from __future__ import annotations

from typing import Any

from ...keeping.enrolment import Enrolment
from ...keeping.functions import adopt
from ...reporting.stream import warn
from ...reporting.table import count, table
from ...selection import parse_precisions
from ..installed import add_progress, hashing_progress, show
from ..options import Parser, add_format, add_selection, chosen, file_path, print_names
from ..session import FAILED, OK


def add_options(parser: Parser) -> None:
    """What the subcommand understands."""
    add_selection(parser)
    where = "where the files are; default: as for the downloader"
    parser.add_value("-o", "--output_dir", type=file_path, metavar="DIR", help=where)
    parser.add_value("--precisions", metavar="P[,P...]", help="only files of these precisions")
    add_format(parser)
    add_progress(parser)


def run(options: Any) -> int:
    """Run it; returns the exit status: whether all that was selected is there and known now."""
    precisions = None if options.precisions is None else parse_precisions(options.precisions)
    choice = chosen(options, warn)
    if options.print_all:
        print_names(choice.ids)
        return OK
    reporter = hashing_progress(options)
    try:
        done = adopt(
            choice.models(),
            options.output_dir,
            precisions=precisions,
            jobs=options.jobs,
            report=reporter,
        )
    finally:
        reporter.close()
    show(options, done, _as_text(done))
    return OK if all(model.complete for model in done.models) else FAILED


def _as_text(done: Enrolment) -> str:
    # Of a whole catalog hardly anything is here: the rest would hide it.
    here = [model for model in done.models if any(file.state != "missing" for file in model.files)]
    shown = here or done.models
    rows = [(model.model, file.path, file.state) for model in shown for file in model.files]
    listing = table(("MODEL", "FILE", "STATE"), rows) if rows else ""
    complete = sum(model.complete for model in done.models)
    models = f"{complete} of {count(len(done.models), 'model')} complete"
    absent = len(done.models) - len(shown)
    rest = f"; nothing is here of {count(absent, 'model')}" if absent else ""
    return f"{listing}{count(done.adopted, 'file')} adopted, {models}{rest}.\n"
