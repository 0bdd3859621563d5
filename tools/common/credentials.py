"""Secrets: which host gets which one, and how to show a URL without them.

A credential belongs to one exact host. The store asks again for every URL it is redirected to, so
nothing can follow a redirect to another host.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

TOKENS = {
    "api.github.com": "GITHUB_TOKEN",
    "raw.githubusercontent.com": "GITHUB_TOKEN",
    "huggingface.co": "HF_TOKEN",
}
"""Hosts whose bearer token comes from the environment, and the variable's name."""

_SECRET_PARAMETER = re.compile(
    r"token|secret|passw|pwd|signature|credential|cookie|session|auth|api.?key|^(sig|key|code|jwt)$|-key",
    re.I,
)


class Credential(NamedTuple):
    """A header that proves who asks; `name` is shown to people, `header` never."""

    name: str
    header: tuple[str, str]


def credential_for(url: str, environ: Mapping[str, str] = os.environ) -> Credential | None:
    """The credential for exactly this URL's host: from the URL, the environment, or netrc."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if parts.username is not None:
        return _basic(f"the password in the URL of {host}", parts.username, parts.password)
    variable = TOKENS.get(host)
    if variable and environ.get(variable) and parts.scheme == "https":
        return Credential(variable, ("Authorization", f"Bearer {environ[variable]}"))
    return _from_netrc(host, environ)


def _basic(name: str, user: str, password: str | None) -> Credential:
    pair = f"{unquote(user)}:{unquote(password or '')}".encode()
    return Credential(name, ("Authorization", "Basic " + base64.b64encode(pair).decode("ascii")))


def _from_netrc(host: str, environ: Mapping[str, str]) -> Credential | None:
    path = environ.get("NETRC") or os.path.expanduser("~/.netrc")
    if not host or not os.path.isfile(path):
        return None
    import netrc

    try:
        found = netrc.netrc(path).hosts.get(host)  # no "default" entry: it would match any host
    except (netrc.NetrcParseError, OSError):
        return None
    if not found:
        return None
    login, _, password = found
    return _basic(f"{path} for {host}", login, password)


def without_userinfo(url: str) -> str:
    """The URL as it is requested: the user and password travel in a header instead."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def mask(url: str) -> str:
    """The URL as it may be shown or stored: no user, no password, no secret-looking parameters."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition("?")[0]
    query = parts.query
    pairs = parse_qsl(query, keep_blank_values=True)
    if any(_SECRET_PARAMETER.search(name) for name, _ in pairs):
        query = urlencode(
            [(n, "***" if _SECRET_PARAMETER.search(n) else v) for n, v in pairs], safe="*/:"
        )
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query))
