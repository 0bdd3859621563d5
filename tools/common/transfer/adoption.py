"""Files that are at their destination already, put there by whomever."""

from __future__ import annotations

from ..checksum import file_checksum
from ..files.disk import storage_errors
from ..installation.inputs import Input
from ..model import ModelFile
from .engine import Delivery, Job


def fits(file: ModelFile, size: int, before: Input | None = None) -> bool:
    """Whether a file of this size, which nobody vouches for, can be this one.

    `before` is what a receipt knows of it: it has to be what it was, which its digest will show.
    """
    if before and not before.answers(file):
        return False
    if before and before.checksum:
        return size == before.size
    if file.size is not None or file.checksum is not None:
        return file.size in (None, size)
    return file.adoptable or (size > 0 and size == file.announced)


def adopt(job: Job) -> Delivery | None:
    """The file that is at the destination already, if it is the right one; raises StorageError.

    Where no checksum is published, what a receipt knows of it has to be true still.
    """
    if job.replaces:
        return None
    path, file, before = job.destination, job.file, job.before
    checksum = file.checksum or (before.checksum if before else None)
    with storage_errors(path):
        if not path.is_file():
            return None
        stat = path.stat()  # before it is read, so that a later change does not go unseen
        if not fits(file, stat.st_size, before):
            return None
        if checksum and file_checksum(path, checksum.type) != checksum:
            return None
    if before:
        known = before.origin, before.verified, before.validator
        return Delivery("local", stat.st_size, stat.st_mtime_ns, checksum, *known)
    verified = file.checksum is not None
    return Delivery("local", stat.st_size, stat.st_mtime_ns, checksum, verified=verified)
