"""Publishing a folder: packed, claimed, sent, and made known by its header at the very end.

A model exists once its header does. Whatever is there without one is what a killed run left: nobody
sees it, and the next run that publishes this model removes it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import getpass
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..errors import (
    AlreadyPublishedError,
    InvalidValueError,
    MissingFolderError,
    ModelZooError,
    Reason,
    TransferError,
)
from ..events import (
    SCHEMA_VERSION,
    Notice,
    PublishBegin,
    PublishEnd,
    PublishProgress,
    PublishRetry,
    PublishStep,
    Report,
)
from .aliases import changing_aliases, point, target_of, withdraw
from .claims import Held, Times, claimed
from .digests import Digests, dump_digests
from .headers import Header, dump_header, dump_meta
from .identifiers import Uid, require_alias, require_version, short_id
from .layout import (
    aliases_key,
    archive_key,
    digest_key,
    header_key,
    meta_key,
    require_names,
)
from .packing import MAX_LEVEL, Contents, look_through, pack
from .patience import PatientStorage
from .storage import Storage
from .workspace import workspace

INTERVAL = 0.2  # seconds between two progress events


class Publication(msgspec.Struct, frozen=True):
    """A folder, and what it is published as."""

    root: Path
    header: Header
    meta: Mapping[str, Any] | None
    alias: str | None
    compression: int

    @property
    def uid(self) -> Uid:
        """What it will be called."""
        header = self.header
        return Uid(short_id(header.name, header.parameters, header.subgroup), header.version)

    @property
    def archive(self) -> str:
        """The key of its archive."""
        return archive_key(self.uid, self.header.name, self.header.subgroup)


def make_publication(
    root: str | os.PathLike[str],
    name: str,
    params: Mapping[str, Any],
    version: str,
    *,
    author: str | None = None,
    date: dt.date | None = None,
    meta: Mapping[str, Any] | None = None,
    subgroup: str | None = None,
    alias: str | None = None,
    compression: int = 1,
) -> Publication:
    """A publication whose parts are all as they have to be.

    Raises InvalidValueError, MissingFolderError.
    """
    require_names(name, subgroup or "")
    require_version(version)
    if alias is not None:
        require_alias(alias)
    if not 0 <= compression <= MAX_LEVEL:
        raise InvalidValueError(f"expected a compression of 0 to {MAX_LEVEL}, got {compression}")
    header = Header(
        author=author or _user(),
        date=date or dt.date.today(),
        name=name,
        parameters=dict(params),
        subgroup=subgroup or "",
        version=version,
    )
    dump_header(header), dump_meta(meta)
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise MissingFolderError(f"{folder} is no folder")
    return Publication(folder, header, meta, alias, compression)


def _user() -> str:
    """Who runs this; raises InvalidValueError where the system has no name for them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise InvalidValueError("this user has no name: say who the author is") from None


