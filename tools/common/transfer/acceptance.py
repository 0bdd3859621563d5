"""What a response must be like to be the file that was asked for."""

from __future__ import annotations

from pathlib import Path

from ..content import wrong_content
from ..errors import Reason, StorageError, TransferError
from ..files.disk import free_space, readable
from ..stores import Opened
from ..web.credentials import mask
from .engine import Job


def require_space(destination: Path, total: int | None, opened: Opened) -> None:
    """Refuse a body that cannot fit, as soon as its size is known."""
    if total is None:
        return
    needed, free = total - opened.offset, free_space(destination)
    if needed > free:
        problem = f"{destination}: {readable(needed)} are still to come, {readable(free)} are free"
        raise StorageError(problem, Reason.NO_SPACE)


def judge_beginning(url: str, job: Job, head: bytes, opened: Opened) -> None:
    """Raise TransferError when a body that begins like this cannot be the file.

    Where a checksum will prove the bytes, and their number fits, anything may be right.
    """
    expected, got = job.file.size, opened.size
    fits = expected is None or got is None or got == expected
    if not fits or job.file.checksum is None:
        refuse_wrong_content(url, job, head, opened)
    if fits or expected is None or got is None:
        return
    # A longer file is another file; a shorter one may be a server's passing fault.
    how = f", compressed with {opened.encoding}" if opened.encoding else ""
    problem = f"expected {expected} bytes, the server has {got}{how}"
    raise TransferError(Reason.SIZE_MISMATCH, problem, url=mask(url), transient=got < expected)


def refuse_wrong_content(url: str, job: Job, head: bytes, opened: Opened | None = None) -> None:
    """Raise TransferError when these first bytes are those of something else."""
    media, encoding = (opened.media_type, opened.encoding) if opened else (None, None)
    proven_later = job.file.checksum is not None
    if problem := wrong_content(job.file.name, head, media, encoding, proven_later):
        raise TransferError(Reason.WRONG_CONTENT, problem, url=mask(url))
