"""Archives made on the spot, honest and hostile ones."""

from __future__ import annotations

import io
import stat
import tarfile
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from modelzoo.cancel import Cancel
from modelzoo.errors import PostprocessingError
from modelzoo.files.archives import unpack

from tests.zoo import add_model, content, file_entry, model_config, tree

Entry = tuple[str, bytes | str]
"""A name and what it is: bytes of a file, or one of `KINDS`."""

TAR_MODES = {"tar": "w", "gztar": "w:gz", "bztar": "w:bz2", "xztar": "w:xz"}
FORMATS = ("zip", *TAR_MODES)

KINDS = {
    "folder": (tarfile.DIRTYPE, stat.S_IFDIR),
    "symlink": (tarfile.SYMTYPE, stat.S_IFLNK),
    "hard link": (tarfile.LNKTYPE, None),
    "character device": (tarfile.CHRTYPE, stat.S_IFCHR),
    "block device": (tarfile.BLKTYPE, stat.S_IFBLK),
    "fifo": (tarfile.FIFOTYPE, stat.S_IFIFO),
    "socket": (None, stat.S_IFSOCK),
}
"""Kinds of entries: the type in a tar archive, and the file mode in a zip archive."""


def make_archive(path: Path, form: str, entries: Iterable[Entry]) -> Path:
    """Write an archive with these entries, whatever they are called; links lead to /etc/passwd."""
    if form == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # duplicate names are meant
            for name, what in entries:
                file.writestr(*_zip_entry(name, what))
        return path
    with tarfile.open(path, TAR_MODES[form]) as archive:  # type: ignore[call-overload]
        for name, what in entries:
            info = tarfile.TarInfo(name)
            info.mode = 0o4777
            if isinstance(what, bytes):
                info.size = len(what)
                archive.addfile(info, io.BytesIO(what))
            else:
                info.type = KINDS[what][0] or tarfile.REGTYPE
                info.linkname = "/etc/passwd"
                archive.addfile(info)
    return path


def _zip_entry(name: str, what: bytes | str) -> tuple[zipfile.ZipInfo, bytes]:
    if isinstance(what, str) and what == "folder":
        name += "/"
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    mode = stat.S_IFREG if isinstance(what, bytes) else KINDS[what][1]
    info.external_attr = ((mode or stat.S_IFREG) | 0o4777) << 16
    return info, what if isinstance(what, bytes) else b"/etc/passwd" * (what != "folder")


def patch_zip(path: Path, offset: int, value: bytes, local: int | None = None) -> None:
    """Overwrite a field of the first entry: at `offset` in the directory, at `local` in its header."""
    data = bytearray(path.read_bytes())
    places = [(data.index(b"PK\x01\x02"), offset)]
    if local is not None:
        places.append((data.index(b"PK\x03\x04"), local))
    for start, field in places:
        data[start + field : start + field + len(value)] = value
    path.write_bytes(data)


def sparse_tar(path: Path, name: str, size: int) -> Path:
    """A GNU tar with one sparse file of that size (below 8 GiB) and no data at all."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[483:495] = b"%011o\0" % size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path.write_bytes(bytes(header) + bytes(1024))
    return path


def refused(archive: Path, out: Path, form: str) -> PostprocessingError:
    """Unpack what must be refused; nothing may have changed beside the folder `out`."""
    before = outside(archive.parent, out)
    with pytest.raises(PostprocessingError) as caught:
        unpack(archive, out, form, Cancel())
    assert outside(archive.parent, out) == before
    assert all(isinstance(what, bytes) or what == "folder" for what in tree(out).values())
    return caught.value


def outside(root: Path, out: Path) -> dict[str, bytes | str]:
    """What is below `root` without what is below `out`."""
    inside = out.relative_to(root).as_posix()
    return {n: what for n, what in tree(root).items() if n != inside and not n.startswith(inside + "/")}


NET = "<net>\r\n<layer id='1'/>\n<layer größe='ü'/></net>".encode()


def add_patched_model(root: Path, url: str = "") -> tuple[dict[str, bytes], dict[str, bytes | str]]:
    """Add a model `m` that needs all postprocessing: what has to be served at `url`, and its result.

    Without `url` its files are beside its model.yml.
    """
    root.mkdir(parents=True, exist_ok=True)
    archive = make_archive(root / "made.zip", "zip", [("a.txt", b"alpha"), ("deep/b.bin", b"beta")])
    files = {"data.zip": archive.read_bytes(), "net.xml": NET, "w.bin": content("w", 99)}
    archive.unlink()
    steps = [
        {"$type": "regex_replace", "file": "net.xml", "pattern": "net", "replacement": "netnet"},
        {"$type": "unpack_archive", "file": "data.zip", "format": "zip"},
        {"$type": "regex_replace", "file": "net.xml", "pattern": "layer", "replacement": "x"},
        {"$type": "regex_replace", "file": "a.txt", "pattern": "al", "replacement": "all"},
    ]
    entries = [file_entry(name, data, url + name) for name, data in files.items()]
    folder = add_model(root, "m", model_config(entries, postprocessing=steps))
    if not url:
        for name, data in files.items():
            (folder / name).write_bytes(data)
    return files, {
        "net.xml": NET.replace(b"net", b"netnet").replace(b"layer", b"x"),
        "net.xml.orig": NET,
        "w.bin": files["w.bin"],
        "a.txt": b"allpha",
        "a.txt.orig": b"alpha",
        "deep": "folder",
        "deep/b.bin": b"beta",
    }
