"""URLs as they may be shown, logged and stored: without secrets."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote_plus

_SECRET_NAME = re.compile(
    r"token|secret|pass|pwd|signature|credential|cookie|session|auth|hmac|api.?key|access.?key|[-_.]key"
    r"|^(sig|key|code|jwt|sid|otp|pw)$",
    re.I,
)
_QUERY_FIELD = re.compile(r"(?<=[?&;#])([^?=&;#]*)=([^&;#]*)")
_PATH_FIELD = re.compile(r"(?<=;)([^=;/]*)=([^;/]*)")
_SCHEME = re.compile(r"https?:[/\\]*|(?:[^/\\?#@:]*:)?[/\\]{2}", re.I)
_NETLOC_END, _PATH_END = re.compile(r"[/\\?#]"), re.compile("[?#]")
_BROKEN_PORT = re.compile(r"[^/\\?#@\[]*:(?![0-9]*(?:[/\\?#]|$))")


@lru_cache(maxsize=1024)
def mask(url: str) -> str:
    """The URL as it may be shown or stored: no user, no password, no secret-looking parameters.

    Works on the text alone, since what is no URL has to be shown too.
    """
    if "@" not in url and "=" not in url and url.isprintable():
        return url  # there is neither a user nor a parameter in it
    for _ in range(8):
        printable = url if url.isprintable() else "".join(filter(str.isprintable, url))
        masked = _mask_once(printable)
        if masked == url:
            return url
        url = masked
    return "***"  # made to uncover one secret when another is removed


def _mask_once(url: str) -> str:
    scheme = _SCHEME.match(url)
    start = scheme.end() if scheme else 0
    rest = url[start:]
    netloc = _NETLOC_END.split(rest, maxsplit=1)[0]
    if scheme and "@" in netloc:
        rest = rest[netloc.rindex("@") + 1 :]
    elif _BROKEN_PORT.match(rest):  # the beginning of a password with a slash or the like in it
        rest = rest.rpartition("@")[2]
    path = _PATH_END.split(rest, maxsplit=1)[0]
    query = rest[len(path) :]
    return url[:start] + _PATH_FIELD.sub(_hide, path) + _QUERY_FIELD.sub(_hide, query)


def _hide(field: re.Match[str]) -> str:
    value = unquote_plus(field[2])
    names = [unquote_plus(field[1]), *re.findall(r"[?&;#]([^?=&;#]+)=", value)]
    secret = re.search(r"//[^/?#]*@", value) or any(map(_SECRET_NAME.search, names))
    return f"{field[1]}=***" if secret else field[0]
