"""What is installed where: one small JSON file per model, in `<output_dir>/.modelzoo/receipts`.

A receipt vouches for files by size and modification time, so that a finished tree is recognised
without reading it. It is written after the data it vouches for has reached the disk.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from .checksum import Checksum
from .clock import Clock
from .disk import file_size, storage_errors, sync, write_whole
from .errors import StorageError
from .events import Notice, Report
from .model import Model, ModelFile
from .paths import STATE_DIR

SCHEMA = 1
MAX_BYTES = 64 << 20  # far more than MAX_ENTRIES of one archive need
EVERY = 2.0  # seconds between batches


class Input(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file as it came: its size and digest, and the URL (masked) it came from."""

    name: str
    size: int
    checksum: Checksum | None
    origin: str | None = None
    verified: bool = True

    def answers(self, file: ModelFile) -> bool:
        """Whether this is what the catalog asks for today."""
        same_size = file.size in (None, self.size)
        return same_size and file.checksum in (None, self.checksum)


class Installed(msgspec.Struct, frozen=True):
    """A file on disk: path relative to the output directory, size, time (ns), and digest."""

    path: str
    size: int
    mtime_ns: int
    checksum: Checksum | None

    def unchanged(self, root: Path) -> bool:
        """Whether the file still looks as it did when it was installed."""
        try:
            stat = os.stat(root / self.path)
        except (OSError, ValueError):
            return False
        return (stat.st_size, stat.st_mtime_ns) == (self.size, self.mtime_ns)


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What one model put where. `steps` is the postprocessing that was done, as JSON."""

    schema: int = SCHEMA
    model: str
    source: str
    version: str | None
    time: str
    inputs: tuple[Input, ...]
    outputs: tuple[Installed, ...]
    steps: str = "[]"

    def input(self, name: str) -> Input | None:
        """The record of the file that came under this name."""
        return next((i for i in self.inputs if i.name == name), None)

    def output(self, path: str) -> Installed | None:
        """The record of the file at this path."""
        return next((o for o in self.outputs if o.path == path), None)


def steps_of(model: Model) -> str:
    """The model's postprocessing in a form that is equal when it does the same."""
    return msgspec.json.encode(model.postprocessing).decode()


class Receipts:
    """The receipts of one output directory."""

    def __init__(self, output_dir: Path) -> None:
        self.root = output_dir
        self._folder = output_dir / STATE_DIR / "receipts"

    def _path(self, model: Model) -> Path:
        return self._folder / model.source / f"{model.name}.json"

    def load(self, model: Model) -> Receipt | None:
        """The model's receipt; None when there is none of its own that can be read."""
        path = self._path(model)
        size = file_size(path)
        if size is None or size > MAX_BYTES:
            return None
        try:
            receipt = _DECODER.decode(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        expected = (SCHEMA, model.source, model.name)
        return receipt if (receipt.schema, receipt.source, receipt.model) == expected else None

    def save(self, model: Model, receipt: Receipt) -> None:
        """Write a receipt whose files are on disk already; raises StorageError."""
        path = self._path(model)
        with storage_errors(path):
            write_whole(path, msgspec.json.encode(receipt))


_DECODER = msgspec.json.Decoder(Receipt)


class ReceiptWriter:
    """Writes receipts in batches: syncing file by file would make a disk wait for every small file.

    What a killed run had not written yet is only looked at again by the next one.
    """

    def __init__(self, receipts: Receipts, clock: Clock, report: Report) -> None:
        self._receipts, self._clock, self._report = receipts, clock, report
        self._lock, self._flushing = threading.Lock(), threading.Lock()
        self._due: dict[str, tuple[Model, Callable[[], Receipt]]] = {}
        self._fresh: list[Path] = []
        self._flushed = clock.now()

    def arrived(self, files: Iterable[Path]) -> None:
        """These files may not have reached the disk yet; call it before a receipt knows of them."""
        with self._lock:
            self._fresh += files

    def add(self, model: Model, make: Callable[[], Receipt]) -> None:
        """Write the receipt that `make` returns soon."""
        with self._lock:
            self._due[model.qualified] = model, make
            now = self._clock.now()
            # What postprocessing has removed could not be looked at again, only fetched.
            due = now - self._flushed >= EVERY or bool(model.postprocessing)
            if due:
                self._flushed = now
        if due:
            self.flush()

    def flush(self) -> None:
        """Sync the fresh files, then write all receipts that are due. A failure is only a notice."""
        with self._flushing:
            with self._lock:
                due, self._due = self._due, {}
            receipts = [(model, make()) for model, make in due.values()]
            # Only now: a file that came in between may be in a receipt already.
            with self._lock:
                fresh, self._fresh = self._fresh, []
            try:
                sync(fresh)
                problems = [*filter(None, (self._save(*pair) for pair in receipts))]
            except OSError as error:
                problems = [str(error)]
            if problems:
                message = "receipts were not written, the next run looks at the files again"
                self._report(Notice(message=f"{message}: {problems[0]}"))

    def _save(self, model: Model, receipt: Receipt) -> str | None:
        try:
            self._receipts.save(model, receipt)
        except StorageError as error:
            return str(error)
        return None
