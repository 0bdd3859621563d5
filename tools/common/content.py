"""What a response's headers say, and bodies that cannot be a model file though the status is 200."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timezone
from pathlib import PurePosixPath

MAX_RETRY_AFTER = 300.0  # seconds

_PAGE_TYPES = ("text/html", "application/xhtml+xml")
_PAGE_NAMES = (".html", ".htm", ".xhtml")
_DOCUMENT_TYPE = re.compile(r"(?:application|text)/(?:[^/]+\+)?(?:json|xml)")

_BINARY = frozenset((
    ".bin", ".onnx", ".pb", ".pth", ".pt", ".ckpt", ".caffemodel", ".params", ".npz", ".npy",
    ".h5", ".hdf5", ".tflite", ".safetensors", ".pkl", ".zip", ".tar", ".gz", ".tgz", ".bz2",
    ".xz", ".tz", ".mat", ".gguf", ".model", ".whl", ".7z", ".joblib", ".weights",
))  # fmt: skip

LFS_POINTER = b"version https://git-lfs.github.com/spec/"

_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*"
    rb"<(?:!doctype\s+html|html|head|body|title)\b",
    re.I | re.S,
)
_ERROR_DOCUMENT = re.compile(
    rb"\s*(?:(?:<\?xml[^>]*>\s*)?<Error\b|\{\s*\"(?:error|errors|message|detail)\"\s*:)"
)

# Compiled, for every answer is held to some of them.
_LENGTH = re.compile(r"[0-9]{1,18}")
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_STRONG_TAG = re.compile(r'"[\x20\x21\x23-\x7e\x80-\xff]*"')


def wrong_content(
    name: str, head: bytes, media_type: str | None, encoding: str | None, proven_later: bool
) -> str | None:
    """Why these first bytes of a body cannot be the file `name`; None when they can.

    A body that a checksum will prove is judged by its bytes alone: servers label files wrongly.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if head.startswith(LFS_POINTER):
        return "a Git LFS pointer came instead of the file it stands for"
    if _PAGE.match(head[:1024]) and suffix not in _PAGE_NAMES:
        return "a web page came instead of the file"
    if proven_later:
        return None
    if suffix in _BINARY and _ERROR_DOCUMENT.match(head[:1024]):
        return "an error message came instead of the file"
    if encoding is not None and suffix not in (".gz", ".tgz"):
        return f"the server compressed the file ({encoding}) though it was asked not to"
    media_type = (media_type or "").partition(";")[0].strip().lower()
    page = media_type in _PAGE_TYPES and suffix not in _PAGE_NAMES
    document = suffix in _BINARY and _DOCUMENT_TYPE.fullmatch(media_type)
    return f"a document of type {media_type} came instead of the file" if page or document else None


def extent(status: int, headers: Mapping[str, str]) -> tuple[int, int | None] | None:
    """The offset of a body's first byte and the size of the whole file; None for a 206 without sense.

    RFC 9110, 14.4.
    """
    if status == 206:
        value = headers.get("Content-Range", "").strip()
        match = _RANGE.fullmatch(value)
        if not match:
            return None
        first, last, size = int(match[1]), int(match[2]), None if match[3] == "*" else int(match[3])
        return (first, size) if first <= last and (size is None or last < size) else None
    length = headers.get("Content-Length", "")
    chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
    return 0, int(length) if _LENGTH.fullmatch(length) and not chunked else None


def validator_of(headers: Mapping[str, str]) -> str | None:
    """What If-Range accepts (RFC 9110, 13.1.5): a strong ETag, else a date that is one (8.8.2.2)."""
    if etag := headers.get("ETag"):
        return etag if _STRONG_TAG.fullmatch(etag) else None
    modified = headers.get("Last-Modified", "")
    changed, sent = _timestamp(modified), _timestamp(headers.get("Date", ""))
    # What changed in the second it was sent in can have changed again in that second.
    return None if changed is None or (sent is not None and sent - changed < 1) else modified


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that Retry-After asks for, at most 300: a number or a date (RFC 9110, 10.2.3)."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch("[0-9]+", value):
        return min(float(value), MAX_RETRY_AFTER)
    date = _timestamp(value)
    return None if date is None else min(max(date - now, 0.0), MAX_RETRY_AFTER)


def _timestamp(date: str) -> float | None:
    """Seconds since 1970 of an HTTP date; None for anything else."""
    import email.utils

    try:
        found = email.utils.parsedate_to_datetime(date)
        return found.replace(tzinfo=found.tzinfo or timezone.utc).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
