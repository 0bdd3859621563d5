"""sources new: writes a model.yml with names, sizes and checksums, to be completed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...catalog.omz import MODEL_CONFIG
from ...catalog.omz.config import MODEL_NAME
from ...drafting import draft_of_folder, draft_of_urls, write_draft
from ...errors import CatalogError, UsageError
from ...events import Event, ModelFileRetry, Notice
from ...files.disk import storage_errors
from ...reporting.stream import warn, write_text
from ..options import Parser, file_path
from ..remote_models import add_transfer_options
from ..session import OK


def add_options(parser: Parser) -> None:
    """The options of this command."""
    parser.add_argument("what", metavar="NAME|FOLDER", help="the new model, or a folder with its files")
    parser.add_argument(
        "entries", nargs="*", metavar="FILE=URL", help="its files, where they are not here"
    )
    add = parser.add_value
    help_tree = "the tree that gets NAME/model.yml"
    add("-o", "--output_dir", type=file_path, default=Path(), metavar="DIR", help=help_tree)
    add("--cache_dir", type=file_path, metavar="DIR", help="keep what is fetched in this cache")
    add_transfer_options(parser, attempts=1)
    parser.add_argument("--force", action="store_true", help="replace a model.yml that is there")


def run(options: Any) -> int:
    """Write it, and print where it is."""
    folder = options.output_dir / options.what if options.entries else Path(options.what)
    name = options.what if options.entries else folder.resolve().name
    if not options.entries and not folder.is_dir():
        raise UsageError(f"{options.what} is no folder; expected NAME FILE=URL…, or a FOLDER")
    if not MODEL_NAME.fullmatch(name) or name in (".", ".."):
        raise UsageError(f"a model's name may hold only 0-9 a-z A-Z . _ -, got {name[:80]!r}")
    with storage_errors(folder):
        if (folder / MODEL_CONFIG).exists() and not options.force:
            raise UsageError(f"{folder / MODEL_CONFIG} is there already; --force replaces it")
    try:
        text = _of_urls(options) if options.entries else draft_of_folder(folder)
    except CatalogError as error:
        raise UsageError(str(error)) from None
    write_text(f"{write_draft(text, folder)}\n")
    return OK


def _of_urls(options: Any) -> str:
    return draft_of_urls(
        options.what,
        options.entries,
        options.output_dir,
        report=_report,
        cache_dir=options.cache_dir,
        num_attempts=options.num_attempts,
        timeout=options.timeout,
    )


def _report(event: Event) -> None:
    if isinstance(event, Notice | ModelFileRetry):
        warn(event.message)
