"""Whether the files of installed models still have the digests of their receipts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ..clock import Clock
from ..errors import StorageError
from ..events import SCHEMA_VERSION, Notice, Report, Verdict
from ..files.disk import sync
from ..files.paths import staging_folder
from ..installation.inventory import Damaged, Entry
from ..installation.receipts import Installed
from ..run.postprocess import reserve_soon, tidy
from .rehash import Finding, Target, rehash


class BrokenFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file that is not what its receipt says; `repaired` when a right one has come since."""

    model: str
    source: str
    path: str
    state: Verdict
    message: str
    repaired: bool = False


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. `successful`: all files are whole, or have been repaired."""

    schema_version: int
    output_dir: str
    successful: bool
    models: int
    files: int
    size: int
    seconds: float
    broken: list[BrokenFile]
    damaged: list[Damaged]


class _Record(msgspec.Struct, frozen=True):
    """One file that a receipt names."""

    entry: Entry
    output: Installed

    @property
    def target(self) -> Target:
        """What to hash."""
        checksums = (self.output.checksum,) if self.output.checksum else ()
        path = self.entry.root / self.output.path
        return Target(path, self.output.size, checksums, self.entry.id)


def verify_entries(
    root: Path,
    entries: Sequence[Entry],
    damaged: Sequence[Damaged],
    workers: int,
    report: Report,
    clock: Clock,
) -> Verification:
    """Hash all files of these models and compare; raises Interrupted.

    Receipts learn the times and digests of whole files that they did not know.
    """
    started = clock.now()
    records = [_Record(entry, output) for entry in entries for output in entry.receipt.outputs]

    def judge(number: int, finding: Finding) -> Finding:
        return finding if finding.state == "whole" else _look_again(records[number], finding)

    findings = rehash([record.target for record in records], workers, report, clock, judge)
    _keep_receipts_right(records, findings, report)
    pairs = list(zip(records, findings, strict=True))
    broken = [_broken(r, f) for r, f in pairs if f.state not in ("whole", "gone")]
    return Verification(
        schema_version=SCHEMA_VERSION,
        output_dir=str(root),
        successful=not broken and not damaged,
        models=len(entries),
        files=len(findings),
        size=sum(finding.size for finding in findings),
        seconds=round(clock.now() - started, 3),
        broken=broken,
        damaged=list(damaged),
    )


def _look_again(record: _Record, finding: Finding) -> Finding:
    """Another process may have deleted the model or brought another version since it was listed."""
    if finding.state == "missing" and _in_use(record.entry):
        return Finding("gone", message="another process works on the model")
    receipt = record.entry.again()
    if receipt and record.output in receipt.outputs:
        return finding
    return Finding("gone", message="another process has deleted or replaced it")


def _in_use(entry: Entry) -> bool:
    """Whether another process has the model for itself, to delete it or to postprocess it."""
    staging = staging_folder(entry.root, entry.source, entry.name)
    try:
        reservation = reserve_soon(staging)
    except StorageError:  # nobody can work on what cannot be written
        return False
    if reservation is None:
        return True
    with reservation:
        reservation.discard()
    tidy(staging)
    return False


def _broken(record: _Record, finding: Finding) -> BrokenFile:
    return BrokenFile(
        model=record.entry.id,
        source=record.entry.source,
        path=record.output.path,
        state=finding.state,
        message=finding.message or "",
    )


def _keep_receipts_right(
    records: Sequence[_Record], findings: Sequence[Finding], report: Report
) -> None:
    """What is proven is written down, so that the next run need not look at it again."""
    news: dict[str, dict[Installed, Installed]] = {}
    for record, finding in zip(records, findings, strict=True):
        output = record.output
        proven = Installed(output.path, finding.size, finding.mtime_ns, finding.checksum)
        if finding.state == "whole" and proven != output:
            news.setdefault(record.entry.id, {})[output] = proven
    entries = {record.entry.id: record.entry for record in records}
    for name, changes in news.items():
        try:
            _update(entries[name], changes)
        except (OSError, StorageError) as error:  # a read-only tree can be verified all the same
            report(Notice(message=f"{name}: the receipt was not brought up to date: {error}"))


def _update(entry: Entry, changes: Mapping[Installed, Installed]) -> None:
    sync(entry.root / output.path for output in changes)
    if receipt := entry.again():  # what another process has written meanwhile stays
        outputs = tuple(changes.get(output, output) for output in receipt.outputs)
        entry.place.save(entry, msgspec.structs.replace(receipt, outputs=outputs))
