"""The options by which the subcommands that work on repositories name them, and files of values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import CatalogError, UsageError
from ..files.bounded import read_bounded
from ..files.json_documents import MAX_BYTES
from ..registry.configuration import VARIABLE
from ..registry.headers import parse_meta
from .options import Parser


def add_repositories(parser: Parser) -> None:
    """Where to look; the registry itself reads the variable and the file."""
    parser.add_argument(
        "--repository",
        action="append",
        metavar="REPOSITORY",
        help="look in this folder, URL or configured repository instead of all configured ones; can "
        f"be repeated [env: {VARIABLE}]",
    )


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping in a YAML or JSON file; raises UsageError."""
    try:
        return parse_meta(read_bounded(path, MAX_BYTES), str(path))
    except CatalogError as error:
        raise UsageError(str(error)) from None
