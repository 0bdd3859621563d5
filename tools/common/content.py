"""Bodies that cannot be a model file: what servers send in place of one, with status 200."""

from __future__ import annotations

from pathlib import PurePosixPath

_TEXT_TYPES = {
    "text/html": (".html", ".htm", ".xhtml"),
    "application/xhtml+xml": (".html", ".htm", ".xhtml"),
    "application/json": None,
    "application/problem+json": None,
    "application/xml": None,
    "text/xml": None,
}
"""Media types of error documents, and the file names that may have them (None: any but a binary)."""

_BINARY = frozenset((
    ".bin", ".onnx", ".pb", ".pth", ".pt", ".ckpt", ".caffemodel", ".params", ".npz", ".npy",
    ".h5", ".hdf5", ".tflite", ".safetensors", ".pkl", ".zip", ".tar", ".gz", ".tgz", ".bz2",
    ".xz", ".tz", ".mat", ".gguf", ".model", ".whl", ".7z", ".joblib", ".weights",
))  # fmt: skip

LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def wrong_content(
    name: str, head: bytes, media_type: str | None, encoding: str | None, proven_later: bool
) -> str | None:
    """Why these first bytes of a body cannot be the file `name`; None when they can.

    A body that a checksum will prove is judged by its bytes alone: servers label files wrongly.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if head.startswith(LFS_POINTER):
        return "a Git LFS pointer came instead of the file it stands for"
    if _is_html(head) and suffix not in (".html", ".htm", ".xhtml"):
        return "a web page came instead of the file"
    if proven_later:
        return None
    if encoding is not None and suffix not in (".gz", ".tgz"):
        return f"the server compressed the file ({encoding}) though it was asked not to"
    if media_type is None:
        return None
    media_type = media_type.partition(";")[0].strip().lower()
    allowed = _TEXT_TYPES.get(media_type, ())
    if (allowed is None and suffix in _BINARY) or (allowed and suffix not in allowed):
        return f"a document of type {media_type} came instead of the file"
    return None


def _is_html(head: bytes) -> bool:
    start = head[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head"))
