"""list the installed models, with size, version, source, date and state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ...events import SCHEMA_VERSION
from ...files.disk import readable
from ...installation.inventory import Damaged, InstalledModel, describe_installed
from ...reporting.table import count, table
from ..installed import add_installed, chosen_installed, show
from ..options import Parser, add_format
from ..session import OK


class Listing(msgspec.Struct, frozen=True):
    """The document of `--format json`; `size` is in bytes."""

    schema_version: int
    output_dir: str
    size: int
    models: list[InstalledModel]
    damaged: list[Damaged]


def add_options(parser: Parser) -> None:
    """What the subcommand understands."""
    add_installed(parser)
    add_format(parser)


def run(options: Any) -> int:
    """Run it; returns the exit status."""
    choice = chosen_installed(options)
    models = [describe_installed(entry) for entry in choice.entries]
    listing = Listing(
        schema_version=SCHEMA_VERSION,
        output_dir=str(choice.inventory.root),
        size=sum(model.size for model in models),
        models=models,
        damaged=list(choice.damaged),
    )
    show(options, listing, _as_text(listing, models))
    return OK


def _as_text(listing: Listing, models: Sequence[InstalledModel]) -> str:
    if not models:
        return f"Nothing is installed in {listing.output_dir}.\n"
    heading = ("MODEL", "VERSION", "SOURCE", "SIZE", "DATE", "STATE")
    rows = [
        (m.model, m.version or "-", m.source, readable(m.size), m.time[:10], _state(m)) for m in models
    ]
    return (
        table(heading, rows, right=[3]) + f"{count(len(models), 'model')}, {readable(listing.size)}\n"
    )


def _state(model: InstalledModel) -> str:
    words: list[str] = ["missing files" if model.state == "missing" else model.state]
    words += ["unverified"] * (not model.verified) + ["postprocessed"] * model.postprocessed
    return ", ".join(words)
