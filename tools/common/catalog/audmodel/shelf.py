"""The models of a repository, read from its headers, and proven when they are asked for.

A model is called by its id; its short id, its name (also
after its subgroup) mean its latest version, and its aliases mean what they mean.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ...errors import CatalogError, Reason, StorageError, TransferError
from ...model import Model, ModelFile, Origin, UnpackArchive
from ...registry import layout
from ...registry.headers import Header
from ...registry.identifiers import Uid, is_legacy
from ...registry.known import Known
from ...registry.repository import Proof, Repository
from ...registry.storage import connect
from ...stores import Settings
from ...versions import release_key
from ..index import Directory, Entry, Index, entry_of
from ..source import Source, Warn

_NO_PROOF = Proof(None, None)

_NOTHING = (
    "no published models are listed there. A repository on a web server has to show what is in its "
    "folders (nginx: autoindex on); archives of models have names like .zip or .tar.gz"
)


def load(path: Path, source: str, warn: Warn) -> list[Model]:
    """The models of a folder, by name and version. Broken headers are warned about and left out."""
    repository = Repository(connect(path.resolve()))
    headers = repository.headers(warn)
    models = _models(repository, headers, repository.all_aliases(warn), source)
    proofs = repository.proofs(headers)
    return [_proven(model, proofs[uid]) for uid, model in models.items()]


def shelve(source: Source, warn: Warn) -> Index:
    """The models of a repository anywhere; what proves an archive is only asked for with the model.

    Where nobody answers, or nobody may be asked, it is what was known before.
    """
    settings = Settings(offline=source.offline)
    place = source.url or source.path.resolve()
    storage = connect(place, settings)
    repository = Repository(storage, source.name, Known(storage.url))
    remote = not storage.origin(layout.UIDS).startswith("file:")
    if source.offline and remote:
        if not (known := repository.known_headers()):
            warn(f"{storage.url}: nothing is known of it, and it was not asked: --offline")
        return _Shelved(repository, known, {}, source.name, asks=False)
    try:
        headers = repository.headers(warn)
        if not headers and source.url.startswith(("http://", "https://")):
            raise CatalogError(_NOTHING, file=storage.url)
        aliases = repository.all_aliases(warn)
    except (TransferError, StorageError) as error:
        known = repository.known_headers()
        if not known or error.reason in (Reason.ACCESS_DENIED, Reason.NOT_FOUND):
            raise
        warn(f"{error}; what was known of {storage.url} before is used")
        return _Shelved(repository, known, {}, source.name, asks=False)
    return _Shelved(repository, headers, aliases, source.name)


class _Shelved(Index):
    """The models of a repository, their archives proven when they are asked for."""

    def __init__(
        self,
        repository: Repository,
        headers: Mapping[Uid, Header],
        aliases: Mapping[str, Uid],
        source: str,
        asks: bool = True,
    ) -> None:
        self._repository, self._headers, self._asks = repository, headers, asks
        self._shelved = _models(repository, headers, aliases, source)
        self._uids = {model.name: uid for uid, model in self._shelved.items()}
        entries = [entry_of(model, "") for model in self._shelved.values()]
        directory = Directory(b"", [], entries)
        super().__init__("", directory, b"", lambda entry: self._shelved[self._uids[entry.name]])

    def models(self, entries: Iterable[Entry]) -> Iterator[Model]:
        """The models of these entries, with what proves their archives."""
        wanted = list(entries)
        uids = [self._uids[entry.name] for entry in wanted]
        headers = {uid: self._headers[uid] for uid in uids}
        proofs = self._repository.proofs(headers) if self._asks and wanted else {}
        for model, uid in zip(super().models(wanted), uids, strict=True):
            yield _proven(model, proofs.get(uid, _NO_PROOF))


def _models(
    repository: Repository, headers: Mapping[Uid, Header], aliases: Mapping[str, Uid], source: str
) -> dict[Uid, Model]:
    """The models, by subgroup, name, parameters and version."""
    names: dict[Uid, list[str]] = defaultdict(list)
    for alias, uid in aliases.items():
        names[uid].append(alias)

    def order(item: tuple[Uid, Header]) -> tuple[Any, ...]:
        uid, header = item
        return header.subgroup, header.name, uid.short_id, release_key(uid.version)

    return {
        uid: make_model(repository, uid, header, names.get(uid, ()), source)
        for uid, header in sorted(headers.items(), key=order)
    }


def make_model(
    repository: Repository, uid: Uid, header: Header, aliases: Iterable[str], source: str
) -> Model:
    """One version of a model, in the folder that the first releases of audmodel unpacked it to."""
    archive, name = f"{uid.short_id}-{uid.version}.zip", str(uid)
    folder = layout.model_folder(header.name, header.subgroup)
    key = repository.archive_key(uid, header)
    return Model(
        id=name,
        name=name,
        source=source,
        subdirectory=f"{folder}/{uid.version}/{name}",
        description=_description(header),
        framework="",
        task_type="",
        license_url="",
        files=(ModelFile(archive, None, None, (_origin(repository.storage.origin(key), key),)),),
        version=uid.version,
        postprocessing=(UnpackArchive(archive, "zip"),),
        parameters=plain(header.parameters),
        aliases=tuple(sorted(aliases)),
        family=uid.short_id,
        titles=tuple(_titles(uid, header)),
    )


def _titles(uid: Uid, header: Header) -> Iterator[str]:
    if not is_legacy(uid.short_id):
        yield uid.short_id
    yield from dict.fromkeys(
        [
            header.name,
            *([f"{header.subgroup}/{header.name}"] if header.subgroup else []),
            layout.model_folder(header.name, header.subgroup),
        ]
    )


def _description(header: Header) -> str:
    where = f" of {header.subgroup}" if header.subgroup else ""
    who = f" by {header.author}" if header.author else ""
    when = f" on {header.date}" if header.date else ""
    return f"{header.name}{where}, published{who}{when}"


def _origin(url: str, key: str) -> Origin:
    """The origin of an archive; in a folder, relative to that."""
    if url.startswith("file:") and url.endswith(f"/{key}"):
        return Origin(key, url.removesuffix(key))
    return Origin(url)


def _proven(model: Model, proof: Proof) -> Model:
    file = model.files[0]
    file = msgspec.structs.replace(file, size=proof.size, checksum=proof.checksum)
    return msgspec.structs.replace(model, files=(file,))


def plain(value: Any) -> Any:
    """A value of a header as JSON can hold it: tuples and sets as lists, dates as text."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, set):
        return sorted((plain(inner) for inner in value), key=repr)
    if isinstance(value, bytes):
        return value.decode("ascii", "backslashreplace")
    if isinstance(value, dt.date):
        return value.isoformat()
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
