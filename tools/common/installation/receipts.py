"""What is installed where: one small JSON file per model, in `<output_dir>/.modelzoo/receipts`.

The receipts of a folder that belongs to another program are in the user's data folder instead.

A receipt vouches for files by size and modification time, so that a finished tree is recognised
without reading it. It is written after the data it vouches for has reached the disk.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from ..checksum import Checksum
from ..clock import Clock
from ..errors import StorageError
from ..events import Notice, Report
from ..files.disk import file_size, storage_errors, sync, write_whole
from ..files.paths import STATE_DIR
from ..model import Model, ModelFile, Step, UnpackArchive
from .inputs import Input, Size

SCHEMA = 1
MAX_BYTES = 64 << 20  # far more than MAX_ENTRIES of one archive need
EVERY = 2.0  # seconds between batches


class Installed(msgspec.Struct, frozen=True, gc=False):
    """A file on disk: path relative to the output directory, size, time (ns), and digest."""

    path: str
    size: Size
    mtime_ns: int
    checksum: Checksum | None

    def unchanged(self, root: str) -> bool:
        """Whether the file still looks as it did when it was installed; `root` ends with a slash."""
        try:
            found = os.stat(root + self.path)
        except (OSError, ValueError):
            return False
        return (found.st_size, found.st_mtime_ns) == (self.size, self.mtime_ns)


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
    parameters: dict[str, Any] = {}
    family: str = ""
    titles: tuple[str, ...] = ()
    """These three: see Model."""

    @property
    def complete(self) -> bool:
        """Whether it is of a whole model, and not of what stayed when that was deleted."""
        return bool(self.inputs) or self.steps != "[]"

    @property
    def done(self) -> tuple[Step, ...]:
        """The postprocessing that was done; ValueError when nobody can say."""
        return _STEPS.decode(self.steps)

    def of_today(self, model: Model) -> Receipt | None:
        """What of it is about the model as the catalog describes it today, None when nothing is.

        It says nothing of a variant whose steps differ: they were others, or it was not selected.
        """
        if self.steps == steps_text(model.postprocessing):
            return self
        done = self.done
        variants = {None, *(file.variant for file in model.files)}
        same = {
            v
            for v in variants
            if tuple(s for s in done if model.variant_of(s.file) == v) == model.steps_of({v})
        }
        if None not in same:
            return None
        return msgspec.structs.replace(
            self,
            inputs=tuple(i for i in self.inputs if model.variant_of(i.name) in same),
            outputs=tuple(o for o in self.outputs if model.variant_of(model.name_of(o.path)) in same),
            steps=steps_text(step for step in done if model.variant_of(step.file) in same),
        )


_STEPS = msgspec.json.Decoder(tuple[Step, ...])


def steps_text(steps: Iterable[Step]) -> str:
    """Postprocessing in a form that is equal when it does the same."""
    return msgspec.json.encode(tuple(steps)).decode()


def vouched_files(
    model: Model, files: Sequence[ModelFile], receipt: Receipt, root: Path
) -> dict[str, Input]:
    """The files that need no look: the receipt's records of them, as the catalog describes them today.

    Postprocessing needs all of its inputs, so then a variant is vouched for whole or not at all.
    """
    came = {i.name: i for i in receipt.inputs}
    answered = {f.name: came[f.name] for f in files if f.name in came and came[f.name].answers(f)}
    outputs, prefix = {o.path: o for o in receipt.outputs}, os.path.join(root, "")
    if not model.postprocessing:
        there = {name: outputs.get(model.path_of(name)) for name in answered}
        return {n: answered[n] for n, o in there.items() if o is not None and o.unchanged(prefix)}
    broken = {f.variant for f in files if f.name not in answered}
    broken |= {
        model.variant_of(model.name_of(o.path)) for o in receipt.outputs if not o.unchanged(prefix)
    }
    broken |= {model.variant_of(step.file) for step in _archives_left(model, outputs, root)}
    return {f.name: answered[f.name] for f in files if f.variant not in broken}


def _archives_left(model: Model, outputs: Container[str], root: Path) -> Iterator[Step]:
    """An archive is removed last: where one is left, a run was killed or somebody put it there."""
    for step in model.postprocessing:
        path = model.path_of(step.file)
        removed = isinstance(step, UnpackArchive) and path not in outputs
        if removed and file_size(root / path) is not None:
            yield step


class Named(Protocol):
    """What a receipt is of: a model, or what is left of one whose catalog is gone."""

    @property
    def source(self) -> str:
        """The source's name."""

    @property
    def name(self) -> str:
        """The model's name."""


