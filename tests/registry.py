"""Repositories of published models, made on the spot."""

from __future__ import annotations

import datetime as dt
import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelzoo.registry.headers import Header, dump_alias, dump_aliases, dump_header, dump_meta
from modelzoo.registry.identifiers import Uid, short_id
from modelzoo.registry.layout import alias_key, aliases_key, archive_key, header_key, meta_key
from modelzoo.registry.publishing import Publishing, make_publication
from modelzoo.registry.storage import Storage, connect

DAY = dt.date(2026, 11, 28)
FILES = {"meta.yaml": b"kind: mlp\n", "network.txt": b"layers: 3\n", "bin/weights.pkl": b"\0\1\2" * 999}
MLP = {"data": "emodb", "sampling_rate": 16000, "network": "mlp"}
LSTM = {**MLP, "network": "lstm"}


def folder_of(root: Path, files: Mapping[str, bytes] = FILES) -> Path:
    """A model's folder."""
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def publish(
    place: str | os.PathLike[str] | Storage,
    root: Path,
    params: Mapping[str, Any],
    version: str = "1.0.0",
    *,
    name: str = "voxcnn",
    subgroup: str | None = "anger.autrainer",
    **more: Any,
) -> str:
    """Publish a folder as this package does, quietly."""
    storage = connect(place) if isinstance(place, str | os.PathLike) else place
    more = {"author": "calvin", "date": DAY, **more}
    publication = make_publication(root, name, params, version, subgroup=subgroup, **more)
    return str(Publishing(publication, storage, lambda event: None).run())


def plant(
    storage: Storage,
    params: Mapping[str, Any],
    version: str = "1.0.0",
    *,
    name: str = "voxcnn",
    subgroup: str = "anger.autrainer",
    files: Mapping[str, bytes] = FILES,
    alias: str | None = None,
    meta: Mapping[str, Any] | None = None,
) -> Uid:
    """The same as audmodel leaves it: without digests."""
    uid = Uid(short_id(name, params, subgroup), version)
    header = Header(
        author="hobbes",
        date=DAY,
        name=name,
        parameters=dict(params),
        subgroup=subgroup,
        version=version,
    )
    storage.write(archive_key(uid, name, subgroup), _zipped(files))
    storage.write(meta_key(uid), dump_meta(meta))
    if alias:
        storage.write(aliases_key(uid), dump_aliases([alias]))
        storage.write(alias_key(alias), dump_alias(uid))
    storage.write(header_key(uid), dump_header(header))
    return uid


def _zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()
