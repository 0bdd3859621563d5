"""Files that are at their destination already, put there by whomever."""

from __future__ import annotations

from .checksum import file_checksum
from .disk import storage_errors
from .engine import Delivery, Job


def adopt(job: Job) -> Delivery | None:
    """The file that is at the destination already, if it is the right one; raises StorageError.

    Where no checksum is published, what a receipt knows of it has to be true still.
    """
    if job.replaces:
        return None
    path, file, before = job.destination, job.file, job.before
    checksum = file.checksum or (before.checksum if before else None)
    with storage_errors(path):
        if not path.is_file() or file.size not in (None, path.stat().st_size):
            return None
        if before and not before.answers(file):
            return None
        if checksum and file_checksum(path, checksum.type) != checksum:
            return None
        stat = path.stat()
    if before:
        known = before.origin, before.verified, before.validator
        return Delivery("local", stat.st_size, stat.st_mtime_ns, checksum, *known)
    verified = file.checksum is not None
    return Delivery("local", stat.st_size, stat.st_mtime_ns, checksum, verified=verified)
