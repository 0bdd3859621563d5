"""lists the backends that models of the active sources have files for"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from ...catalog import active_sources, choose
from ...model import Model
from ...reporting.json import document
from ...reporting.stream import warn, write_all, write_text
from ...reporting.table import table
from ...variants import backends_of, targets_of
from ..options import Parser, add_format, add_sources
from ..session import OK


class Row(msgspec.Struct, frozen=True):
    """A backend, how many models have files for it, and how many files those are."""

    backend: str
    models: int
    files: int


def add_options(parser: Parser) -> None:
    """The options of this command."""
    add_sources(parser)
    add_format(parser)


def run(options: Any) -> int:
    """Print the backends, sorted."""
    sources = active_sources(options.source or ())
    rows = _rows(choose(sources, None, lambda message: warn(f"warning: {message}")).models())
    if options.format == "json":
        write_all(document(rows))
    elif rows:
        write_text(table(("backend", "models", "files"), [msgspec.structs.astuple(r) for r in rows]))
    else:
        warn("no active source has models for several backends (see --source)")
    return OK


def _rows(models: Iterable[Model]) -> list[Row]:
    counted: Counter[str] = Counter()
    files: Counter[str] = Counter()
    for model in models:
        counted.update(backends_of([model]))
        for file in model.files:
            files.update({target.backend for target in targets_of(file.variant)})
    return [Row(backend, counted[backend], files[backend]) for backend in sorted(counted)]