class Publishing:
    """What one publication needs while it happens: a storage that is patient, and who hears of it."""

    def __init__(
        self,
        publication: Publication,
        storage: Storage,
        report: Report,
        *,
        attempts: int = 4,
        temporary: Path | None = None,
        times: Times = Times(),  # noqa: B008
    ) -> None:
        self._publication, self._report = publication, report
        self._uid = publication.uid
        self._storage = PatientStorage(storage, attempts, self._retrying)
        self._temporary, self._times = temporary, times
        self._shown = 0.0

    def run(self) -> Uid:
        """Publish; raises ModelZooError, and then nothing of it is visible."""
        begun = time.monotonic()
        digests: Digests | None = None
        reason, message = None, None
        try:
            self._refuse_existing()
            contents = look_through(self._publication.root)
            self._begin(contents)
            with workspace(self._temporary) as folder:
                digests = self._pack(contents, folder / "model.zip")
                with self._claimed() as claim:
                    self._publish(folder / "model.zip", digests, claim)
            return self._uid
        except BaseException as error:
            reason, message = Reason.INTERRUPTED, "interrupted"
            if isinstance(error, ModelZooError):
                reason, message = error.reason, str(error)
            raise
        finally:
            self._report(
                PublishEnd(
                    model=str(self._uid),
                    successful=reason is None,
                    size=digests.archive.size if digests else None,
                    checksum=str(digests.checksum) if digests else None,
                    seconds=round(time.monotonic() - begun, 3),
                    reason=reason,
                    message=message,
                )
            )

    def _begin(self, contents: Contents) -> None:
        self._report(
            PublishBegin(
                schema_version=SCHEMA_VERSION,
                model=str(self._uid),
                repository=self._storage.url,
                files=len(contents.files),
                size=contents.size,
            )
        )

    def _refuse_existing(self) -> None:
        if self._storage.exists(header_key(self._uid)):
            problem = f"{self._storage.url} has this model already"
            raise AlreadyPublishedError(str(self._uid), problem)

    def _pack(self, contents: Contents, archive: Path) -> Digests:
        return pack(
            contents,
            archive,
            self._publication.compression,
            lambda size: self._progress("packing", size, contents.size),
        )

    @contextlib.contextmanager
    def _claimed(self) -> Iterator[Held | None]:
        """Alone with this model, where the storage can tell; what a killed run left is removed."""
        if not self._storage.exclusive:
            self._refuse_existing()
            yield None
            return
        name = f"{self._uid.short_id}/{self._uid.version}"
        with claimed(self._storage, name, str(self._uid), told=self._tell, times=self._times) as claim:
            self._refuse_existing()
            self._remove()
            yield claim

    def _publish(self, archive: Path, digests: Digests, claim: Held | None) -> None:
        """Send everything, the header last; after a failure nothing is left of it."""
        storage, uid, alias = self._storage, self._uid, self._publication.alias
        try:
            storage.upload(
                self._publication.archive,
                archive,
                digests.checksum,
                lambda size: self._progress("uploading", size, digests.archive.size),
            )
            storage.write(digest_key(uid), dump_digests(digests))
            storage.write(meta_key(uid), dump_meta(self._publication.meta))
            taken = alias is not None and self._take_free(alias)
            if claim is not None:
                claim.check()
            self._refuse_existing()
            if not storage.create(header_key(uid), dump_header(self._publication.header)):
                raise AlreadyPublishedError(str(uid), "somebody else has just published this model")
        except BaseException as error:
            self._withdraw(claim, error)
            raise
        if alias is not None and not taken:
            with changing_aliases(storage, self._tell, self._times):
                point(storage, alias, uid)

    def _take_free(self, alias: str) -> bool:
        """Take an alias that leads nowhere, before the model is there.

        One that means another model goes on meaning it until this one is there.
        """
        with changing_aliases(self._storage, self._tell, self._times):
            before = target_of(self._storage, alias)
            if before not in (None, self._uid) and self._storage.exists(header_key(before)):
                return False
            point(self._storage, alias, self._uid)
            return True

    def _withdraw(self, claim: Held | None, error: BaseException) -> None:
        """Remove what was sent, unless it is somebody else's by now."""
        try:
            if claim is not None:
                claim.check()
            if not self._storage.exists(header_key(self._uid)):
                self._remove()
        except (ModelZooError, OSError) as problem:
            self._tell(f"{self._uid}: what was sent could not be removed ({problem}); nobody sees it")

    def _remove(self) -> None:
        """Remove all that a model without a header has, the alias first."""
        uid, alias = self._uid, self._publication.alias
        if alias is not None and target_of(self._storage, alias) == uid:
            with changing_aliases(self._storage, self._tell, self._times):
                withdraw(self._storage, alias, uid)
        for key in (aliases_key(uid), meta_key(uid), digest_key(uid), self._publication.archive):
            self._storage.delete(key)
            self._clear_away(key.rpartition("/")[0])

    def _clear_away(self, folder: str) -> None:
        """Remove what was in flight in a folder of this model, but nothing below: that is others'."""
        if self._storage.exclusive:
            for entry in self._storage.list(folder):
                if entry.key.rpartition("/")[0] == folder:
                    self._storage.delete(entry.key)

    def _progress(self, step: PublishStep, size: int, whole: int) -> None:
        now = time.monotonic()
        if size == whole or now - self._shown >= INTERVAL:
            self._shown = now
            self._report(PublishProgress(model=str(self._uid), step=step, size=size))

    def _retrying(self, attempt: int, wait: float, error: TransferError) -> None:
        self._report(
            PublishRetry(
                model=str(self._uid),
                attempt=attempt,
                wait=round(wait, 3),
                reason=error.reason,
                message=str(error),
            )
        )

    def _tell(self, message: str) -> None:
        self._report(Notice(message=message))
