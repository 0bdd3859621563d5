"""What a catalog wants done with files that have come: patch text, unpack, run a source's code.

All work happens in a staging folder; the results are renamed into place when everything is done, so
a killed run leaves the inputs as they were.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from ..cancel import Cancel
from ..errors import ModelZooError, PostprocessingError
from ..files.archives import unpack
from ..files.claiming import claim
from ..files.disk import storage_errors
from ..files.partial import Partial
from ..files.patching import patch
from ..files.paths import PARTIAL_SUFFIX, clash, is_code, safe_path
from ..model import ORIGINAL_SUFFIX, DownloadModel, RegexReplace, Step, UnpackArchive
from ..source_code import consent
from ..source_code.remote_code import download_model

POLL, POLLS = 0.05, 20
"""Seconds between looks at a model that another process has, and how many."""


class Changes(msgspec.Struct, frozen=True):
    """What postprocessing did, as paths relative to the model's folder."""

    written: tuple[str, ...]
    kept: tuple[str, ...]
    """Originals that were renamed to `<name>.orig`."""
    removed: tuple[str, ...]
    """Archives that are of no use any more; `remove` them once a receipt vouches for the rest."""


def postprocess(
    folder: Path, steps: tuple[Step, ...], staging: Path, cancel: Cancel, code: Path = Path()
) -> Changes:
    """Carry out the steps on the model in `folder`; raises ModelZooError, and then nothing changed.

    `code` is the folder of the source's own code, where a step needs that.
    Doing it again on inputs that are there already gives the same result.
    """
    with storage_errors(folder), _fresh(staging):
        work = _Work(folder, staging, cancel, code)
        for step in steps:
            cancel.check()
            try:
                work.do(step)
            except ModelZooError as error:
                raise PostprocessingError(f"{folder / step.file}: {error}", error.reason) from None
        return work.publish()


def reserve(staging: Path) -> Partial | None:
    """The right to work on a model that needs this, or None while another process has it.

    Postprocessing changes files that others would look at, so it takes the whole model. Raises
    StorageError.
    """
    return claim(staging)


def reserve_soon(staging: Path) -> Partial | None:
    """The same, None only if the other process has it for longer than deleting or a look takes."""
    for _ in range(POLLS):
        if reservation := reserve(staging):
            return reservation
        time.sleep(POLL)
    return None


def remove(folder: Path, changes: Changes) -> None:
    """Remove the unpacked archives; raises StorageError."""
    with storage_errors(folder):
        for name in changes.removed:
            (folder / name).unlink(missing_ok=True)


def tidy(staging: Path) -> None:
    """Remove the folders above, unless another model is at work beside us or has a receipt there."""
    with contextlib.suppress(OSError):
        for folder in (staging.parent, staging.parent.parent):
            folder.rmdir()


@contextlib.contextmanager
def _fresh(staging: Path) -> Iterator[None]:
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        yield
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        tidy(staging)


class _Work:
    """A model's folder seen through a staging folder that holds what is new."""

    def __init__(self, folder: Path, staging: Path, cancel: Cancel, code: Path) -> None:
        self._folder, self._staging, self._cancel, self._code = folder, staging, cancel, code
        self._patched: set[str] = set()
        self._archives: set[str] = set()
        self._removed: set[str] = set()
        self._beside_code = self._by_code = False

    def do(self, step: Step) -> None:
        """Carry out one step."""
        if isinstance(step, RegexReplace):
            self.patch(step)
        elif isinstance(step, UnpackArchive):
            self.unpack(step)
        else:
            self.download(step)

    def _find(self, name: str) -> Path:
        relative = safe_path(name)
        for root in (self._staging, self._folder):
            if (root / relative).is_file():
                return root / relative
        raise PostprocessingError("no such file")

    def patch(self, step: RegexReplace) -> None:
        """Replace text."""
        path = self._find(step.file)
        target = self._staging / safe_path(step.file)
        target.parent.mkdir(parents=True, exist_ok=True)
        changed = target.with_name(target.name + PARTIAL_SUFFIX)
        patch(path, changed, step, self._cancel)
        if path == target and step.file not in self._patched:
            _keep_original(path)
        changed.replace(target)
        self._patched.add(step.file)

    def unpack(self, step: UnpackArchive) -> None:
        """Unpack an archive beside itself."""
        path = self._find(step.file)
        beside = self._staging / safe_path(step.file).parent
        unpack(path, beside, step.format, self._cancel)
        if path.is_relative_to(self._staging):
            path.unlink()
        self._archives.add(step.file)
        if not step.keep:
            self._removed.add(step.file)
        self._beside_code = self._beside_code or step.beside_code

    def download(self, step: DownloadModel) -> None:
        """Have a source's code bring what nobody else can."""
        download_model(step, self._code, self._staging, self._cancel)
        self._beside_code = self._by_code = True

    def publish(self) -> Changes:
        """Rename the results into place."""
        written = sorted(
            p.relative_to(self._staging).as_posix() for p in self._staging.rglob("*") if p.is_file()
        )
        # An archive is removed in the end: what has its name would go with it.
        if two := clash([*sorted(self._archives), *written]):
            problem = f'an archive holds "{two[1]}", which cannot be there beside "{two[0]}"'
            raise PostprocessingError(f"{self._folder}: {problem}")
        if self._beside_code and (code := next(filter(is_code, written), None)):
            raise PostprocessingError(f'"{code}" could replace code of the source; it is not accepted')
        if self._beside_code:
            data = [name for name in written if self._by_code or not consent.is_importable(name)]
            consent.extend(self._code, data)
        self._check_places([*written, *(name + ORIGINAL_SUFFIX for name in self._patched)])
        kept = [name for name in sorted(self._patched) if _keep_original(self._folder / name)]
        for name in written:
            (self._folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self._staging / name).replace(self._folder / name)
        return Changes(tuple(written), tuple(kept), tuple(sorted(self._removed)))

    def _check_places(self, names: Iterable[str]) -> None:
        """Refuse what could not be renamed into place, while nothing has been."""
        for name in names:
            places = [p for p in (self._folder / name).parents if p.is_relative_to(self._folder)]
            if (self._folder / name).is_dir() or any(p.is_file() for p in places):
                raise PostprocessingError(
                    f"{self._folder / name}: a file and a folder would need the same name"
                )


def _keep_original(path: Path) -> bool:
    if path.is_file():
        path.replace(path.with_name(path.name + ORIGINAL_SUFFIX))
        return True
    return False