class Receipts:
    """The receipts of one output directory; `foreign`: it belongs to another program."""

    def __init__(self, output_dir: Path, foreign: bool = False) -> None:
        self.root = output_dir
        folder = _of_foreign(output_dir) if foreign else output_dir / STATE_DIR
        self.folder = folder / "receipts"

    def path(self, model: Named) -> Path:
        """Where the model's receipt is, or would be."""
        return self.folder / model.source / f"{model.name}.json"

    def load(self, model: Model) -> Receipt | None:
        """The model's receipt; None when there is none of its own that can be read."""
        try:
            receipt = self.read(self.path(model))
            if (receipt.source, receipt.model) == (model.source, model.name):
                return receipt.of_today(model)
        except (OSError, ValueError, RecursionError):
            pass
        return None

    def every(self) -> Iterator[Receipt]:
        """All that can be read, whatever the catalog says today."""
        for path in sorted(self.folder.rglob("*.json")):
            with contextlib.suppress(OSError, ValueError, RecursionError):
                yield self.read(path)

    def read(self, path: Path) -> Receipt:
        """The receipt in this file; raises OSError, ValueError or RecursionError."""
        # Opening a pipe or a device could block for ever.
        if not stat.S_ISREG((found := os.stat(path)).st_mode):
            raise ValueError("is not a regular file")
        if found.st_size > MAX_BYTES:
            raise ValueError(f"is larger than {MAX_BYTES} bytes")
        receipt = _DECODER.decode(path.read_bytes())
        if receipt.schema != SCHEMA:
            raise ValueError(f"has schema {receipt.schema}, expected {SCHEMA}")
        return receipt

    def save(self, model: Named, receipt: Receipt) -> None:
        """Write a receipt whose files are on disk already; raises StorageError."""
        path = self.path(model)
        with storage_errors(path):
            write_whole(path, msgspec.json.encode(receipt))

    def remove(self, model: Named) -> None:
        """Forget the model, and leave no empty folders of ours; raises StorageError."""
        path = self.path(model)
        with storage_errors(path):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # until one holds something
            for folder in path.parents:
                folder.rmdir()
                if folder == self.folder.parent:
                    break


_DECODER = msgspec.json.Decoder(Receipt)


def _of_foreign(folder: Path) -> Path:
    """What is kept about a folder that belongs to another program."""
    import hashlib

    from platformdirs import user_data_path

    digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()
    return user_data_path("modelzoo") / "folders" / digest[:32]


_Key = tuple[Path, str]
"""The output directory and the model."""


class ReceiptWriter:
    """Writes receipts in batches: syncing file by file would make a disk wait for every small file.

    What a killed run had not written yet is only looked at again by the next one.
    """

    def __init__(self, clock: Clock, report: Report) -> None:
        self._clock, self._report = clock, report
        self._lock, self._flushing = threading.Lock(), threading.Lock()
        self._due: dict[_Key, tuple[Receipts, Model, Callable[[], Receipt]]] = {}
        self._unwritten: set[_Key] = set()
        self._fresh: list[Path] = []
        self._flushed = clock.now()

    def arrived(self, files: Iterable[Path]) -> None:
        """These files may not have reached the disk yet; call it before a receipt knows of them."""
        with self._lock:
            self._fresh += files

    def add(self, receipts: Receipts, model: Model, make: Callable[[], Receipt]) -> bool:
        """Write the receipt that `make` returns soon, at once for a postprocessed model.

        Returns whether it is on the disk.
        """
        key = receipts.root, model.qualified
        with self._lock:
            self._due[key] = receipts, model, make
            now = self._clock.now()
            # What postprocessing has removed could not be looked at again, only fetched.
            due = now - self._flushed >= EVERY or bool(model.postprocessing)
            if due:
                self._flushed = now
        if due:
            self.flush()
        return due and key not in self._unwritten

    def flush(self) -> None:
        """Sync the fresh files, then write all receipts that are due. A failure is only a notice."""
        with self._flushing:
            with self._lock:
                due, self._due = self._due, {}
            made = [(place, model, make()) for place, model, make in due.values()]
            # Only now: a file that came in between may be in a receipt already.
            with self._lock:
                fresh, self._fresh = self._fresh, []
            problems: list[str] = []
            self._unwritten |= due.keys()
            try:
                sync(fresh)
                for place, model, receipt in made:
                    self._save(place, model, receipt, problems)
            except OSError as error:
                problems.append(str(error))
            if problems:
                message = "receipts were not written, the next run looks at the files again"
                self._report(Notice(message=f"{message}: {problems[0]}"))

    def _save(self, place: Receipts, model: Model, receipt: Receipt, problems: list[str]) -> None:
        try:
            place.save(model, receipt)
            self._unwritten.discard((place.root, model.qualified))
        except StorageError as error:
            problems.append(str(error))
