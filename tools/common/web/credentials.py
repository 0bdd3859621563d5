"""What the environment says about a host: secrets, proxy, certificates.

A credential belongs to one exact host. The store asks again at every redirect, so nothing can follow
one to another host.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from ..errors import Reason, TransferError
from .masking import mask as mask

TOKENS = {
    "api.github.com": "GITHUB_TOKEN",
    "raw.githubusercontent.com": "GITHUB_TOKEN",
}
"""Hosts whose bearer token comes from the environment, and the variable's name."""

GITHUB_API = "https://api.github.com"
GITHUB_API_VARIABLE = "MODELZOO_GITHUB_API_URL"
"""Names the API of another GitHub (Enterprise, a mirror), which gets the token instead of that one."""

_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")

HUB = "https://huggingface.co"
HUB_VARIABLE = "HF_ENDPOINT"
"""Names a hub other than HUB; HF_TOKEN is for that one alone, then."""

CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")

_PORTS = {"http": 80, "https": 443}
_NETLOC = re.compile(r"(?:[^\s\[\]\\/?#@:%]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")


class Host(NamedTuple):
    """Whom a request reaches: the name in lower case, and the port also where the URL has none."""

    scheme: str
    name: str
    port: int | None


class Credential(NamedTuple):
    """A header that proves who asks; `name` is shown to people, `header` never.

    Without a header it is one that the host wants and nobody gave; `advice` says how to get one.
    """

    name: str
    header: tuple[str, str] | None
    advice: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """What is sent."""
        return dict([self.header]) if self.header else {}

    @property
    def refusal(self) -> str:
        """Why the host said no, in words for whoever was refused."""
        problem = "was sent and refused" if self.header else "was not given"
        return f"{self.name} {problem}" + (f"; {self.advice}" if self.advice else "")

    @property
    def key(self) -> str:
        """Tells credentials apart, also two of one name, within this process."""
        return f"{self.name} ({hash(self.header):x})"


_given: dict[str, tuple[Host, Credential]] = {}
"""Credentials that the user gave for a host in this process, by what they are for."""


def give(purpose: str, url: str, credential: Credential) -> None:
    """Send this credential to exactly the URL's host from now on; none that was given before for it."""
    _given[purpose] = (host_of(url), credential)


@lru_cache(maxsize=1024)
def host_of(url: str) -> Host:
    """Whom a request for the URL reaches; ValueError where programs could read it differently."""
    parts = urlsplit(url)
    if parts.scheme in _PORTS and not _NETLOC.fullmatch(parts.netloc.rpartition("@")[2]):
        raise ValueError("no usable host")
    return Host(parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme))


def credential_for(url: str) -> Credential | None:
    """The credential for exactly this URL's host: from the URL, the user, the environment, or netrc.

    Raises TransferError for a token that cannot be sent.
    """
    try:
        host, parts = host_of(url), urlsplit(url)
    except ValueError:
        return None  # nobody can be asked there
    if parts.username or parts.password:
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return _basic(f"the password in the URL of {host.name}", user, password)
    given = next((credential for at, credential in _given.values() if at == host), None)
    if given and given.header:
        return given
    variable = _token_variable(host)
    if token := os.environ.get(variable, "").strip():
        return bearer(variable, token, url)
    hosts, _ = _netrc()
    if host.name not in hosts:
        return given
    return _basic(f"{_netrc_path()} for {host.name}", *hosts[host.name])


def github_api() -> str:
    """The base URL of GitHub's API, without a final slash; TransferError for one of no use."""
    base = os.environ.get(GITHUB_API_VARIABLE, "").strip().rstrip("/") or GITHUB_API
    with contextlib.suppress(ValueError):
        if host_of(base).scheme in _PORTS and host_of(base).name:
            return base
    raise TransferError(Reason.INVALID_REQUEST, f"{GITHUB_API_VARIABLE} is no URL", url=mask(base))


def hub_endpoint() -> str:
    """The URL of the Hugging Face hub, or of the one that stands in for it, without a final slash."""
    return (os.environ.get(HUB_VARIABLE, "").strip() or HUB).rstrip("/")


def _token_variable(host: Host) -> str:
    """The variable with the token for exactly this scheme, name and port; empty for none."""
    api = host_of(github_api())
    if host == api:
        protected = host.scheme == "https" or host.name in _THIS_MACHINE
        return "GITHUB_TOKEN" if protected else ""
    with contextlib.suppress(ValueError):  # whoever asks that hub is told so
        if host == host_of(hub_endpoint()):
            return "HF_TOKEN"
    variable = TOKENS.get(host.name, "") if (host.scheme, host.port) == ("https", 443) else ""
    # The token of another GitHub is not for this one.
    return "" if variable == "GITHUB_TOKEN" and api != host_of(GITHUB_API) else variable


