"""HTTP and HTTPS with requests and urllib3: ranges, validators, redirects, and what errors mean."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urljoin

from ..checksum import CHUNK
from ..content import extent, retry_after, validator_of
from ..errors import Reason, TransferError
from ..version import USER_AGENT
from ..web.credentials import (
    Credential,
    credential_after_redirect,
    credential_for,
    host_of,
    mask,
    no_credential,
    site_of,
    without_userinfo,
)
from ..web.http_client import HttpClient
from ..web.http_errors import translated_errors
from ..web.kept_connections import Response
from . import PIECE, Settings

SCHEMES = ("http", "https")
HEADERS = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
MAX_REDIRECTS = 20
SHORT = 1 << 14  # bytes of an unwanted body up to which it is read, to go on using its connection

_STATUS = {
    401: Reason.ACCESS_DENIED,
    403: Reason.ACCESS_DENIED,
    404: Reason.NOT_FOUND,
    407: Reason.ACCESS_DENIED,
    408: Reason.TIMEOUT,
    410: Reason.NOT_FOUND,
    429: Reason.RATE_LIMITED,
    451: Reason.ACCESS_DENIED,
    503: Reason.RATE_LIMITED,
    504: Reason.TIMEOUT,
}
"""What a status means; SERVER_ERROR where it is not here."""
_TRANSIENT = frozenset({408, 423, 425, 429})  # and every 5xx
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def create(settings: Settings) -> HttpStore:
    """The store with these settings."""
    return HttpStore(settings)


class Hop(NamedTuple):
    """A redirect: who answered, its status and headers, and the URL that it leads to."""

    url: str
    status: int
    headers: Mapping[str, str]
    target: str


class Answer(NamedTuple):
    """The response at the end of all redirects, the credential that it was sent, and the way there."""

    response: Response
    credential: Credential | None
    hops: tuple[Hop, ...]


class HttpStore:
    """Opens URLs with GET."""

    remote = True

    def __init__(self, settings: Settings) -> None:
        self._client = HttpClient(settings.timeout)
        self._credentials: dict[str, Credential | None] = {}

    def open(
        self, url: str, offset: int = 0, validator: str | None = None, stop: int | None = None
    ) -> OpenedUrl:
        """See Store.open. A partial answer that does not continue what is here means starting over."""
        response, credential, _ = self.ask(url, _range(offset, validator, stop))
        if offset and not _continues(response, offset, validator):
            dismiss(response)
            offset, validator = 0, None
            response, credential, _ = self.ask(url)
        if response.status not in (200, 206):
            dismiss(response)
            raise status_error(response, url, credential)
        if not _continues(response, offset, validator):
            dismiss(response)
            problem = "the server sent a part of the file that was not asked for"
            raise TransferError(Reason.SERVER_ERROR, problem, url=mask(url))
        # Parts come over many connections at a time, each of which takes so much memory.
        return OpenedUrl(response, url, validator, PIECE if stop is None else CHUNK)

    def is_current(self, url: str, validator: str) -> bool:
        """Whether the file is of this version still (RFC 9110, 13.1); raises TransferError."""
        tag = validator.startswith('"')
        if validator_of({"ETag" if tag else "Last-Modified": validator}) != validator:
            return False  # whoever remembered it could write anything
        condition = {"If-None-Match" if tag else "If-Modified-Since": validator}
        response, credential, _ = self.ask(url, condition)
        dismiss(response)
        if response.status not in (200, 304):
            raise status_error(response, url, credential)
        return response.status == 304 or validator_of(response.headers) == validator

    def size(self, url: str) -> int | None:
        """The size of the file in bytes, as HEAD tells it; None where it does not. TransferError."""
        response, credential, _ = self.ask(url, method="HEAD")
        dismiss(response)
        if response.status != 200:
            raise status_error(response, url, credential)
        found = extent(response.status, response.headers)
        return found[1] if found else None

    def ask(self, url: str, headers: Mapping[str, str] = {}, method: str = "GET") -> Answer:
        """Ask, and follow redirects; the caller looks at the status and closes the response."""
        credential, hops = self._credential(url), list[Hop]()
        for _ in range(MAX_REDIRECTS + 1):
            own = credential.headers if credential else {}
            response = self._request(method, url, {**headers, **own})
            location = response.headers.get("Location")
            if response.status not in (301, 302, 303, 307, 308) or not location:
                return Answer(response, credential, tuple(hops))
            dismiss(response)
            target = _redirect_target(url, location)
            credential = credential_after_redirect(credential, url, target)
            hops.append(Hop(url, response.status, response.headers, target))
            url = target
        raise TransferError(Reason.SERVER_ERROR, f"more than {MAX_REDIRECTS} redirects", url=mask(url))

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Iterable[bytes] | None = None
    ) -> Response:
        """Ask for a change; raises TransferError unless it was made (2xx), or refused with 404 or 412.

        No redirect is followed: it could lead to where nobody wants to write.
        """
        credential = self._credential(url)
        own = credential.headers if credential else {}
        response = self._request(method, url, {**headers, **own}, body)
        dismiss(response)
        if 300 <= response.status < 400:
            problem = f"redirects a {method}, which is not followed"
            raise TransferError(Reason.SERVER_ERROR, problem, url=mask(url))
        if not (200 <= response.status < 300 or response.status in (404, 412)):
            raise status_error(response, url, credential)
        return response

    def _request(
        self, method: str, url: str, headers: dict[str, str], body: Iterable[bytes] | None = None
    ) -> Response:
        with translated_errors(url):
            host_of(url)
            return self._client.request(method, without_userinfo(url), HEADERS | headers, body)

    def _credential(self, url: str) -> Credential | None:
        """What proves who asks, looked up once for every host, user and password."""
        site = site_of(url)
        if site not in self._credentials:
            self._credentials[site] = credential_for(url)
        return self._credentials[site]


def _range(offset: int, validator: str | None, stop: int | None) -> dict[str, str]:
    """The headers that ask for a part of a file."""
    last = "" if stop is None else stop - 1
    headers = {"Range": f"bytes={offset}-{last}"} if offset else {}
    return headers | {"If-Range": validator} if offset and validator else headers


def _redirect_target(url: str, location: str) -> str:
    """Where a redirect leads; TransferError when that is no place for HTTP."""
    with contextlib.suppress(UnicodeError):  # http.client reads headers as Latin-1, people write UTF-8
        location = location.encode("latin-1").decode("utf-8")
    try:
        target = urljoin(url, location)
        usable = host_of(target).scheme in SCHEMES
    except ValueError:
        target, usable = location, False
    if not usable:
        problem = f"redirects to {mask(target)}, where HTTP cannot go"
        raise TransferError(Reason.WRONG_CONTENT, problem, url=mask(url))
    return target


def dismiss(response: Response) -> None:
    """Drop a body that nobody wants; a short one is read, so that its connection can be used again."""
    left = response.length_remaining
    if left is not None and left <= SHORT:
        with contextlib.suppress(Exception):
            response.read1(SHORT, decode_content=False)
    response.close()


def _continues(response: Response, offset: int, validator: str | None) -> bool:
    """Whether the answer is the file from `offset` on, of the version asked for, or all of it."""
    if response.status != 206:
        return response.status != 416  # 200: everything; others: errors
    found = extent(response.status, response.headers)
    current = response.headers.get("ETag" if (validator or "").startswith('"') else "Last-Modified")
    # A 206 need not repeat the date (RFC 9110, 15.3.7).
    same = validator is None or current in (None, validator)
    return found is not None and found[0] == offset and same


class OpenedUrl:
    """The body of one response, as it was sent: a Content-Encoding is not undone."""

    remote = True

    def __init__(self, response: Response, url: str, validator: str | None, most: int) -> None:
        self._response, self._url, self._most = response, url, most
        self.offset, self.size = extent(response.status, response.headers) or (0, None)
        continued = response.status == 206
        self.parts = continued or response.headers.get("Accept-Ranges", "").strip().lower() == "bytes"
        self.validator = validator_of(response.headers) or (validator if continued else None)
        self.media_type = response.headers.get("Content-Type")
        disposition = response.headers.get("Content-Disposition", "")
        self.attachment = disposition.lower().startswith("attachment")
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        self.encoding = None if encoding in ("", "identity") else encoding
        self._aborted = False

    def __iter__(self) -> Iterator[bytes]:
        raw = self._response
        with translated_errors(self._url):
            # read1 hands over what has come; read would wait for a whole chunk from a slow server.
            while (piece := raw.read1(self._most, decode_content=False)) and not self._aborted:
                yield piece
                del piece  # whoever took it does the same: the next one gets its memory
        if self._aborted:  # what a cut connection still gives is no part of the file
            raise TransferError(Reason.INTERRUPTED, "the transfer was stopped", url=mask(self._url))

    def abort(self) -> None:
        """See Opened.abort."""
        self._aborted = True
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # it has ended already
            self._response.shutdown()

    def __enter__(self) -> OpenedUrl:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()  # also the connection, unless the body has ended and left it to others


def status_error(response: Response, url: str, credential: Credential | None) -> TransferError:
    """What the status of a response that brings no file means."""
    code = response.status
    phrase = _PHRASES.get(code, "")  # not the server's own, which could say anything
    advice = ""
    if code in (401, 403):
        advice = f"; {credential.refusal if credential else no_credential()}"
    return TransferError(
        _STATUS.get(code, Reason.SERVER_ERROR),
        f"the server answered {code} {phrase}".rstrip() + advice,
        url=mask(url),
        transient=code in _TRANSIENT or code >= 500,
        busy=code in (429, 503),
        retry_after=retry_after(response.headers, time.time()),
        credential=credential.key if credential and code in (401, 403) else None,
    )
