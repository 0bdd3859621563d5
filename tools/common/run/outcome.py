"""What came of a run: per file, per model, and in all. The document of `--report`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ..errors import ModelZooError, Reason
from ..events import ModelFileDownloadBegin, ModelFileDownloadEnd, OriginKind, RunEnd
from ..transfer.engine import Delivery
from .plan import FilePlan, ModelPlan


class FileOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of one file. `path` is relative to the output directory."""

    name: str
    path: str
    successful: bool
    origin: OriginKind | None = None
    size: int | None = None
    checksum: str | None = None
    verified: bool = True
    url: str | None = None
    seconds: float = 0.0
    reason: Reason | None = None
    message: str | None = None


class ModelOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of one model; `reason` and `message` when postprocessing failed."""

    model: str
    source: str
    version: str | None
    output_dir: str
    successful: bool
    files: list[FileOutcome]
    reason: Reason | None = None
    message: str | None = None


class Summary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of a run: the document of `--report`, and what the Python API returns.

    `output_dir` is None where the models went to several. `reason` and `message` say why nothing was
    started, where nothing was.
    """

    schema_version: int
    output_dir: str | None
    successful: bool
    interrupted: bool
    seconds: float
    reason: Reason | None = None
    message: str | None = None
    models: list[ModelOutcome]


class Ended(msgspec.Struct, frozen=True, tag=True):
    """What came of some models, by number, whether they were interrupted, and the bytes received."""

    outcomes: dict[int, ModelOutcome]
    interrupted: bool
    network: int


LOST = "the process that worked on it has ended"
"""Why a model has no outcome where several processes share a run."""


def succeeded(outcome: FileOutcome, delivery: Delivery) -> FileOutcome:
    """The outcome of a file that is there."""
    return msgspec.structs.replace(
        outcome,
        successful=True,
        origin=delivery.kind,
        size=delivery.size,
        checksum=str(delivery.checksum) if delivery.checksum else None,
        verified=delivery.verified,
        url=delivery.url,
    )


def installed(file: FilePlan) -> FileOutcome:
    """The outcome of a file that a receipt vouches for: nothing had to be done."""
    record = file.record
    assert record is not None, "an installed file has a record"
    return FileOutcome(
        name=file.file.name,
        path=file.path,
        successful=True,
        origin="local",
        size=record.size,
        checksum=str(record.checksum) if record.checksum else None,
        verified=record.verified,
        url=record.origin,
    )


def failed(outcome: FileOutcome, error: ModelZooError) -> FileOutcome:
    """The outcome of a file that is not."""
    return msgspec.structs.replace(outcome, successful=False, reason=error.reason, message=str(error))


def without_work(file: FilePlan, why: ModelZooError) -> FileOutcome:
    """The outcome of a file that nothing was done for."""
    if file.record:
        return installed(file)
    return failed(FileOutcome(name=file.file.name, path=file.path, successful=False), why)


def model_outcome(
    plan: ModelPlan,
    came: Mapping[str, FileOutcome],
    why: ModelZooError,
    failure: ModelZooError | None,
) -> ModelOutcome:
    """What came of a model: of some files in this run, of the others nothing, because of `why`."""
    files = [came.get(f.file.name) or without_work(f, why) for f in plan.files]
    return ModelOutcome(
        model=plan.model.id,
        source=plan.model.source,
        version=plan.model.version,
        output_dir=str(plan.root),
        successful=failure is None and all(file.successful for file in files),
        files=files,
        reason=failure.reason if failure else None,
        message=str(failure) if failure else None,
    )


def untouched(plan: ModelPlan, why: ModelZooError) -> ModelOutcome:
    """What there is of a model that was not begun; `why` says what was in the way."""
    return model_outcome(plan, {}, why, None if plan.made else why)


def begin_event(file: FilePlan, size: int | None) -> ModelFileDownloadBegin:
    """The event that tells that work on a file of this size begins."""
    return ModelFileDownloadBegin(
        model=file.model.id,
        model_file=file.file.name,
        size=-1 if size is None else size,
        size_known=size is not None,
        path=file.destination,
    )


def end_event(file: FilePlan, outcome: FileOutcome) -> ModelFileDownloadEnd:
    """The event that tells a file's outcome."""
    return ModelFileDownloadEnd(
        model=file.model.id,
        model_file=outcome.name,
        successful=outcome.successful,
        origin=outcome.origin,
        size=outcome.size,
        checksum=outcome.checksum,
        verified=outcome.verified,
        seconds=outcome.seconds,
        path=file.destination,
        reason=outcome.reason,
        message=outcome.message,
    )


def run_end(summary: Summary, bytes_network: int) -> RunEnd:
    """The last event of a run."""
    files = [file for model in summary.models for file in model.files]

    def came(kind: str) -> int:
        return sum(file.size or 0 for file in files if file.origin == kind)

    return RunEnd(
        successful=summary.successful,
        models=len(summary.models),
        models_failed=sum(not model.successful for model in summary.models),
        files=len(files),
        files_failed=sum(not file.successful for file in files),
        bytes_network=bytes_network,
        bytes_cache=came("cache"),
        bytes_local=came("local"),
        seconds=summary.seconds,
        reason=Reason.INTERRUPTED if summary.interrupted else summary.reason,
    )
