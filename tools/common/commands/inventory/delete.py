"""remove installed models, that is the files that their receipts name and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...files.disk import readable
from ...keeping.deletion import DeletedModel, Deletion, delete_entries
from ...reporting.stream import warn
from ...reporting.table import count
from ..installed import add_installed, chosen_installed, show
from ..options import Parser, add_format
from ..session import FAILED, OK


def add_options(parser: Parser) -> None:
    """What the subcommand understands."""
    add_installed(parser)
    parser.require_one_of("all", "name", "list", "source")
    add_format(parser)
    parser.add_argument(
        "--dry_run", action="store_true", help="only say what would be removed, and how many bytes"
    )
    parser.add_argument("--force", action="store_true", help="remove files too that were changed since")


def run(options: Any) -> int:
    """Run it; returns the exit status."""
    choice = chosen_installed(options)
    done = delete_entries(
        choice.inventory, choice.entries, choice.damaged, options.force, options.dry_run
    )
    show(options, done, _as_text(done))
    for model in done.models:
        for kept in model.kept:
            where = f"{model.model}: {kept.path}" if kept.path else model.model
            hint = "; --force removes it" if kept.why == "changed" and not options.force else ""
            warn(f"{where}: kept: {kept.message}{hint}")
    return OK if done.successful else FAILED


def _as_text(done: Deletion) -> str:
    lines = [line for model in done.models for line in _lines(model, done.dry_run)]
    word = "would be removed" if done.dry_run else "removed"
    files = count(sum(len(model.removed) for model in done.models), "file")
    total = f"{files} of {count(len(done.models), 'model')}, {done.size} bytes"
    return "".join(f"{line}\n" for line in [*lines, f"{total} ({readable(done.size)}) {word}."])


def _lines(model: DeletedModel, with_files: bool) -> Iterator[str]:
    size = sum(file.size for file in model.removed)
    yield f"{model.model}: {count(len(model.removed), 'file')}, {size} bytes"
    if with_files:
        yield from (f"  {file.path}, {file.size} bytes" for file in model.removed)
