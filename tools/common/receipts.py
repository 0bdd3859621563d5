"""What is installed where: one small JSON file per model, in `<output_dir>/.modelzoo/receipts`.

The receipts of a folder that belongs to another program are in the user's data folder instead.

A receipt vouches for files by size and modification time, so that a finished tree is recognised
without reading it. It is written after the data it vouches for has reached the disk.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from .checksum import Checksum, parse_checksum
from .clock import Clock
from .credentials import mask
from .disk import file_size, storage_errors, sync, write_whole
from .errors import StorageError
from .events import Notice, Report
from .model import Model, ModelFile, Step, UnpackArchive
from .paths import STATE_DIR

SCHEMA = 1
MAX_BYTES = 64 << 20  # far more than MAX_ENTRIES of one archive need
EVERY = 2.0  # seconds between batches


class Input(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file as it came: its size and digest, the URL (masked) it came from, and the version there."""

    name: str
    size: int
    checksum: Checksum | None
    origin: str | None = None
    verified: bool = True
    validator: str | None = None

    def is_usable(self) -> bool:
        """Whether its digest is one; whoever wrote the receipt could write anything."""
        try:
            return self.checksum is None or bool(parse_checksum(str(self.checksum)))
        except ValueError:
            return False

    def answers(self, file: ModelFile) -> bool:
        """Whether this is what the catalog asks for today: without a checksum the URL says what."""
        same_size = file.size in (None, self.size)
        if file.checksum is None and self.origin is not None:
            return same_size and self.origin in {mask(origin.url) for origin in file.origins}
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
) -> frozenset[str]:
    """The files that need no look: the receipt knows them as the catalog describes them today.

    Postprocessing needs all of its inputs, so then a variant is vouched for whole or not at all.
    """
    came = {i.name: i for i in receipt.inputs}
    answered = {f.name for f in files if f.name in came and came[f.name].answers(f)}
    if not model.postprocessing:
        unchanged = {o.path for o in receipt.outputs if o.unchanged(root)}
        return frozenset(n for n in answered if model.path_of(n) in unchanged)
    broken = {f.variant for f in files if f.name not in answered}
    broken |= {
        model.variant_of(model.name_of(o.path)) for o in receipt.outputs if not o.unchanged(root)
    }
    broken |= {model.variant_of(step.file) for step in _archives_left(model, receipt, root)}
    return frozenset(f.name for f in files if f.variant not in broken)


def _archives_left(model: Model, receipt: Receipt, root: Path) -> Iterator[Step]:
    """An archive is removed last: where one is left, a run was killed or somebody put it there."""
    for step in model.postprocessing:
        path = model.path_of(step.file)
        removed = isinstance(step, UnpackArchive) and receipt.output(path) is None
        if removed and file_size(root / path) is not None:
            yield step


class Receipts:
    """The receipts of one output directory; `foreign`: it belongs to another program."""

    def __init__(self, output_dir: Path, foreign: bool = False) -> None:
        self.root = output_dir
        self._folder = (_of_foreign(output_dir) if foreign else output_dir / STATE_DIR) / "receipts"

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
            if (receipt.schema, receipt.source, receipt.model) == (SCHEMA, model.source, model.name):
                return receipt.of_today(model)
        except (OSError, ValueError, RecursionError):
            pass
        return None

    def save(self, model: Model, receipt: Receipt) -> None:
        """Write a receipt whose files are on disk already; raises StorageError."""
        path = self._path(model)
        with storage_errors(path):
            write_whole(path, msgspec.json.encode(receipt))


_DECODER = msgspec.json.Decoder(Receipt)


def _of_foreign(folder: Path) -> Path:
    """What is kept about a folder that belongs to another program."""
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
