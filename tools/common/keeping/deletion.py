"""Removing installed models: the files that their receipts name, and nothing else.

A file that was changed since it was installed may be somebody's work, so it stays unless the caller
insists, and its receipt with it. Nothing is removed through a link, nor while another process works on
the model, nor when another installed model names the file too.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from ..checksum import file_checksum
from ..errors import ModelZooError, StorageError
from ..events import SCHEMA_VERSION
from ..files.claiming import claim
from ..files.disk import storage_error
from ..files.paths import PARTIAL_SUFFIX, folded, staging_folder
from ..installation.inventory import Damaged, Entry, Inventory, look
from ..installation.receipts import Installed, Receipt
from ..run.postprocess import reserve_soon, tidy

Why = Literal["changed", "shared", "linked", "busy", "failed"]
"""Why a file is kept; `shared` is no failure, the others are."""


class Removed(msgspec.Struct, frozen=True):
    """A file that was removed, or would be; `size` in bytes."""

    path: str
    size: int


class Kept(msgspec.Struct, frozen=True):
    """A file that was left alone."""

    path: str
    why: Why
    message: str


class DeletedModel(msgspec.Struct, frozen=True):
    """What was done to one model; it is `gone` when no receipt tells of it any more."""

    model: str
    source: str
    gone: bool
    removed: list[Removed]
    kept: list[Kept]


class Deletion(msgspec.Struct, frozen=True):
    """What was done, or would be with `dry_run`; `size` bytes of files are removed."""

    schema_version: int
    output_dir: str
    dry_run: bool
    successful: bool
    size: int
    models: list[DeletedModel]
    damaged: list[Damaged]


def delete_entries(
    inventory: Inventory,
    entries: Sequence[Entry],
    damaged: Sequence[Damaged],
    force: bool,
    dry_run: bool,
) -> Deletion:
    """Remove these models of the inventory; what stays is told, never raised."""
    chosen = {entry.id for entry in entries}
    others: dict[str, list[str]] = {}
    for entry in inventory.entries:
        for output in entry.receipt.outputs:
            others.setdefault(folded(output.path), []).append(entry.id)
    stay = {path: [i for i in ids if i not in chosen] for path, ids in others.items()}
    shared = {path: ids[0] for path, ids in stay.items() if ids}
    folders = _own_folders(inventory)
    models = [
        _Deletion(entry, shared, force).run(folders.get(entry.id, []), dry_run) for entry in entries
    ]
    return Deletion(
        schema_version=SCHEMA_VERSION,
        output_dir=str(inventory.root),
        dry_run=dry_run,
        successful=all(model.gone for model in models) and not damaged,
        size=sum(file.size for model in models for file in model.removed),
        models=models,
        damaged=list(damaged),
    )


def _own_folders(inventory: Inventory) -> Mapping[str, list[str]]:
    """By model the folders below the output directory in which no other model has files."""
    owners: dict[str, set[str]] = {}
    for entry in inventory.entries:
        for output in entry.receipt.outputs:
            if folder := output.path.rpartition("/")[0]:
                owners.setdefault(folder, set()).add(entry.id)
    own: dict[str, list[str]] = {}
    for folder, ids in owners.items():
        if len(ids) == 1:
            own.setdefault(min(ids), []).append(folder)
    return own


_Remover = Callable[[Path], int | None]
"""Removes a file, or acts as if; tells its size, None if it is not there."""


class _InUse(Exception):
    """Another process works on the model."""


class _Deletion:
    """One model on its way out."""

    def __init__(self, entry: Entry, shared: Mapping[str, str], force: bool) -> None:
        self._entry, self._shared, self._force = entry, shared, force
        self._root = entry.root
        self._removed: list[Removed] = []
        self._kept: list[Kept] = []

    def run(self, folders: Sequence[str], dry_run: bool) -> DeletedModel:
        """Remove the model, or only find out what that would mean."""
        try:
            if self._is_linked():
                self._keep("", "linked", "a link leads to its receipt; remove the model by hand")
            elif dry_run:
                self._go_through(self._entry.receipt, _weigh)
            else:
                self._delete(folders)
        except _InUse:
            self._keep("", "busy", f"another process works on {self._entry.id}")
        except (ModelZooError, OSError) as error:
            self._keep("", "failed", str(error))
        gone = all(kept.why == "shared" for kept in self._kept)
        return DeletedModel(self._entry.id, self._entry.source, gone, self._removed, self._kept)

    def _is_linked(self) -> bool:
        """Whether the receipt is in another folder, and so the receipt of what is there."""
        receipt = self._entry.place.path(self._entry)
        return receipt.is_relative_to(self._root) and _leads_elsewhere(self._root, receipt)

    def _keep(self, path: str, why: Why, message: str) -> None:
        self._kept.append(Kept(path, why, message))

    def _delete(self, folders: Sequence[str]) -> None:
        """Everything, while nobody else can begin to work on the model."""
        staging = staging_folder(self._root, self._entry.source, self._entry.name)
        reservation = reserve_soon(staging)
        if reservation is None:
            raise _InUse
        try:
            with reservation:
                if receipt := self._entry.again():  # another process may have been faster
                    with contextlib.ExitStack() as claims:
                        for path in _in_flight(self._root, receipt, folders):
                            self._stop(path, claims)
                        self._go_through(receipt, _remove)
                        self._settle(receipt)
                    self._remove_empty_folders(receipt)
                reservation.discard()
        finally:
            tidy(staging)

    def _stop(self, destination: Path, claims: contextlib.ExitStack) -> None:
        """Throw away what a killed run left of a file; raises _InUse when a run is at it."""
        if _leads_elsewhere(self._root, destination):
            return
        partial = claim(destination)
        if partial is None:
            raise _InUse
        claims.enter_context(partial)
        claims.callback(partial.discard)

    def _go_through(self, receipt: Receipt, remove: _Remover) -> None:
        for output in receipt.outputs:
            path = self._root / output.path
            try:
                if (verdict := self._objection(output, path)) is not None:
                    self._kept.append(verdict)
                elif (size := remove(path)) is not None:
                    self._removed.append(Removed(output.path, size))
            except (OSError, StorageError) as error:
                problem = storage_error(error, path) if isinstance(error, OSError) else error
                self._keep(output.path, "failed", str(problem))
            except _InUse:
                self._keep(output.path, "busy", f"another process works on {self._entry.id}")

    def _objection(self, output: Installed, path: Path) -> Kept | None:
        """Why this file has to stay, if it has; raises OSError."""
        if _leads_elsewhere(self._root, path):
            return Kept(output.path, "linked", "a link leads there; remove it by hand")
        if other := self._shared.get(folded(output.path)):
            return Kept(output.path, "shared", f"{other} has it too")
        if not os.path.lexists(path) or self._is_ours(output, path):
            return None
        if self._force and not stat.S_ISDIR(os.lstat(path).st_mode):
            return None
        return Kept(output.path, "changed", "it was changed since it was installed")

    def _is_ours(self, output: Installed, path: Path) -> bool:
        """Whether the file is what the receipt says; read only where its size or time differ."""
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return False
        if look(self._root, output)[0] == "whole":
            return True
        if output.checksum is None or path.stat().st_size != output.size:
            return False
        return file_checksum(path, output.checksum.type) == output.checksum

    def _settle(self, receipt: Receipt) -> None:
        """The receipt goes last: a killed run is just repeated. It stays for files that were kept."""
        stay = {kept.path for kept in self._kept if kept.why != "shared"}
        outputs = tuple(output for output in receipt.outputs if output.path in stay)
        if not outputs:
            self._entry.place.remove(self._entry)
            return
        # Without inputs and steps it says that the files are ours, never that the model is complete.
        rest = msgspec.structs.replace(receipt, inputs=(), outputs=outputs, steps="[]")
        self._entry.place.save(self._entry, rest)

    def _remove_empty_folders(self, receipt: Receipt) -> None:
        paths = [self._root / output.path for output in receipt.outputs]
        near = {path.parent for path in paths if not _leads_elsewhere(self._root, path)}
        above = {f for folder in near for f in (folder, *folder.parents)}
        folders = {f for f in above if f != self._root and f.is_relative_to(self._root)}
        for folder in sorted(folders, key=lambda f: len(f.parts), reverse=True):
            with contextlib.suppress(OSError):  # it is gone, or there is something in it
                folder.rmdir()


def _weigh(path: Path) -> int | None:
    try:
        return os.lstat(path).st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def _remove(path: Path) -> int | None:
    if (size := _weigh(path)) is not None:
        path.unlink(missing_ok=True)
    return size


def _in_flight(root: Path, receipt: Receipt, folders: Iterable[str]) -> Iterator[Path]:
    """The destinations of the model's files that a run has begun and not ended."""
    named = {root / output.path for output in receipt.outputs}
    found = set()
    for folder in folders:
        with contextlib.suppress(OSError):
            found |= {path for path in (root / folder).iterdir() if path.name.endswith(PARTIAL_SUFFIX)}
    begun = {path.with_name(path.name.removesuffix(PARTIAL_SUFFIX)) for path in found}
    for path in sorted(named | begun):
        if os.path.lexists(path.with_name(path.name + PARTIAL_SUFFIX)):
            yield path


def _leads_elsewhere(root: Path, path: Path) -> bool:
    """Whether one of the folders between the output directory and the file is a link."""
    real = os.path.realpath(root)
    folder = os.path.join(real, path.parent.relative_to(root))
    return os.path.normcase(os.path.realpath(folder)) != os.path.normcase(folder)
