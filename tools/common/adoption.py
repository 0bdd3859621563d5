"""Files that are at their destination already, put there by whomever."""

from __future__ import annotations

from .checksum import file_checksum
from .disk import storage_errors
from .engine import Delivery, Job


def adopt(job: Job) -> Delivery | None:
    """The file that is at the destination already, if it is the right one; raises StorageError."""
    path, file = job.destination, job.file
    with storage_errors(path):
        if not path.is_file() or file.size not in (None, path.stat().st_size):
            return None
        if file.checksum and file_checksum(path, file.checksum.type) != file.checksum:
            return None
        stat = path.stat()
    known = file.checksum is not None
    return Delivery("local", stat.st_size, stat.st_mtime_ns, file.checksum, verified=known)
