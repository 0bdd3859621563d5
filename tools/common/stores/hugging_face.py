"""The Hugging Face hub, `hf://owner/name[@revision]/file`: resolved by the hub, sent by its CDN.

The hub publishes the SHA-256 of its large files (huggingface.co/docs/hub/api, "resolve"): its own
answer, before the redirect to the CDN, has it in X-Linked-Etag.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from ..checksum import Checksum
from ..errors import Reason, TransferError
from ..web.credentials import HUB_VARIABLE, host_of, hub_endpoint, mask
from . import Published, Settings
from .http import SCHEMES as HTTP_SCHEMES
from .http import Answer, HttpStore, OpenedUrl, dismiss, status_error

SCHEMES = ("hf",)

_SEGMENT = re.compile(r"[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_DIGEST = re.compile(r'(?:W/)?"?([0-9a-fA-F]{64})"?')


class _Place(NamedTuple):
    """A file of the hub: its repository, revision and path, all unquoted."""

    repository: str
    revision: str
    file: str


def create(settings: Settings) -> HuggingFaceStore:
    """The store; HF_ENDPOINT replaces the hub's URL (a mirror, or a test)."""
    return HuggingFaceStore(HttpStore(settings), hub_endpoint())


def check(url: str) -> None:
    """Raise ValueError where a URL names no file of the hub."""
    _read(url)


class HuggingFaceStore:
    """Asks the hub over HTTP. What it says is about the hub's URL, which a person can open."""

    remote = True

    def __init__(self, http: HttpStore, endpoint: str) -> None:
        self._http, self._endpoint = http, endpoint

    def open(
        self, url: str, offset: int = 0, validator: str | None = None, stop: int | None = None
    ) -> OpenedUrl:
        """See Store.open."""
        with self._explained(url):
            return self._http.open(self._resolve(url), offset, validator, stop)

    def is_current(self, url: str, validator: str) -> bool:
        """See Conditional.is_current."""
        with self._explained(url):
            return self._http.is_current(self._resolve(url), validator)

    def published(self, url: str) -> Published | None:
        """See Publisher.published."""
        asked = self._resolve(url)
        with self._explained(url):
            response, credential, hops = self._http.ask(asked, method="HEAD")
            dismiss(response)
            by_hub = [h.headers for h in hops if host_of(h.url) == host_of(self._endpoint)]
            if host_of(hops[-1].target if hops else asked) == host_of(self._endpoint):
                if response.status != 200:
                    raise status_error(response, asked, credential)
                by_hub.append(response.headers)
        # A CDN may not like HEAD, and what it says of a checksum proves nothing.
        return next(filter(None, map(_linked, by_hub)), None)

    def ask(self, url: str, headers: Mapping[str, str] = {}, method: str = "GET") -> Answer:
        """See HttpStore.ask."""
        return self._http.ask(self._resolve(url), headers, method)

    def _resolve(self, url: str) -> str:
        place = _place(url)
        try:
            usable = host_of(self._endpoint).scheme in HTTP_SCHEMES
        except ValueError:
            usable = False
        if not usable:
            problem = f"{HUB_VARIABLE} is no URL of a hub: {mask(self._endpoint)}"
            raise TransferError(Reason.INVALID_REQUEST, problem, url=mask(url))
        revision, file = quote(place.revision, safe=""), quote(place.file)
        return f"{self._endpoint}/{place.repository}/resolve/{revision}/{file}"

    @contextlib.contextmanager
    def _explained(self, url: str) -> Iterator[None]:
        """Say how to get what the hub refuses."""
        try:
            yield
        except TransferError as error:
            if error.reason != Reason.ACCESS_DENIED:
                raise
            page = f"{self._endpoint}/{_place(url).repository}"
            problem = error.message.removeprefix(f"{error.url}: ")
            advice = (
                f"{problem}; the repository is private, gated or not there: open {mask(page)}, accept "
                "its conditions, and set HF_TOKEN to a token that may read it"
            )
            # Without the credential: the token may well be good for other repositories.
            raise TransferError(error.reason, advice, url=error.url) from None


def _place(url: str) -> _Place:
    """What the URL means; TransferError when it is not clear."""
    try:
        return _read(url)
    except ValueError as error:
        raise TransferError(Reason.INVALID_CATALOG, str(error), url=mask(url)) from None


def _read(url: str) -> _Place:
    parts = urlsplit(url)
    first, *rest = (parts.netloc + parts.path).split("/")
    at, revision = "", ""
    repository = [first]  # alone in the hub's oldest repositories, which have no owner
    if len(rest) > 1:
        name, at, revision = rest.pop(0).partition("@")
        repository.append(name)
    revision, file = unquote(revision), unquote("/".join(rest))
    fits = all(map(_SEGMENT.fullmatch, repository)) and _is_path(file)
    fits = fits and (_is_path(revision) if at else True)
    if not fits or parts.query or parts.fragment:
        raise ValueError("names no file of the hub: expected hf://owner/name[@revision]/file")
    if first in ("datasets", "spaces"):
        raise ValueError("is not about a model: only repositories of models can be asked for")
    return _Place("/".join(repository), revision or "main", file)


def _is_path(text: str) -> bool:
    """Whether this is a relative path that no server could take for another one."""
    return text.isprintable() and not {"", ".", ".."} & {*text.split("/")} and "\\" not in text


def _linked(headers: Mapping[str, str]) -> Published | None:
    """What the hub says of a large file."""
    match = _DIGEST.fullmatch(headers.get("X-Linked-Etag", "").strip())
    if not match:
        return None
    size = headers.get("X-Linked-Size", "")
    known = int(size) if re.fullmatch("[0-9]{1,18}", size) else None
    return Published(Checksum("sha256", match[1].lower()), known)
