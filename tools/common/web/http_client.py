"""Requests to servers, over connections that each thread keeps for itself.

requests knows how URLs are written, and about proxies and certificates; its engine, urllib3, is used
directly for each request, which costs half as much, and for the common request over a connection
without a proxy even that is left out.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import urlsplit

from .credentials import Route, route_to
from .kept_connections import KeptConnection, Response

if TYPE_CHECKING:
    from requests.adapters import HTTPAdapter
    from urllib3 import HTTPConnectionPool

_PLAIN = re.compile(r"https?://[a-z0-9.:-]+(?:/(?!\.)[A-Za-z0-9._~!$&()*+,;=:@-]*)+")
"""A URL that requests would send as it is written."""


class _Direct(NamedTuple):
    """What reaches a host without a proxy."""

    pool: HTTPConnectionPool
    kept: KeptConnection


class HttpClient:
    """Asks servers; `timeout` is in seconds, for connecting and for each read.

    Its errors are those of requests and urllib3, and TransferError for settings of no use.
    """

    def __init__(self, timeout: float) -> None:
        from requests.adapters import HTTPAdapter  # now, so that a fork of this process has it

        self._timeout, self._make_adapter = timeout, HTTPAdapter
        self._local = threading.local()
        self._routes: dict[str, Route] = {}

    def request(
        self, method: str, url: str, headers: Mapping[str, str], body: Iterable[bytes] | None = None
    ) -> Response:
        """The response to a URL without userinfo, its body unread; no redirect is followed."""
        site = url[: url.find("/", 8)]
        direct = self._direct_to(site) if _PLAIN.fullmatch(url) else None
        usual = direct is not None and direct.kept.usual and method == "GET"
        if direct and usual and (answer := direct.kept.get(url[len(site) :], headers)):
            return answer
        pool, target = (direct.pool, url[len(site) :]) if direct else self._connect(url)
        response = pool.urlopen(
            method,
            target,
            body=body,
            headers=headers,
            redirect=False,
            retries=False,
            assert_same_host=False,  # a proxy is asked for URLs of other hosts
            timeout=self._timeout,
            preload_content=False,
            decode_content=False,
        )
        return cast("Response", response)

    def _connect(self, url: str) -> tuple[HTTPConnectionPool, str]:
        """The connections of this thread to the URL's host, and what to ask for there."""
        from requests.models import PreparedRequest

        prepared, route = PreparedRequest(), self._route(url)
        prepared.prepare_url(url, None)
        found = self._adapter.get_connection_with_tls_context(prepared, route.verify, route.proxies)
        return cast("HTTPConnectionPool", found), self._adapter.request_url(prepared, route.proxies)

    def _direct_to(self, site: str) -> _Direct | None:
        """The connections of this thread to a scheme and host; None where a proxy is in between."""
        ways: dict[str, _Direct | None] = self._local.__dict__.setdefault("ways", {})
        if site not in ways:
            proxied = self._route(site).proxies
            pool = None if proxied else self._connect(f"{site}/")[0]
            ways[site] = _Direct(pool, KeptConnection(site, pool, self._timeout)) if pool else None
        return ways[site]

    def _route(self, url: str) -> Route:
        """What the environment says about the URL's host, looked up once for every host."""
        parts = urlsplit(url)
        host = f"{parts.scheme}://{parts.netloc}"
        if host not in self._routes:
            self._routes[host] = route_to(host)
        return self._routes[host]

    @property
    def _adapter(self) -> HTTPAdapter:
        """What makes the connections of this thread."""
        adapter: HTTPAdapter | None = getattr(self._local, "adapter", None)
        if adapter is None:
            adapter = self._local.adapter = self._make_adapter()
        return adapter
