"""sources check: asks whether the URLs of models still lead to their files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ...probing import Finding, probe, wrong
from ...reporting.json import document
from ...reporting.stream import warn, write_all, write_text
from ...reporting.table import table
from ..options import Parser, add_format, add_selection, chosen, print_names
from ..remote_models import add_transfer_options
from ..session import FAILED, OK


def add_options(parser: Parser) -> None:
    """The options of this command."""
    add_selection(parser)
    add_format(parser)
    add_transfer_options(parser, attempts=2, timeout=20.0)


def run(options: Any) -> int:
    """Ask, and print what came of it; the exit status tells whether everything is right."""
    choice = chosen(options, warn)
    if options.print_all:
        print_names(choice.ids)
        return OK
    findings = probe(choice.models(), num_attempts=options.num_attempts, timeout=options.timeout)
    if options.format == "json":
        write_all(document(findings))
    else:
        write_text(_table(findings))
    return FAILED if wrong(findings) else OK


def _table(findings: Sequence[Finding]) -> str:
    """A line for each URL that somebody has to look at, and how many there are."""
    rows = [(f.state, f"{f.model}/{f.file}", f.url, f.message or "") for f in wrong(findings)]
    shown = table(("state", "file", "url", "problem"), rows) if rows else ""
    count = Counter(finding.state for finding in findings)
    states = ", ".join(f"{number} {state}" for state, number in count.most_common()) or "nothing"
    return f"{shown}{len(findings)} URL{'' if len(findings) == 1 else 's'}: {states}\n"
