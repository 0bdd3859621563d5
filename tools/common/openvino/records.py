"""What was made of a model, and from what: one small JSON file per model beside its receipt.

A step need not be done again while its arguments, the digests of its inputs and the release of its
tool are what they were, and its results are as they were left.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from ..checksum import file_checksum
from ..files.disk import storage_errors, sync, write_whole
from ..files.paths import PARTIAL_SUFFIX, STATE_DIR
from ..installation.receipts import Installed
from ..model import KNOWN_PRECISIONS
from .steps import Subject

SCHEMA = 1
ALGORITHM = "sha256"
MAX_BYTES = 64 << 20


class Made(msgspec.Struct, frozen=True):
    """One step that was done: what decided about its results, and the results themselves."""

    fingerprint: str
    outputs: tuple[Installed, ...]
    """Paths relative to the model's output folder."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What was done for one model; `inputs` remembers digests, by absolute path."""

    schema: int = SCHEMA
    model: str
    source: str
    inputs: tuple[Installed, ...] = ()
    steps: dict[str, Made] = {}


_DECODER = msgspec.json.Decoder(Record)


class Ledger:
    """The record of one model in one output directory, while work on it goes on."""

    def __init__(self, output_dir: Path, kind: str, subject: Subject) -> None:
        self._subject, self._output = subject, output_dir / subject.subdirectory
        self.path = output_dir / STATE_DIR / kind / subject.source / f"{subject.name}.json"
        self._digests: dict[str, Installed] = {}
        self._steps: dict[str, Made] = {}

    def read(self) -> None:
        """Take over what an earlier run has written, if it can be read."""
        try:
            found = os.stat(self.path)
            if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
                return
            record = _DECODER.decode(self.path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return
        if (record.schema, record.model, record.source) == (
            SCHEMA,
            self._subject.name,
            self._subject.source,
        ):
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
        made, root = self._steps.get(key), os.path.join(self._output, "")
        return (
            made is not None
            and made.fingerprint == fingerprint
            and all(output.unchanged(root) for output in made.outputs)
        )

    def forget(self, key: str) -> None:
        """A step is about to be done again; raises StorageError."""
        if self._steps.pop(key, None):
            self._save()

    def note(self, key: str, fingerprint: str, names: Sequence[str]) -> None:
        """A step was done, and left these files in the output folder; raises StorageError."""
        with storage_errors(self._output):
            sync(self._output / name for name in names)
            outputs = tuple(_look(self._output / name, name) for name in names)
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
        with storage_errors(self.path):
            write_whole(self.path, msgspec.json.encode(record))

    def digest(self, path: Path) -> str:
        """The digest of a file, from memory while size and time are what they were; raises OSError."""
        key = os.path.abspath(path)
        known = self._digests.get(key)
        if known is None or not known.unchanged(""):
            known = self._digests[key] = _look(path, key)
        return str(known.checksum)


def _look(path: Path, name: str) -> Installed:
    found = os.stat(path)  # before it is read: what changes meanwhile is noticed later
    return Installed(name, found.st_size, found.st_mtime_ns, file_checksum(path, ALGORITHM))


def fingerprint(*parts: object) -> str:
    """What is equal when all of this is."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def files_below(root: Path, leave_out: Callable[[str], bool] = lambda name: False) -> Iterator[str]:
    """The files below a folder, sorted; a file's own path means itself; raises OSError."""
    if root.is_file():
        yield ""
        return
    for folder, folders, names in os.walk(root):
        below = os.path.relpath(folder, root).replace(os.sep, "/")
        prefix = "" if below == "." else f"{below}/"
        folders[:] = sorted(
            f for f in folders if f not in ("__pycache__", STATE_DIR) and not leave_out(prefix + f)
        )
        for name in sorted(names):
            if not name.endswith(PARTIAL_SUFFIX) and not leave_out(prefix + name):
                yield prefix + name


def is_result(name: str, made: Iterable[str]) -> bool:
    """Whether a path in a model's folder is something that conversion or quantization makes there."""
    return name in made or name.partition("/")[0] in KNOWN_PRECISIONS
