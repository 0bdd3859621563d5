"""publish: packs a folder, sends it to a repository, and prints the id of the new model"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from ...errors import UsageError
from ...parameters import parse_parameter
from ...registry.configuration import VARIABLE
from ...registry.writing import ATTEMPTS, publish
from ...reporting.json import JsonReporter
from ...reporting.publishing import publishing_reporter
from ...reporting.stream import note, write_text
from ...run.setup import MAX_TIMEOUT
from ..options import Parser, file_path, number
from ..repositories import read_mapping
from ..session import OK

OWN_VERSION = True
"""`--version` is the model's here; that of the tools is what `publisher.py --version` prints."""


def add_options(parser: Parser) -> None:
    """The options of this command."""
    add = parser.add_argument
    add("folder", metavar="FOLDER", type=file_path, help="the folder with the model's files")
    add("--name", required=True, metavar="NAME", help="what kind of model it is, voxcnn say")
    add("--version", required=True, metavar="X.Y.Z", help="its version; -SUFFIX may follow")
    add("--subgroup", metavar="GROUP", help="what it is for, with dots: anger.autrainer")
    add(
        "--param",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a parameter that tells it from others of its name: a number, True, False, None, a list "
        "like [a, 2], else text; quotes inside make text of anything; can be repeated",
    )
    add("--meta", type=file_path, metavar="FILE", help="more about it, a mapping in YAML or JSON")
    add("--alias", metavar="ALIAS", help="a name that means this model from now on")
    add("--author", metavar="NAME", help="who made it (default: you)")
    add("--date", type=_date, metavar="YYYY-MM-DD", help="when (default: today)")
    _add_transfer(parser)


def _add_transfer(parser: Parser) -> None:
    parser.add_argument(
        "--repository",
        metavar="REPOSITORY",
        help=f"publish to this folder, URL or configured repository [env: {VARIABLE}, its first line]",
    )
    add = parser.add_value
    level = number(int, 0, 9, "a whole number from 0 to 9")
    add("--compression", type=level, default=1, metavar="LEVEL", help="0: none, 9: the slowest")
    add("--tmp_dir", type=file_path, metavar="DIR", help="make the archive in this folder")
    attempts = number(int, 1, 1000, "a whole number from 1 to 1000")
    what = "attempts for each request"
    add("--num_attempts", type=attempts, default=ATTEMPTS, metavar="N", help=what)
    seconds = number(float, 0.001, MAX_TIMEOUT, f"seconds, above 0 and up to {MAX_TIMEOUT}")
    add("--timeout", type=seconds, default=60.0, metavar="SECONDS", help="wait so long for a server")
    what = "json: print events, one a line, instead of the id"
    add("--progress_format", choices=("text", "json"), default="text", help=what)


def run(options: Any) -> int:
    """Publish; nothing but the id is printed on standard output."""
    parameters = _parameters(options.param)
    json = options.progress_format == "json"
    meta = read_mapping(options.meta) if options.meta else None
    if not json:
        for key, value in parameters.items():
            note(f"{key} = {value!r} ({'None' if value is None else type(value).__name__})")
    reporter: Any = JsonReporter() if json else publishing_reporter()
    try:
        uid = publish(
            options.folder,
            options.name,
            parameters,
            options.version,
            repository=options.repository,
            author=options.author,
            date=options.date,
            meta=meta,
            subgroup=options.subgroup,
            alias=options.alias,
            compression=options.compression,
            report=reporter,
            num_attempts=options.num_attempts,
            timeout=options.timeout,
            tmp_root=options.tmp_dir,
        )
    finally:
        reporter.close()
    if not json:
        write_text(f"{uid}\n")
    return OK


def _parameters(texts: Sequence[str]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for key, value in map(parse_parameter, texts):
        if key in parameters:
            raise UsageError(f"--param {key} is given twice")
        parameters[key] = value
    return parameters


def _date(text: str) -> dt.date:
    return dt.date.fromisoformat(text)
