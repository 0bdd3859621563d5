"""Bringing what a reference refers to into a folder of its own, unpacked and judged by nobody yet."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ..catalog import urls
from ..errors import CatalogError, ModelZooError, Reason, TransferError, UnsafePathError
from ..files.archives import MAX_ENTRIES, unpack
from ..files.bounded import read_bounded
from ..files.disk import storage_errors, walk
from ..files.paths import archive_format, archive_stem, safe_path
from ..model import ModelFile, Origin
from ..references import GitHubReference, LocalReference, Reference
from ..transfer.engine import Engine, Job
from ..transfer.file import bring
from ..web.credentials import mask

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHORT_COMMIT = re.compile(r"-([0-9a-f]{7,40})$")
_LEFT_BEHIND = ("__pycache__",)


class Fetched(msgspec.Struct, frozen=True):
    """A folder with what came; its `revision` is a commit or the digest of the archive, if any."""

    folder: Path
    revision: str | None


def fetch(reference: Reference, staging: Path, engine: Engine) -> Fetched:
    """Bring it into the empty folder `staging`; raises ModelZooError."""
    content = staging / "content"
    with storage_errors(staging):
        content.mkdir(parents=True)
        if isinstance(reference, LocalReference) and not os.path.isfile(reference.path):
            _copy(Path(reference.path), content)
            return Fetched(content, None)
        if isinstance(reference, LocalReference) and urls.recognises(Path(reference.path)):
            _copy_list(Path(reference.path), content)
            return Fetched(content, None)
        name, url = _archive(reference)
        checksum = _bring(reference, name, url, staging, engine)
        try:
            unpack(staging / name, content, _form(name), engine.cancel)
        except ModelZooError as error:
            raise ModelZooError(f"{mask(reference.url)}: {error}", error.reason) from None
        commit = None
        if isinstance(reference, GitHubReference):
            commit = _commit(staging / name, content)
        _drop_left_behind(content)
        return Fetched(_only_folder(content), commit or checksum)


def _archive(reference: Reference) -> tuple[str, str]:
    """What to call the archive, and its URL."""
    if isinstance(reference, GitHubReference):
        return "source.zip", reference.archive_url
    path = reference.path if isinstance(reference, LocalReference) else reference.url.partition("?")[0]
    if archive_format(path) is None:
        raise ModelZooError(f"{mask(path)} is no folder, archive or list of URLs")
    return "source" + path[len(archive_stem(path)) :].lower(), reference.url


def _form(name: str) -> str:
    return "zip" if name.endswith(".zip") else "tar"


def _bring(reference: Reference, name: str, url: str, staging: Path, engine: Engine) -> str:
    """Transfer the archive; returns its digest."""
    job = Job(
        model=reference.default_name,
        file=ModelFile(name, None, None, (Origin(url),)),
        destination=staging / name,
        origins=(Origin(url),),
    )
    try:
        return _wait_for(job, engine)
    except TransferError as error:
        if isinstance(reference, GitHubReference) and error.reason in _HIDDEN:
            raise TransferError(error.reason, f"{reference.url}: {error.message}; {_ADVICE}") from None
        raise


_HIDDEN = (Reason.NOT_FOUND, Reason.ACCESS_DENIED, Reason.RATE_LIMITED)
_ADVICE = (
    "is the name right? A private repository, and more than a few requests an hour, need a token "
    "in GITHUB_TOKEN"
)


def _wait_for(job: Job, engine: Engine) -> str:
    """Bring one file when there is nothing else to do meanwhile; returns its digest."""
    steps = bring(job, engine)
    while True:
        try:
            engine.cancel.sleep(next(steps))
        except StopIteration as end:
            return str(end.value.checksum)


def _commit(archive: Path, content: Path) -> str | None:
    """The commit that GitHub says an archive was made of: in its comment, or in its folder's name."""
    with zipfile.ZipFile(archive) as file:
        comment = file.comment.decode("ascii", "replace").strip()
    if _COMMIT.fullmatch(comment):
        return comment
    match = _SHORT_COMMIT.search(_only_folder(content).name)
    return match[1] if match else None


def _only_folder(content: Path) -> Path:
    """The folder that holds everything else, where an archive has one."""
    inside = list(content.iterdir())
    alone = len(inside) == 1 and inside[0].is_dir() and inside[0].name[0] != "."
    return inside[0] if alone else content


def _drop_left_behind(content: Path) -> None:
    """Remove bytecode: it cannot be read by whoever is asked for consent."""
    for path in [*content.rglob("*")]:
        if path.name in _LEFT_BEHIND and path.is_dir():
            shutil.rmtree(path)


def _copy(source: Path, content: Path) -> None:
    """Copy a folder as an archive of it would be unpacked: no links, no odd names; nothing hidden."""
    try:
        for number, (path, name) in enumerate(_entries(source), 1):
            if number > MAX_ENTRIES:
                raise CatalogError(f"holds more than {MAX_ENTRIES} entries", file=str(source))
            _require_plain(path, name)
            if path.is_dir():
                (content / name).mkdir()
            else:
                shutil.copy2(path, content / name)
    except (FileNotFoundError, NotADirectoryError):
        raise ModelZooError(f"{source}: no such folder or archive", Reason.NOT_FOUND) from None
    except PermissionError as error:
        where = str(Path(error.filename))
        raise CatalogError(f"cannot be read: {error.strerror}", file=where) from None


def _copy_list(source: Path, content: Path) -> None:
    """Copy a list of URLs to where a folder has its own; raises CatalogError."""
    data = read_bounded(source, urls.MAX_TEXT)
    (content / f"models{source.suffix}").write_bytes(data)


def _entries(source: Path) -> Iterator[tuple[Path, str]]:
    """What is in a folder, each folder before what it holds, and the relative names; raises OSError."""
    for path, folders, files in walk(source):
        folders[:] = sorted(f for f in folders if f[0] != "." and f not in _LEFT_BEHIND)
        for name in [*folders, *sorted(files)]:
            whole = Path(path, name)
            yield whole, whole.relative_to(source).as_posix()


def _require_plain(path: Path, name: str) -> None:
    if path.is_symlink() or not (path.is_dir() or path.is_file()):
        raise CatalogError("is a link or no regular file; a source must not hold any", file=str(path))
    try:
        safe_path(name)
    except UnsafePathError as error:
        raise CatalogError(str(error), file=str(path)) from None
