"""HTTP and HTTPS with requests: ranges, validators, redirects, credentials, and what errors mean."""

from __future__ import annotations

import email.utils
import re
import threading
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from ..checksum import CHUNK
from ..credentials import Credential, credential_for, mask, without_userinfo
from ..errors import Reason, TransferError
from ..version import USER_AGENT
from . import Settings

if TYPE_CHECKING:
    import requests

SCHEMES = ("http", "https")
MAX_REDIRECTS = 20
MAX_RETRY_AFTER = 300.0  # seconds

_STATUS = {
    400: Reason.SERVER_ERROR,
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
_TRANSIENT = frozenset({408, 423, 425, 429})  # and every 5xx


def create(settings: Settings) -> HttpStore:
    """The store with these settings."""
    return HttpStore(settings)


class HttpStore:
    """Opens URLs with GET. Each thread has a session of its own: they are not safe to share."""

    remote = True

    def __init__(self, settings: Settings) -> None:
        self._timeout = settings.timeout
        self._local = threading.local()

    def open(self, url: str, offset: int = 0, validator: str | None = None) -> OpenedUrl:
        """See Store.open. A partial answer that does not continue what is here means starting over."""
        headers = {}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if validator:
                headers["If-Range"] = validator
        response, credential = self._get(url, headers)
        if offset and not _continues(response, offset, validator):
            response.close()
            response, credential = self._get(url, {})
        if response.status_code not in (200, 206):
            with response:
                raise _status_error(response, url, credential)
        return OpenedUrl(response, url)

    def _get(self, url: str, headers: dict[str, str]) -> tuple[requests.Response, Credential | None]:
        """The response at the end of all redirects, and the credential it was sent."""
        for _ in range(MAX_REDIRECTS):
            credential = credential_for(url)
            own = dict([credential.header]) if credential else {}
            response = self._request(url, headers | own)
            location = response.headers.get("Location")
            if response.status_code not in (301, 302, 303, 307, 308) or not location:
                return response, credential
            response.close()
            url = urljoin(url, location)
            if urlsplit(url).scheme not in SCHEMES:
                problem = f"redirects to {mask(url)}, which is not HTTP"
                raise TransferError(Reason.WRONG_CONTENT, problem, url=mask(url))
        raise TransferError(Reason.SERVER_ERROR, f"more than {MAX_REDIRECTS} redirects", url=mask(url))

    def _request(self, url: str, headers: dict[str, str]) -> requests.Response:
        plain = without_userinfo(url)
        proxies, verify = _surroundings(plain)
        with translated_errors(url):
            return self._session.get(
                plain,
                headers=headers,
                stream=True,
                allow_redirects=False,
                timeout=self._timeout,
                proxies=dict(proxies),
                verify=verify,
            )

    @property
    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            import requests

            session = self._local.session = requests.Session()
            session.trust_env = False  # asked for once per host instead: see _surroundings
            session.headers = requests.structures.CaseInsensitiveDict(
                {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
            )
        return session


def _surroundings(url: str) -> tuple[Mapping[str, str], str | bool | None]:
    """The proxies and the CA bundle that the environment names for the URL's host."""
    parts = urlsplit(url)
    return _environment(f"{parts.scheme}://{parts.netloc}")


@lru_cache(maxsize=1024)
def _environment(url: str) -> tuple[Mapping[str, str], str | bool | None]:
    import requests

    session = requests.Session()
    found = session.merge_environment_settings(url, {}, True, None, None)
    return found["proxies"], found["verify"]


def _continues(response: requests.Response, offset: int, validator: str | None) -> bool:
    """Whether the answer to a Range request is usable: the rest of the same file, or all of it."""
    if response.status_code == 416:
        return False
    if response.status_code != 206:
        return True  # 200: everything; others: errors
    found = _content_range(response)
    now = _validator(response)
    return found is not None and found[0] == offset and (not validator or not now or now == validator)


def _content_range(response: requests.Response) -> tuple[int, int | None] | None:
    """First byte and total size that a 206 claims (RFC 9110, 14.4)."""
    value = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", value.strip())
    if not match or int(match[2]) < int(match[1]):
        return None
    return int(match[1]), None if match[3] == "*" else int(match[3])


def _validator(response: requests.Response) -> str | None:
    """What If-Range accepts (RFC 9110, 13.1.5): a strong ETag, else a date."""
    etag = response.headers.get("ETag", "")
    if re.fullmatch(r'"[^"\r\n]*"', etag):
        return str(etag)
    return response.headers.get("Last-Modified") if not etag else None


class OpenedUrl:
    """The body of one response, as it was sent: a Content-Encoding is not undone."""

    remote = True

    def __init__(self, response: requests.Response, url: str) -> None:
        self._response, self._url = response, url
        self.offset, self.size = _extent(response)
        self.validator = _validator(response)
        self.media_type = response.headers.get("Content-Type")
        disposition = response.headers.get("Content-Disposition", "")
        self.attachment = disposition.lower().startswith("attachment")
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        self.encoding = None if encoding == "identity" else encoding
        self._done = False

    def __iter__(self) -> Iterator[bytes]:
        raw = self._response.raw
        with translated_errors(self._url):
            # read1 hands over what has come; read would wait for a whole MiB from a slow server.
            while chunk := raw.read1(CHUNK, decode_content=False):
                yield chunk
        self._done = True

    def abort(self) -> None:
        """See Opened.abort."""
        self._response.raw.shutdown()

    def __enter__(self) -> OpenedUrl:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._done:
            self._response.raw.release_conn()
        else:
            self._response.close()  # the rest of the body is not wanted: drop the connection


def _extent(response: requests.Response) -> tuple[int, int | None]:
    """The offset of the body's first byte, and the size of the whole file."""
    if response.status_code == 206:
        return _content_range(response) or (0, None)
    length = response.headers.get("Content-Length", "")
    chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    return 0, int(length) if re.fullmatch(r"\d{1,18}", length) and not chunked else None


def _status_error(
    response: requests.Response, url: str, credential: Credential | None
) -> TransferError:
    code = response.status_code
    advice = ""
    if code in (401, 403, 407):
        sent = f"{credential.name} was sent and refused" if credential else "no credential was sent"
        advice = f"; {sent}"
    transient = code in _TRANSIENT or code >= 500
    return TransferError(
        _STATUS.get(code, Reason.SERVER_ERROR),
        f"the server answered {code} {response.reason or ''}".rstrip() + advice,
        url=mask(url),
        transient=transient,
        busy=code in (429, 503),
        retry_after=retry_after(response.headers.get("Retry-After"), time.time()),
        credential=credential.name if credential and code in (401, 403) else None,
    )


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks for, at most 300: a number or a date (RFC 9110 10.2.3)."""
    if value is None:
        return None
    if re.fullmatch(r"\d{1,18}", value.strip()):
        return min(float(value), MAX_RETRY_AFTER)
    try:
        date = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(date.timestamp() - now, 0.0), MAX_RETRY_AFTER)


class translated_errors:
    """Turns what requests and urllib3 raise inside into TransferError about `url`."""

    def __init__(self, url: str) -> None:
        self._url = mask(url)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is not None and (translated := _translate(error, self._url)):
            raise translated from error


def _translate(error: BaseException, url: str) -> TransferError | None:
    import requests
    import urllib3.exceptions as u3

    table: list[tuple[type[BaseException], Reason, str, bool]] = [
        (requests.exceptions.SSLError, Reason.CERTIFICATE, "TLS failed", False),
        (u3.SSLError, Reason.CERTIFICATE, "TLS failed", False),
        (requests.exceptions.ProxyError, Reason.NETWORK, "the proxy failed", True),
        (requests.exceptions.Timeout, Reason.TIMEOUT, "the server did not answer in time", True),
        (u3.TimeoutError, Reason.TIMEOUT, "the server stopped sending", True),
        (u3.IncompleteRead, Reason.NETWORK, "the connection closed before the end", True),
        (u3.ProtocolError, Reason.NETWORK, "the connection broke", True),
        (requests.exceptions.InvalidURL, Reason.INVALID_CATALOG, "is not a usable URL", False),
        (requests.exceptions.InvalidSchema, Reason.INVALID_CATALOG, "is not a usable URL", False),
        (requests.exceptions.ConnectionError, Reason.NETWORK, "cannot connect", True),
        (requests.exceptions.RequestException, Reason.NETWORK, "the request failed", True),
        (u3.HTTPError, Reason.NETWORK, "the transfer failed", True),
        (OSError, Reason.NETWORK, "the connection failed", True),
    ]
    for kind, reason, text, transient in table:
        if isinstance(error, kind):
            problem = f"{text} ({_innermost(error)})"
            return TransferError(reason, problem, url=url, transient=transient)
    return None


def _innermost(error: BaseException) -> str:
    """The last cause in words, without the object addresses that urllib3 puts before it."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    text = re.sub(r"<[^>]*>:? ?", "", str(error)) or type(error).__name__
    return " ".join(text.split())[:200]
