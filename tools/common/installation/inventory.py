"""What is installed in an output directory, as its receipts tell it: no catalog is asked.

Receipts are input from outside like any other. One that names a path that leads elsewhere, or that
is damaged in any way, is not believed in part: nothing that it names is looked at or removed.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..checksum import make_checksum
from ..errors import ModelZooError, SelectionError, StorageError
from ..events import Verdict
from ..files.disk import storage_errors
from ..files.paths import safe_path
from ..selection import Filters, select
from .receipts import Installed, Receipt, Receipts

_GRAVITY: tuple[Verdict, ...] = ("whole", "changed", "unreadable", "missing")


class Entry(msgspec.Struct, frozen=True):
    """One receipt and the place that it is kept in; of the rest of the model nothing is known."""

    id: str
    """The model's name, with its source where another one that is installed has that name too."""
    place: Receipts
    receipt: Receipt
    composite: None = None
    framework: str = ""
    task_type: str = ""
    license_url: str = ""
    tags: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def root(self) -> Path:
        """The output directory."""
        return self.place.root

    @property
    def name(self) -> str:
        """The model's name."""
        return self.receipt.model

    @property
    def source(self) -> str:
        """The name of the source that it came from."""
        return self.receipt.source

    @property
    def version(self) -> str | None:
        """The version, where the catalog told one."""
        return self.receipt.version

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Its parameters, where its source told any."""
        return self.receipt.parameters

    @property
    def family(self) -> str:
        """What all versions of it are called together."""
        return self.receipt.family

    @property
    def titles(self) -> tuple[str, ...]:
        """Names that it shares with them."""
        return self.receipt.titles

    def again(self) -> Receipt | None:
        """The receipt as it is now: another process may have written or removed it."""
        try:
            return _read(self.place, self.place.path(self))
        except (OSError, ValueError, RecursionError, ModelZooError):
            return None


class Damaged(msgspec.Struct, frozen=True):
    """A receipt that cannot be used, and why."""

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}; download the model again, or remove this file"


class Inventory(msgspec.Struct, frozen=True):
    """What the receipts of one output directory say, by name."""

    root: Path
    entries: tuple[Entry, ...]
    damaged: tuple[Damaged, ...]


class InstalledFile(msgspec.Struct, frozen=True):
    """One installed file; `size` is what is there, None when nothing can be seen."""

    path: str
    state: Verdict
    size: int | None
    checksum: str | None


class InstalledModel(msgspec.Struct, frozen=True):
    """One installed model. `state` is that of its worst file, `size` what its files take in bytes.

    It is `verified` when a digest of the catalog proved every file that came.
    """

    model: str
    source: str
    version: str | None
    time: str
    output_dir: str
    state: Verdict
    verified: bool
    postprocessed: bool
    size: int
    files: list[InstalledFile]


def take_inventory(root: Path) -> Inventory:
    """Read all receipts of an output directory, those that are kept elsewhere too.

    Raises StorageError when there is no such folder.
    """
    with storage_errors(root):
        if not stat.S_ISDIR(os.stat(root).st_mode):
            raise StorageError(f"{root}: is not a folder")
    found: dict[tuple[str, str], tuple[Receipts, Receipt]] = {}
    damaged = []
    for place in (Receipts(root), Receipts(root, foreign=True)):
        for path in _files(place.folder):
            try:
                receipt = _read(place, path)
            except (OSError, ValueError, RecursionError, ModelZooError) as error:
                if not os.path.lexists(path):  # another process has just deleted the model
                    continue
                problem = error.strerror if isinstance(error, OSError) else str(error)
                damaged.append(Damaged(str(path), f"the receipt cannot be used: {problem}"))
            else:
                found.setdefault((receipt.model, receipt.source), (place, receipt))
    count = Counter(name for name, _ in found)
    entries = (
        Entry(name if count[name] == 1 else f"{source}:{name}", place, receipt)
        for (name, source), (place, receipt) in sorted(found.items(), key=lambda item: item[0])
    )
    return Inventory(root, tuple(entries), tuple(damaged))


def _files(folder: Path) -> Iterator[Path]:
    """All receipt files; links to folders are not followed."""
    for parent, folders, files in os.walk(folder):
        folders.sort()
        yield from (Path(parent, name) for name in sorted(files) if name.endswith(".json"))


def _read(place: Receipts, path: Path) -> Receipt:
    """A receipt that is safe to act on; raises OSError, ValueError, RecursionError, UnsafePathError."""
    receipt = place.read(path)
    if path != place.folder / f"{receipt.source}/{receipt.model}.json":
        raise ValueError(f'it is that of "{receipt.source}:{receipt.model}"')
    for output in receipt.outputs:
        safe_path(output.path)
    for item in receipt.inputs:
        safe_path(item.name)
    checksums = [i.checksum for i in receipt.inputs] + [o.checksum for o in receipt.outputs]
    for checksum in filter(None, checksums):
        make_checksum(checksum.type, checksum.value)
    return receipt


def choose_installed(
    inventory: Inventory, filters: Filters, sources: Sequence[str] = ()
) -> list[Entry]:
    """The models that the filters mean, of these sources if any are named; SelectionError as `select`.

    Where nothing is asked for by name, there may be nothing.
    """
    known = sorted({entry.source for entry in inventory.entries})
    for source in sources:
        if source not in known:
            raise SelectionError(f'Nothing of the source "{source}" is installed.', known[:8])
    entries = [e for e in inventory.entries if not sources or e.source in sources]
    if not entries and filters.patterns is None:
        return []
    return select(entries, filters)


def describe_installed(entry: Entry) -> InstalledModel:
    """How the files of a model look, by size and time: nothing is read."""
    receipt = entry.receipt
    files = [_file(entry.root, output) for output in receipt.outputs]
    return InstalledModel(
        model=entry.name,
        source=entry.source,
        version=entry.version,
        time=receipt.time,
        output_dir=str(entry.root),
        state=worst(file.state for file in files),
        verified=all(i.verified and i.checksum is not None for i in receipt.inputs),
        postprocessed=receipt.steps != "[]",
        size=sum(file.size or 0 for file in files),
        files=files,
    )


def worst(states: Iterable[Verdict]) -> Verdict:
    """The gravest of these states."""
    return max(states, key=_GRAVITY.index, default="whole")


def _file(root: Path, output: Installed) -> InstalledFile:
    checksum = str(output.checksum) if output.checksum else None
    state, size = look(root, output)
    return InstalledFile(output.path, state, size, checksum)


def look(root: Path, output: Installed) -> tuple[Verdict, int | None]:
    """What a file seems to be by its size and time, and its size."""
    try:
        found = os.stat(root / output.path)
    except (FileNotFoundError, NotADirectoryError):
        return "missing", None
    except OSError:
        return "unreadable", None
    if not stat.S_ISREG(found.st_mode):
        return "changed", None
    same = (found.st_size, found.st_mtime_ns) == (output.size, output.mtime_ns)
    return "whole" if same else "changed", found.st_size
