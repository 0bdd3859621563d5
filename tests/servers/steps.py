"""The steps of a script: ways to answer one request, rightly or not."""

from __future__ import annotations

import gzip
import re
import threading
from base64 import b64encode
from collections.abc import Callable, Mapping
from email.utils import mktime_tz, parsedate_tz
from typing import TypeAlias

from . import Exchange, Headers

Step: TypeAlias = Callable[[Exchange], None]
_BINARY = "application/octet-stream"
_CHUNK = 4096


def serve(
    body: bytes,
    *,
    etag: str | None = '"v1"',
    last_modified: str | None = None,
    ranges: bool = True,
    content_type: str = _BINARY,
    headers: Mapping[str, str] = {},
    honour_if_range: bool = True,
) -> Step:
    """A correct server: ranges, If-Range, 416, HEAD, If-None-Match and If-Modified-Since."""
    fields = {"Content-Type": content_type, "Accept-Ranges": "bytes" if ranges else "none"}
    fields |= {"ETag": etag} if etag else {}
    fields |= {"Last-Modified": last_modified} if last_modified else {}
    fields |= headers

    def step(exchange: Exchange) -> None:
        if _not_modified(exchange.headers, etag, last_modified):
            exchange.reply(304, fields, b"")
            return
        asked = _asked_range(exchange, len(body)) if ranges else None
        condition = exchange.headers.get("if-range")
        same = condition in (None, etag, last_modified) and not str(condition).startswith("W/")
        _reply_part(exchange, body, asked if same or not honour_if_range else None, fields)

    return step


def wrong_content_range(body: bytes, shift: int, etag: str | None = '"v1"') -> Step:
    """Answer a Range with a part that starts `shift` bytes off (but inside the body)."""
    whole = serve(body, etag=etag)
    fields = {"Content-Type": _BINARY} | ({"ETag": etag} if etag else {})

    def step(exchange: Exchange) -> None:
        if asked := _asked_range(exchange, len(body)):
            start = min(max(0, asked.start + shift), asked.stop - 1)
            _reply_part(exchange, body, range(start, asked.stop), fields)
        else:
            whole(exchange)

    return step


def ignore_range(step: Step) -> Step:
    """Answer with the whole even if a part is asked for."""

    def change(exchange: Exchange) -> None:
        fields = exchange.headers.items()
        exchange.headers = Headers(field for field in fields if field[0] != "range")

    return _prepare(step, change)


def long_body(body: bytes, extra: bytes, *, etag: str | None = '"v1"', ranges: bool = True) -> Step:
    """Serve more than there should be, with a Content-Length that says so."""
    return serve(body + extra, etag=etag, ranges=ranges)


def reset_after(step: Step, n_bytes: int) -> Step:
    """Reset the connection after that many body bytes of this answer."""
    return _prepare(step, lambda exchange: exchange.at(n_bytes, exchange.connection.reset))


def truncate_after(step: Step, n_bytes: int) -> Step:
    """Close cleanly after that many body bytes, although more were promised."""
    return _prepare(step, lambda exchange: exchange.at(n_bytes, exchange.connection.hang_up))


def stall_after(step: Step, n_bytes: int) -> Step:
    """Send nothing after that many body bytes, until the client leaves or the server stops."""
    return _prepare(step, lambda exchange: exchange.at(n_bytes, exchange.connection.stall))


def hold_after(step: Step, n_bytes: int, event: threading.Event) -> Step:
    """Wait for the event after that many body bytes, then send the rest."""
    return _prepare(step, lambda exchange: exchange.at(n_bytes, lambda: exchange.wait(event)))


def pause_before(step: Step, event: threading.Event) -> Step:
    """Wait for the event before answering at all."""
    return _prepare(step, lambda exchange: exchange.wait(event))


def slow_headers(step: Step, event: threading.Event) -> Step:
    """Wait for the event between the status line and the headers."""
    return _prepare(step, lambda exchange: exchange.hold_headers(event))


def drip(step: Step, bytes_per_second: float) -> Step:
    """Send the body slowly, a little every tenth of a second."""
    return _prepare(step, lambda exchange: exchange.limit(bytes_per_second))


def status(
    code: int,
    *,
    headers: Mapping[str, str] = {},
    body: bytes = b"as told\n",
    content_type: str = "text/plain",
) -> Step:
    """Answer with this status, whatever is asked."""
    fields = {"Content-Type": content_type, **headers}
    return lambda exchange: exchange.reply(code, fields, body)


