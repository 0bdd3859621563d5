"""meta: shows what is known of a model beyond its parameters, or adds to it"""

from __future__ import annotations

from typing import Any

from ...registry.headers import dump_meta
from ...registry.writing import search, update_meta
from ...reporting.json import document
from ...reporting.stream import write_all
from ..options import Parser, file_path
from ..repositories import add_repositories, read_mapping
from ..session import OK


def add_options(parser: Parser) -> None:
    """The options of this command."""
    parser.add_argument("model", metavar="MODEL", help="an id or an alias")
    parser.add_argument(
        "file", nargs="?", type=file_path, metavar="FILE", help="what to add, a mapping in YAML or JSON"
    )
    parser.add_argument("--replace", action="store_true", help="keep nothing of what was known")
    what = "text: YAML, as the repository has it"
    parser.add_value("--format", choices=("text", "json"), default="text", help=what)
    add_repositories(parser)


def run(options: Any) -> int:
    """Change it, if there is something to change, and print all of it."""
    if options.file is None:
        repository, uid = search(options.repository).find(options.model)
        meta = repository.meta(uid)
    else:
        meta = update_meta(
            options.model,
            read_mapping(options.file),
            replace=options.replace,
            repository=options.repository,
        )
    write_all(document(meta) if options.format == "json" else dump_meta(meta))
    return OK
