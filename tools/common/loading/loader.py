"""Brings a published model from a repository into the folder that models are kept in, once."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ..api import DownloadFailed
from ..catalog import plain_name
from ..catalog.audmodel.shelf import make_model
from ..errors import (
    UNREACHABLE,
    Interrupted,
    ModelZooError,
    PostprocessingError,
    Reason,
    TransferError,
    UnknownModelError,
)
from ..events import Notice
from ..files.disk import storage_errors
from ..installation.receipts import Receipt, Receipts
from ..model import Model
from ..registry.headers import Header, dump_header
from ..registry.identifiers import Uid, is_alias
from ..registry.model_cache import ModelCache
from ..registry.repository import Proof, Repository
from ..registry.searching import Repositories
from ..run.setup import fetch
from ..variants import EVERY_VARIANT

if TYPE_CHECKING:
    from ..transfer.engine import Engine

POLL = 0.05
"""Seconds between looks at a model that another process is loading."""


class Loader:
    """Loads models of some repositories into one folder."""

    def __init__(
        self,
        repositories: Repositories,
        cache: ModelCache,
        engine: Engine,
        offline: bool = False,
    ) -> None:
        self._repositories, self._cache, self._engine = repositories, cache, engine
        self._offline = offline

    def load(self, text: str) -> Path:
        """The folder of the model, loaded if need be."""
        if folder := self._cache.settled(text):
            return folder
        if self._offline:
            return self._here(text, self._cache.known(text))
        try:
            repository, uid = self._repositories.find(text)
        except TransferError as error:
            return self._here(text, self._cache.known(text), error)
        if is_alias(text):
            self._cache.remember(text, uid)
        return self._loaded(repository, uid)

    def _here(self, text: str, uid: Uid | None, error: TransferError | None = None) -> Path:
        """What is here when nobody can be asked; raises UnknownModelError, or why nobody can."""
        if error is not None and error.reason not in UNREACHABLE:
            raise error
        folder = (self._cache.loaded(uid) or self._cache.search(uid)) if uid else None
        if folder is None:
            raise error or UnknownModelError(
                f"A model with ID {text[:100]!r} is not in {self._cache.root}, and it is --offline."
            )
        if error is not None:
            self._engine.report(Notice(message=f"{error}; {folder} is used"))
        return folder

    def _loaded(self, repository: Repository, uid: Uid) -> Path:
        header = self._cache.header(uid)
        if folder := self._cache.loaded(uid, header):
            return folder
        with self._cache.alone(uid, self._waiting(uid)) as locked:
            header = repository.header(uid)
            if folder := self._cache.loaded(uid, header):
                return folder
            data = dump_header(header) if header.group else repository.header_bytes(uid)
            with self._workspace(uid, locked) as work:
                self._bring(repository, uid, header, work)
                self._cache.keep(uid, "header", data)
                return self._put(work, uid)

    def _waiting(self, uid: Uid) -> Callable[[], None]:
        told: list[bool] = []

        def wait() -> None:
            if not told:
                told.append(True)
                self._engine.report(Notice(message=f"another process loads {uid}"))
            self._engine.cancel.check()
            self._engine.cancel.sleep(POLL)

        return wait

    @contextlib.contextmanager
    def _workspace(self, uid: Uid, locked: bool) -> Iterator[Path]:
        """Where the model is unpacked: what a killed run has left there is resumed."""
        suffix = "" if locked else f".{secrets.token_hex(4)}"
        work = self._cache.state / "loading" / f"{uid.short_id}-{uid.version}{suffix}"
        try:
            yield work
        finally:
            with contextlib.suppress(OSError):  # what is left of a failure is resumed, too
                if not locked:
                    shutil.rmtree(work, ignore_errors=True)
                work.parent.rmdir()

    def _bring(self, repository: Repository, uid: Uid, header: Header, work: Path) -> None:
        proof = repository.proof(uid, header)
        model = _model(repository, uid, header, proof)
        summary = fetch([model], work, EVERY_VARIANT, 1, self._engine)
        if summary.interrupted:
            raise Interrupted
        if not summary.successful:
            raise DownloadFailed(summary)
        _require_published(Receipts(work).load(model), proof, uid)

    def _put(self, work: Path, uid: Uid) -> Path:
        """Give the unpacked model its place, at once, and a receipt there."""
        target = self._cache.folder(uid)
        with storage_errors(target):
            with contextlib.suppress(OSError):  # audmodel leaves empty folders
                target.rmdir()
            (work / _FOLDER).mkdir(parents=True, exist_ok=True)  # of an empty archive
            try:
                (work / _FOLDER).rename(target)
            except OSError:
                if self._cache.loaded(uid) is None:
                    raise
        self._hand_over(work, uid)
        shutil.rmtree(work, ignore_errors=True)
        return target

    def _hand_over(self, work: Path, uid: Uid) -> None:
        """Let the receipt vouch for the files where they are now; without one nothing is lost."""
        place = f"{uid.short_id}/{uid.version}"
        for receipt in Receipts(work).every():
            outputs = tuple(
                msgspec.structs.replace(output, path=place + output.path.removeprefix(_FOLDER))
                for output in receipt.outputs
            )
            moved = msgspec.structs.replace(receipt, outputs=outputs)
            with contextlib.suppress(ModelZooError):
                Receipts(self._cache.root).save(_Named(receipt.source, receipt.model), moved)


_FOLDER = "model"
"""What a model's folder is called while it is unpacked."""


class _Named(msgspec.Struct, frozen=True):
    source: str
    name: str


def _model(repository: Repository, uid: Uid, header: Header, proof: Proof) -> Model:
    model = make_model(repository, uid, header, (), plain_name(repository.name))
    file = msgspec.structs.replace(model.files[0], size=proof.size, checksum=proof.checksum)
    return msgspec.structs.replace(model, files=(file,), subdirectory=_FOLDER)


def _require_published(receipt: Receipt | None, proof: Proof, uid: Uid) -> None:
    """Raise PostprocessingError where files are not those that were published."""
    if receipt is None or proof.digests is None:
        return
    published = {path: digest.sha256 for path, digest in proof.digests.files.items()}
    came = {
        output.path.removeprefix(f"{_FOLDER}/"): output.checksum.value if output.checksum else None
        for output in receipt.outputs
    }
    if odd := sorted(path for path in {*published, *came} if published.get(path) != came.get(path)):
        raise PostprocessingError(
            f'{uid}: "{odd[0]}" is not what was published', Reason.CHECKSUM_MISMATCH
        )
