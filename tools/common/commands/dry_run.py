"""What a dry run prints: each file, where it would come from, and how many bytes are missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from ..credentials import mask
from ..disk import free_space, readable
from ..errors import StorageError
from ..plan import FilePlan, ModelPlan
from ..transfer import adopt


class Row(msgspec.Struct, frozen=True):
    """One file. Sizes are in bytes, None where nobody knows; `state` as docs/downloader.md says."""

    name: str
    path: str
    state: str
    size: int | None
    missing: int | None
    checksum: str | None
    sources: list[str]


class ModelRows(msgspec.Struct, frozen=True):
    """One model and its files."""

    model: str
    source: str
    files: list[Row]


class Document(msgspec.Struct, frozen=True):
    """The whole dry run. `missing` bytes would be fetched, `free` are free in `output_dir`."""

    schema_version: int
    output_dir: str
    files: int
    size: int
    missing: int
    unknown_sizes: int
    free: int
    models: list[ModelRows]


def examine(plans: Sequence[ModelPlan], output_dir: Path) -> Document:
    """Look at the files as closely as a run would."""
    models = [
        ModelRows(plan.model.id, plan.model.source, [_row(file) for file in plan.files])
        for plan in plans
    ]
    rows = [row for model in models for row in model.files]
    return Document(
        schema_version=1,
        output_dir=str(output_dir),
        files=len(rows),
        size=sum(row.size or 0 for row in rows),
        missing=sum(row.missing or 0 for row in rows),
        unknown_sizes=sum(row.missing is None for row in rows),
        free=free_space(output_dir),
        models=models,
    )


def _row(file: FilePlan) -> Row:
    wanted = file.job.file
    state, missing = _state(file)
    checksum = str(wanted.checksum) if wanted.checksum else None
    sources = [mask(origin.url) for origin in file.job.origins]
    return Row(wanted.name, file.path, state, wanted.size, missing, checksum, sources)


def _state(file: FilePlan) -> tuple[str, int | None]:
    if file.state != "present":
        return file.state, file.missing
    try:
        if adopt(file.job):
            return "present", 0
    except StorageError:
        pass
    return "different", file.job.file.size


def as_json(document: Document) -> bytes:
    """The document for programs."""
    return msgspec.json.format(msgspec.json.encode(document), indent=4) + b"\n"


def as_text(document: Document) -> bytes:
    """The document as a listing for people."""
    lines = []
    for model in document.models:
        lines += [model.model, *map(_line, model.files)]
    more = f" and {document.unknown_sizes} files of unknown size" if document.unknown_sizes else ""
    missing = f"{document.missing} bytes ({readable(document.missing)})"
    lines.append(f"{missing}{more} would be fetched.")
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def _line(row: Row) -> str:
    size = "unknown size" if row.size is None else f"{row.size} bytes"
    origin = f" <- {row.sources[0]}" if row.sources and row.missing != 0 else ""
    return f"  {row.state:<9} {row.path}, {size}{origin}"
