"""What was made of a model, and from what: one small JSON file per model beside its receipt.

A step need not be done again while its arguments, the digests of its inputs and the release of its
tool are what they were, and its results are as they were left.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from ..checksum import Checksum
from ..files.disk import storage_errors
from ..files.paths import STATE_DIR
from ..model import KNOWN_PRECISIONS
from .folders import ModelFolder, Stamp
from .steps import Subject

SCHEMA = 1


class Seen(msgspec.Struct, frozen=True):
    """A file whose digest is known while it looks as it did."""

    path: str
    stamp: Stamp
    checksum: Checksum


class Made(msgspec.Struct, frozen=True):
    """One step that was done: what decided about its results, and the results themselves."""

    fingerprint: str
    outputs: tuple[Seen, ...]
    """Paths relative to the model's output folder."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What was done for one model; `inputs` remembers digests, by path or URL."""

    schema: int = SCHEMA
    model: str
    source: str
    inputs: tuple[Seen, ...] = ()
    steps: dict[str, Made] = {}


_DECODER = msgspec.json.Decoder(Record)


class Ledger:
    """The record of one model in one output directory, while work on it goes on."""

    def __init__(self, kind: str, subject: Subject, output: ModelFolder) -> None:
        self._subject, self._output = subject, output
        self._name = record_name(kind, subject)
        self._digests: dict[str, Seen] = {}
        self._steps: dict[str, Made] = {}

    def read(self) -> None:
        """Take over what an earlier run has written, if it can be read; raises TransferError."""
        if (data := self._output.read_record(self._name)) is None:
            return
        with contextlib.suppress(ValueError, RecursionError):
            record = _DECODER.decode(data)
            subject = self._subject
            if (record.schema, record.model, record.source) == (SCHEMA, subject.name, subject.source):
                self._digests = {known.path: known for known in record.inputs}
                self._steps = dict(record.steps)

    def made_files(self) -> set[str]:
        """The paths of all results, relative to the model's output folder."""
        return {output.path for made in self._steps.values() for output in made.outputs}

    def results(self, keys: Iterable[str]) -> list[tuple[str, str]]:
        """The results of these steps, with their digests."""
        made = [self._steps[key] for key in keys if key in self._steps]
        return [(output.path, str(output.checksum)) for step in made for output in step.outputs]

    def is_done(self, key: str, fingerprint: str) -> bool:
        """Whether a step's results are there, and are what it would make."""
        made = self._steps.get(key)
        return (
            made is not None
            and made.fingerprint == fingerprint
            and all(self._output.stamp(output.path) == output.stamp for output in made.outputs)
        )

    def forget(self, key: str) -> None:
        """A step is about to be done again; raises StorageError, TransferError."""
        if self._steps.pop(key, None):
            self._save()

    def note(self, key: str, fingerprint: str, names: Sequence[str]) -> None:
        """A step was done, and left these files in the output folder; raises ModelZooError."""
        with storage_errors(self._output.path):
            self._output.store(names)
            outputs = tuple(_look(self._output, name, name) for name in names)
        self._steps[key] = Made(fingerprint, outputs)
        self._save()

    def _save(self) -> None:
        subject = self._subject
        record = Record(
            model=subject.name,
            source=subject.source,
            inputs=tuple(self._digests.values()),
            steps=self._steps,
        )
        self._output.write_record(self._name, msgspec.json.encode(record))

    def digest(self, folder: ModelFolder, name: str) -> str:
        """The digest of a file, from memory while it looks as it did; raises ModelZooError, OSError."""
        key = folder.address(name)
        known = self._digests.get(key)
        if known is None or known.stamp != folder.stamp(name):
            known = self._digests[key] = _look(folder, name, key)
        return str(known.checksum)


def record_name(kind: str, subject: Subject) -> str:
    """What the record of a model is called."""
    return f"{kind}/{subject.source}/{subject.name}.json"


def record_path(root: Path, kind: str, subject: Subject) -> Path:
    """Where the record of a model is in an output directory of this machine."""
    return root / STATE_DIR / record_name(kind, subject)


def _look(folder: ModelFolder, name: str, path: str) -> Seen:
    stamp = folder.stamp(name)  # before it is read: what changes meanwhile is noticed later
    if stamp is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return Seen(path, stamp, folder.checksum(name))


def fingerprint(*parts: object) -> str:
    """What is equal when all of this is."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def is_result(name: str, made: Iterable[str]) -> bool:
    """Whether a path in a model's folder is something that conversion or quantization makes there."""
    return name in made or name.partition("/")[0] in KNOWN_PRECISIONS
