"""Files that are at their destination already, put there by whomever."""

from __future__ import annotations

from .checksum import file_checksum
from .disk import storage_errors
from .engine import Delivery, Job
from .model import ModelFile


def fits(file: ModelFile, size: int) -> bool:
    """Whether a file of this size, which nobody vouches for, can be this one."""
    if file.size is not None or file.checksum is not None:
        return file.size in (None, size)
    return file.adoptable or (size > 0 and size == file.announced)


def adopt(job: Job) -> Delivery | None:
    """The file that is at the destination already, if it is the right one; raises StorageError."""
    path, file = job.destination, job.file
    with storage_errors(path):
        if not path.is_file() or not fits(file, path.stat().st_size):
            return None
        if file.checksum and file_checksum(path, file.checksum.type) != file.checksum:
            return None
        stat = path.stat()
    known = file.checksum is not None
    return Delivery("local", stat.st_size, stat.st_mtime_ns, file.checksum, verified=known)
