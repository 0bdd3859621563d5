"""What headers say about a body, and bodies that are not the model although the status is 200."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.content import MAX_RETRY_AFTER, extent, retry_after, validator_of, wrong_content

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
PAGES = [
    b"<!DOCTYPE html>\n<html>",
    b"<!doctype HTML PUBLIC '-//W3C'>",
    b"<html lang=de>",
    b"<HTML>",
    b"<head><title>502</title>",
    b"<title>Sign in</title>",
    b"<body>",
    b"\xef\xbb\xbf\r\n  <html>",
    b"<!-- a -->\n<!-- <x> --><html>",
    b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0//EN">',
]
ERRORS = [
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>',
    b"<Error><Code>NoSuchKey",
    b'{"error": "not found"}',
    b' {\n "message" : "Bad credentials"}',
    b'{"detail":"x"}',
]
MODELS = [
    ("model.onnx", b"\x08\x07\x12\x07pytorch"),
    ("model.xml", b'<?xml version="1.0"?>\n<net name="x" version="10">'),
    ("model.xml", b'<?xml version="1.0"?><Error rate="0.1">'),
    ("labels.json", b'{"error": 1}'),
    ("labels.txt", b"<header>\n<bodyguard>\n"),
    ("readme.md", b"version https://git-lfs"),
    ("model.bin", b""),
    ("model.bin", b"<"),
    ("model.prototxt", b'name: "net" <html>'),
    ("page.html", PAGES[0]),
    ("page.HTM", PAGES[3]),
]


@pytest.mark.parametrize("proven", [True, False])
@pytest.mark.parametrize("body", PAGES)
def test_pages(body: bytes, proven: bool) -> None:
    problem = wrong_content("a/model.onnx", body, "application/octet-stream", None, proven)
    assert problem == "a web page came instead of the file"
    assert wrong_content("labels.txt", body, None, None, proven) == problem
    assert wrong_content("model.html", body, "text/html", None, proven) is None


@pytest.mark.parametrize("name", ["model.onnx", "labels.txt", "page.html", "no-suffix"])
@pytest.mark.parametrize("proven", [True, False])
def test_pointers(name: str, proven: bool) -> None:
    assert "Git LFS pointer" in str(wrong_content(name, LFS, "text/plain", None, proven))


@pytest.mark.parametrize("body", ERRORS)
def test_error_documents(body: bytes) -> None:
    assert "an error message" in str(wrong_content("model.BIN", body, None, None, False))
    assert wrong_content("model.bin", body, None, None, True) is None  # the checksum will tell
    assert wrong_content("model.json", body, None, None, False) is None


@pytest.mark.parametrize(("name", "body"), MODELS)
@pytest.mark.parametrize("proven", [True, False])
def test_what_can_be_the_file(name: str, body: bytes, proven: bool) -> None:
    assert wrong_content(name, body, None, None, proven) is None


@pytest.mark.parametrize(
    ("name", "media_type", "refused"),
    [
        ("model.onnx", "text/html", True),
        ("model.onnx", "TEXT/HTML; charset=utf-8", True),
        ("model.onnx", "application/xhtml+xml", True),
        ("labels.txt", "text/html", True),
        ("no-suffix", "text/html", True),
        ("page.html", "text/html", False),
        ("model.bin", "application/json", True),
        ("model.bin", "application/problem+json", True),
        ("model.bin", "application/vnd.api+json;v=1", True),
        ("model.bin", "text/xml", True),
        ("model.bin", "application/xml", True),
        ("model.xml", "application/xml", False),
        ("labels.json", "application/json", False),
        ("model.prototxt", "application/json", False),
        ("model.bin", "text/plain", False),
        ("model.bin", "application/octet-stream", False),
        ("model.bin", "application/x-json-not", False),
        ("model.bin", "", False),
        ("model.bin", None, False),
        ("model.bin", ";;;", False),
    ],
)
def test_media_types(name: str, media_type: str | None, refused: bool) -> None:
    assert (wrong_content(name, b"\x00\x01", media_type, None, False) is not None) is refused
    assert wrong_content(name, b"\x00\x01", media_type, None, True) is None


@pytest.mark.parametrize(
    ("name", "refused"), [("model.onnx", True), ("model.tar.gz", False), ("m.TGZ", False)]
)
def test_encoded_bodies(name: str, refused: bool) -> None:
    problem = wrong_content(name, b"\x1f\x8b", None, "gzip", False)
    assert ("compressed the file (gzip)" in str(problem)) is refused
    assert wrong_content(name, b"\x1f\x8b", None, "gzip", True) is None


@given(st.text(), st.binary(), st.none() | st.text(), st.none() | st.text(), st.booleans())
def test_anything_is_judged(
    name: str, head: bytes, media: str | None, encoding: str | None, proven: bool
) -> None:
    problem = wrong_content(name, head, media, encoding, proven)
    assert problem is None or problem


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, {"Content-Length": "12"}, (0, 12)),
        (200, {"Content-Length": "0"}, (0, 0)),
        (200, {}, (0, None)),
        (200, {"Content-Length": "-1"}, (0, None)),
        (200, {"Content-Length": "12, 12"}, (0, None)),
        (200, {"Content-Length": "9" * 30}, (0, None)),
        (200, {"Content-Length": "\u0663"}, (0, None)),
        (200, {"Content-Length": "12", "Transfer-Encoding": "gzip, Chunked"}, (0, None)),
        (200, {"Content-Length": "12", "Content-Range": "bytes 1-2/9"}, (0, 12)),
        (206, {"Content-Range": "bytes 3-11/12", "Content-Length": "9"}, (3, 12)),
        (206, {"Content-Range": " bytes 3-3/* "}, (3, None)),
        (206, {"Content-Range": "bytes 3-2/12"}, None),
        (206, {"Content-Range": "bytes 3-12/12"}, None),
        (206, {"Content-Range": "bytes */12"}, None),
        (206, {"Content-Range": "bytes 3-11"}, None),
        (206, {"Content-Range": "bytes -3-11/12"}, None),
        (206, {"Content-Range": "lines 3-11/12"}, None),
        (206, {"Content-Length": "9"}, None),
    ],
)
def test_extents(status: int, headers: dict[str, str], expected: object) -> None:
    assert extent(status, headers) == expected


@given(st.sampled_from([200, 206]), st.from_regex(r"bytes[ 0-9*/-]{0,30}") | st.text())
def test_extents_make_sense_or_are_none(status: int, text: str) -> None:
    found = extent(status, {"Content-Range": text, "Content-Length": text})
    if found is not None:
        offset, size = found
        assert offset >= 0
        assert size is None or size >= offset


NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 120 ", 120),
        ("300", 300),
        ("301", 300),
        ("9" * 400, 300),
        (formatdate(NOW + 20, usegmt=True), 20),
        (formatdate(NOW + 9999, usegmt=True), 300),
        (formatdate(NOW - 20, usegmt=True), 0),
        ("Tue, 14 Nov 2023 22:13:40 -0000", 20),
        ("Tue, 14 Nov 2023 23:13:40 +0100", 20),
        ("Tuesday, 14-Nov-23 22:13:40 GMT", 20),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 300),
        ("Mon, 01 Jan 0001 00:00:00 GMT", 0),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0),
        ("-5", None),
        ("1.5", None),
        ("\u0667", None),
        ("soon", None),
        ("Mon, 99 Foo 2023", None),
        ("", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": value}, NOW) == seconds


def test_dates_are_no_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert retry_after({"Retry-After": "Tue, 14 Nov 2023 22:13:40 -0000"}, NOW) == 20
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.text(alphabet='MonTueJan ,:+-GMT0123456789()\\"') | st.text())
def test_no_header_breaks_the_reading_of_dates(text: str) -> None:
    seconds = retry_after({"Retry-After": text}, NOW)
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER
    assert validator_of({"Last-Modified": text, "Date": text}) is None
    assert validator_of({"ETag": text}) in (None, text)