def credential_after_redirect(sent: Credential | None, url: str, target: str) -> Credential | None:
    """What `target` may get, to which `url` redirects, which was sent `sent`. ValueError: unusable.

    The same host and port get the same again, with TLS after none too. Another port of the host, or
    no TLS after TLS, may be somebody else: they get nothing but what the target itself names.
    """
    old, new, parts = host_of(url), host_of(target), urlsplit(target)
    if new.name != old.name or parts.username or parts.password:
        return credential_for(target)
    upgraded = (old[::2], new[::2]) == (("http", 80), ("https", 443))
    return sent if new == old or upgraded else None


def no_credential() -> str:
    """Why none was sent, in words for whoever was refused."""
    problem = _netrc()[1]
    return "no credential was sent" + (f" ({problem})" if problem else "")


def bearer(variable: str, token: str, url: str) -> Credential:
    """The credential of a token, called after where it comes from; TransferError for none of use."""
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        problem = f"{variable} cannot be a token: it holds spaces or signs that no header may have"
        raise TransferError(Reason.ACCESS_DENIED, problem, url=mask(url))
    return Credential(variable, ("Authorization", f"Bearer {token}"))


def _basic(name: str, user: str, password: str) -> Credential:
    pair = base64.b64encode(f"{user}:{password}".encode("utf-8", "replace")).decode("ascii")
    return Credential(name, ("Authorization", f"Basic {pair}"))


def _netrc_path() -> str:
    usual = (os.path.expanduser(name) for name in ("~/.netrc", "~/_netrc"))
    named = os.path.expanduser(os.environ.get("NETRC", ""))
    return named or next(filter(os.path.isfile, usual), "")


def _netrc() -> tuple[Mapping[str, tuple[str, str]], str]:
    """Login and password by host, and what is wrong with the file, if anything is."""
    path = _netrc_path()
    try:
        stat = os.stat(path)
    except OSError:
        return {}, ""
    return _read_netrc(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)  # it is asked for every request, and parsed once for every state of the file
def _read_netrc(path: str, mtime_ns: int, size: int) -> tuple[Mapping[str, tuple[str, str]], str]:
    import netrc

    try:
        entries = netrc.netrc(path).hosts
    except netrc.NetrcParseError as error:  # its text may quote a password
        return {}, f"{path} is broken in line {error.lineno}"
    except (OSError, ValueError):
        return {}, f"{path} cannot be read"
    # The "default" entry would give a password to any host that a catalog names.
    named = {name.lower(): entry for name, entry in entries.items() if name != "default"}
    return {name: (entry[0], entry[2] or "") for name, entry in named.items()}, ""


class Route(NamedTuple):
    """The way to a host: proxies by scheme, and what verifies its certificate (True: the default)."""

    proxies: dict[str, str]
    verify: str | bool


def route_to(url: str) -> Route:
    """The way to the host of a URL without userinfo. Raises TransferError for a setting of no use."""
    verify = _ca_bundle(url) if urlsplit(url).scheme == "https" else True
    return Route(_proxies(url), verify)


def _proxies(url: str) -> dict[str, str]:
    from requests.utils import get_environ_proxies, select_proxy

    proxy = select_proxy(url, get_environ_proxies(url, no_proxy=None))
    if not proxy:
        return {}
    try:
        host = host_of(proxy if "//" in proxy else f"http://{proxy}").name
    except ValueError:  # its text would quote the proxy's password
        host = ""
    if not host:
        problem = "the environment names a proxy that is no URL"
        raise TransferError(Reason.NETWORK, problem, url=mask(url))
    return {urlsplit(url).scheme: proxy}


def _ca_bundle(url: str) -> str | bool:
    name = next(filter(os.environ.get, CA_VARIABLES), None)
    if name is None:
        return True
    import ssl

    path = os.environ[name]
    try:
        where = {"capath" if os.path.isdir(path) else "cafile": path}
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(**where)
    except OSError as error:
        problem = f"{name} names {path}, which cannot be used ({error.strerror or error})"
        raise TransferError(Reason.CERTIFICATE, problem, url=mask(url)) from None
    return path


def without_userinfo(url: str) -> str:
    """The URL as it is requested: the user and password travel in a header instead."""
    if "@" not in url:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
