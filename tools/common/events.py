"""What a run tells while it works; one JSON object a line with `--progress_format=json`.

The first seven are Open Model Zoo's, their members unchanged; everything else only adds. The JSON
Schema in docs/events.schema.json is generated from these classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec

from .errors import Reason

SCHEMA_VERSION = 1

OriginKind = Literal["network", "cache", "local"]
"""Where a file came from: a server, the cache, or this machine (already there, or a file URL)."""

Verdict = Literal["whole", "changed", "missing", "unreadable", "gone"]
"""What a file on this disk is; `gone`: somebody has deleted or replaced it meanwhile, on purpose."""

PublishStep = Literal["packing", "uploading"]

Size = Annotated[int, msgspec.Meta(ge=0, description="bytes")]
Seconds = Annotated[float, msgspec.Meta(ge=0, description="seconds")]


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="$type"):
    """One thing that happened. Members that are not known are left out."""


class ModelDownloadBegin(Event, frozen=True, tag="model_download_begin"):
    """Work on a model starts; `num_files` of its files are selected."""

    model: str
    num_files: Annotated[int, msgspec.Meta(ge=0)]


class ModelDownloadEnd(Event, frozen=True, tag="model_download_end"):
    """Work on a model's files has ended; `successful` when every one of them is there."""

    model: str
    successful: bool


class ModelFileDownloadBegin(Event, frozen=True, tag="model_file_download_begin"):
    """Work on a file starts. `size` is -1, and `size_known` false, while nobody has told it."""

    model: str
    model_file: str
    size: Annotated[int, msgspec.Meta(ge=-1, description="bytes, -1: unknown")]
    size_known: bool = True
    path: str = ""


class ModelFileDownloadProgress(Event, frozen=True, tag="model_file_download_progress"):
    """`size` bytes of the file are here; less than before when an attempt had to start over."""

    model: str
    model_file: str
    size: Size
    origin: OriginKind = "network"


class ModelFileDownloadEnd(Event, frozen=True, tag="model_file_download_end"):
    """Work on a file has ended; on failure `reason` (a fixed list) and `message` say why."""

    model: str
    model_file: str
    successful: bool
    origin: OriginKind | None = None
    size: Size | None = None
    checksum: str | None = None
    verified: bool = True
    seconds: Seconds | None = None
    path: str = ""
    reason: Reason | None = None
    message: str | None = None


class ModelPostprocessingBegin(Event, frozen=True, tag="model_postprocessing_begin"):
    """Patching or unpacking of a model's files starts."""

    model: str


class ModelPostprocessingEnd(Event, frozen=True, tag="model_postprocessing_end"):
    """Patching or unpacking has ended."""

    model: str
    successful: bool
    reason: Reason | None = None
    message: str | None = None


class ModelFileChanged(Event, frozen=True, tag="model_file_changed"):
    """The origin has other bytes than it had before; the new ones have come (--refresh)."""

    model: str
    model_file: str
    url: str
    before: str
    after: str


class ModelFileRetry(Event, frozen=True, tag="model_file_retry"):
    """Attempt number `attempt` failed; the next one comes in `wait` seconds."""

    model: str
    model_file: str
    attempt: Annotated[int, msgspec.Meta(ge=1)]
    wait: Seconds
    reason: Reason
    message: str


class RunBegin(Event, frozen=True, tag="run_begin"):
    """The first event: what is selected. `size` is the sum of the sizes that are known."""

    schema_version: int
    models: Annotated[int, msgspec.Meta(ge=0)]
    files: Annotated[int, msgspec.Meta(ge=0)]
    size: Size


class RunEnd(Event, frozen=True, tag="run_end"):
    """The last event: what came of it; also after an interruption."""

    successful: bool
    models: Annotated[int, msgspec.Meta(ge=0)]
    models_failed: Annotated[int, msgspec.Meta(ge=0)]
    files: Annotated[int, msgspec.Meta(ge=0)]
    files_failed: Annotated[int, msgspec.Meta(ge=0)]
    bytes_network: Size
    bytes_cache: Size
    bytes_local: Size
    seconds: Seconds
    reason: Reason | None = None


class VerifyBegin(Event, frozen=True, tag="verify_begin"):
    """The first event when files on this disk are hashed again; `size` is what there is to read."""

    schema_version: int
    files: Annotated[int, msgspec.Meta(ge=0)]
    size: Size


class FileVerifyBegin(Event, frozen=True, tag="file_verify_begin"):
    """Hashing of a file starts. `model` is left out for entries of a cache."""

    path: str
    size: Size
    model: str | None = None


class FileVerifyProgress(Event, frozen=True, tag="file_verify_progress"):
    """`size` bytes of the file have been hashed."""

    path: str
    size: Size
    model: str | None = None


class FileVerifyEnd(Event, frozen=True, tag="file_verify_end"):
    """What a file turned out to be; `checksum` is what it has, `message` says what is wrong."""

    path: str
    state: Verdict
    model: str | None = None
    checksum: str | None = None
    message: str | None = None


class VerifyEnd(Event, frozen=True, tag="verify_end"):
    """Everything has been hashed, or the user did not want to wait; `size` bytes were read."""

    successful: bool
    files: Annotated[int, msgspec.Meta(ge=0)]
    files_failed: Annotated[int, msgspec.Meta(ge=0)]
    size: Size
    seconds: Seconds
    reason: Reason | None = None


class PublishBegin(Event, frozen=True, tag="publish_begin"):
    """The first event of publishing a folder; `size` is what its files have together."""

    schema_version: int
    model: str
    repository: str
    files: Annotated[int, msgspec.Meta(ge=0)]
    size: Size


class PublishProgress(Event, frozen=True, tag="publish_progress"):
    """`size` bytes of the folder have been packed, or of its archive been sent."""

    model: str
    step: PublishStep
    size: Size


class PublishRetry(Event, frozen=True, tag="publish_retry"):
    """Attempt number `attempt` at something failed; the next one comes in `wait` seconds."""

    model: str
    attempt: Annotated[int, msgspec.Meta(ge=1)]
    wait: Seconds
    reason: Reason
    message: str


class PublishEnd(Event, frozen=True, tag="publish_end"):
    """The last event of publishing: size and digest of the archive, or why there is no new model."""

    model: str
    successful: bool
    seconds: Seconds
    size: Size | None = None
    checksum: str | None = None
    reason: Reason | None = None
    message: str | None = None


class Notice(Event, frozen=True, tag="notice"):
    """A warning for people. It goes to stderr and never into the JSON stream."""

    message: str


AnyEvent = (
    RunBegin
    | ModelDownloadBegin
    | ModelFileDownloadBegin
    | ModelFileDownloadProgress
    | ModelFileRetry
    | ModelFileChanged
    | ModelFileDownloadEnd
    | ModelDownloadEnd
    | ModelPostprocessingBegin
    | ModelPostprocessingEnd
    | RunEnd
    | VerifyBegin
    | FileVerifyBegin
    | FileVerifyProgress
    | FileVerifyEnd
    | VerifyEnd
    | PublishBegin
    | PublishProgress
    | PublishRetry
    | PublishEnd
)
"""The events of the JSON stream."""

Report = Callable[[Event], None]
"""Takes events; called from several threads, never from two at once."""


def json_schema() -> dict[str, Any]:
    """The JSON Schema of one line of the stream: docs/events.schema.json."""
    (schema,), components = msgspec.json.schema_components([AnyEvent], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "One event of --progress_format=json",
        "description": "Each line is one such object. More members and more types may come.",
        **schema,
        "$defs": dict(sorted(components.items())),
    }
