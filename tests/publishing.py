"""Repositories made on the spot, and what has to be true of every one of them."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

from modelzoo.registry.digests import parse_digests
from modelzoo.registry.headers import parse_alias, parse_aliases, parse_header
from modelzoo.registry.identifiers import Uid
from modelzoo.registry.layout import (
    alias_of,
    aliases_key,
    archive_key,
    digest_key,
    header_key,
    header_of,
    meta_key,
)
from modelzoo.registry.publishing import Publishing, make_publication
from modelzoo.registry.storage import Storage, connect

from tests.zoo import content

PARAMS = {"data": "emodb", "sampling_rate": 16000, "network": "mlp"}
FILES = {"meta.yaml": b"a: 1\n", "network.txt": b"", "bin/mlp-weights.pkl": content("mlp", 5000)}


def make_folder(path: Path, files: dict[str, bytes] = FILES) -> Path:
    """A folder with a model's files."""
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def publish(root: Path, storage: Storage | Path, version: str = "1.0.0", **given: Any) -> Uid:
    """Publish voxcnn of anger.autrainer; `attempts` and so on are for the run."""
    run = {key: given.pop(key) for key in ("attempts", "temporary", "times") if key in given}
    report = given.pop("report", lambda event: None)
    params, name = given.pop("params", PARAMS), given.pop("name", "voxcnn")
    given = {"subgroup": "anger.autrainer"} | given
    publication = make_publication(root, name, params, version, **given)
    place = connect(storage) if isinstance(storage, Path) else storage
    return Publishing(publication, place, report, **run).run()


def models(storage: Storage) -> list[Uid]:
    """The models that can be seen, each proved to be whole, and nothing visible that leads nowhere."""
    keys = {entry.key for entry in storage.list()}
    found = [uid for key in sorted(keys) if (uid := header_of(key))]
    for uid in found:
        prove(storage, uid)
    for key in keys:
        if alias := alias_of(key):
            uid = parse_alias(storage.read(key), key)
            if uid in found:
                assert alias in parse_aliases(storage.read(aliases_key(uid)), "")
    return found


def prove(storage: Storage, uid: Uid) -> dict[str, bytes]:
    """The files of a model, held against its digests."""
    header = parse_header(storage.read(header_key(uid)), "")
    data = storage.read(archive_key(uid, header.name, header.subgroup), 1 << 30)
    digests = parse_digests(storage.read(digest_key(uid)), "")
    assert storage.exists(meta_key(uid))
    assert (len(data), hashlib.sha256(data).hexdigest()) == (
        digests.archive.size,
        digests.archive.sha256,
    )
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert {name: (len(d), hashlib.sha256(d).hexdigest()) for name, d in files.items()} == {
        name: (digest.size, digest.sha256) for name, digest in digests.files.items()
    }
    return files