def redirect(location: str, code: int = 302) -> Step:
    """Point to another place."""
    return status(code, headers={"Location": location})


def html_page(text: str) -> Step:
    """A web page where a file was expected, as from a captive portal."""
    page = f"<!DOCTYPE html>\n<html><body>{text}</body></html>\n".encode()
    return status(200, body=page, content_type="text/html; charset=utf-8")


def gzip_encoded(body: bytes, *, etag: str | None = '"v1"') -> Step:
    """The body with Content-Encoding: gzip, whether or not it is accepted."""
    fields = {"Content-Encoding": "gzip"} | ({"ETag": etag} if etag else {})
    return status(200, headers=fields, body=gzip.compress(body, mtime=0), content_type=_BINARY)


def chunked(
    body: bytes,
    *,
    cut_after: int | None = None,
    content_type: str = _BINARY,
    etag: str | None = '"v1"',
) -> Step:
    """Transfer-Encoding: chunked; `cut_after` closes after so many bytes and ends no chunk."""
    fields = {"Content-Type": content_type, "Transfer-Encoding": "chunked"}
    fields |= {"ETag": etag} if etag else {}

    def step(exchange: Exchange) -> None:
        exchange.start(200, fields)
        for start in range(0, len(body), _CHUNK):
            chunk = body[start : start + _CHUNK]
            exchange.frame(b"%x\r\n" % len(chunk))
            exchange.write(chunk)
            exchange.frame(b"\r\n")
        exchange.frame(b"0\r\n\r\n")

    return step if cut_after is None else truncate_after(step, cut_after)


def close_delimited(body: bytes, *, etag: str | None = '"v1"') -> Step:
    """A body of no stated length that ends where the connection does."""
    fields = {"Content-Type": _BINARY, "Connection": "close"} | ({"ETag": etag} if etag else {})

    def step(exchange: Exchange) -> None:
        exchange.start(200, fields)
        exchange.write(body)

    return step


def drop_connection() -> Step:
    """Read the request and reset the connection without an answer."""
    return lambda exchange: exchange.connection.reset()


def require_auth(step: Step, user: str, password: str) -> Step:
    """Ask for Basic credentials (401) unless they are these."""
    expected = "Basic " + b64encode(f"{user}:{password}".encode()).decode()
    refusal = status(401, headers={"WWW-Authenticate": 'Basic realm="tests"'})

    def choose(exchange: Exchange) -> None:
        (step if exchange.headers.get("authorization") == expected else refusal)(exchange)

    return choose


def _prepare(step: Step, change: Callable[[Exchange], None]) -> Step:
    def prepared(exchange: Exchange) -> None:
        change(exchange)
        step(exchange)

    return prepared


def _reply_part(exchange: Exchange, body: bytes, part: range | None, fields: Mapping[str, str]) -> None:
    size = len(body)
    if part is None:
        exchange.reply(200, fields, body)
    elif not part:
        exchange.reply(416, {**fields, "Content-Range": f"bytes */{size}"}, b"")
    else:
        place = f"bytes {part.start}-{part.stop - 1}/{size}"
        exchange.reply(206, {**fields, "Content-Range": place}, body[part.start : part.stop])


def _asked_range(exchange: Exchange, size: int) -> range | None:
    # None: send the whole, as HTTP wants for a Range that is malformed or not in a GET.
    asked = exchange.headers.get("range", "") if exchange.request.method == "GET" else ""
    found = re.fullmatch(r"bytes=(?:(\d+)-(\d*)|-(\d+))", asked)
    if not found:
        return None
    first, last, suffix = found.groups()
    if suffix:
        return range(max(0, size - int(suffix)), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)


def _not_modified(headers: Headers, etag: str | None, last_modified: str | None) -> bool:
    tags = headers.get("if-none-match")
    if tags is not None:
        known = [tag.strip().removeprefix("W/") for tag in tags.split(",")]
        return known == ["*"] or (etag or "").removeprefix("W/") in known
    since, modified = _seconds(headers.get("if-modified-since")), _seconds(last_modified)
    return since is not None and modified is not None and modified <= since


def _seconds(date: str | None) -> int | None:
    parts = parsedate_tz(date) if date else None
    return mktime_tz(parts) if parts else None
