"""Topaz's CDN: where it is, and the cookie that it wants from whoever downloads."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from ..errors import UsageError
from .credentials import Credential, give, host_of, mask

DEFAULT_URL = "https://veai-models.topazlabs.com/"
URL_VARIABLE = "MODELZOO_TOPAZ_URL"
"""Names another place for the files: a mirror."""

COOKIE = "cf_clearance"
COOKIE_VARIABLES = ("TVAI_COOKIE", "MODELZOO_COOKIE")
ADVICE = (
    "to get a fresh one: log in at the Topaz website, open the browser's developer tools, their "
    f"network tab, download {DEFAULT_URL}prap-v3-fp32-ov.tz, and copy what follows {COOKIE}= in the "
    f"Cookie header of that request into {COOKIE_VARIABLES[0]} or the file that --cookie_file names"
)

_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]{1,4096}")  # RFC 6265, section 4.1.1: cookie-octet


def base_url(environ: Mapping[str, str] = os.environ) -> str:
    """What the URLs of all files begin with; raises UsageError for a setting of no use."""
    url = environ.get(URL_VARIABLE, "").strip() or DEFAULT_URL
    try:
        host = host_of(url)
        usable = host.scheme == "file" or (host.scheme in ("http", "https") and host.name)
    except ValueError:
        usable = False
    if not usable or "?" in url or "#" in url:
        raise UsageError(f"{URL_VARIABLE}: expected a URL of a folder, got {mask(url)}")
    return url if url.endswith("/") else f"{url}/"


def use_cookie(value: str | None = None, environ: Mapping[str, str] = os.environ) -> None:
    """Send this cookie, else that of the environment, to the CDN's host and nowhere else.

    Raises UsageError for a value that no header may have.
    """
    names = (name for name in COOKIE_VARIABLES if environ.get(name, "").strip())
    variable = next(names, COOKIE_VARIABLES[0])
    cookie = cookie_value(value, "the cookie") if value else _from(environ, variable)
    header = ("Cookie", f"{COOKIE}={cookie}") if cookie else None
    credential = Credential(f"the cookie {COOKIE} ({COOKIE_VARIABLES[0]})", header, ADVICE)
    give("topaz", base_url(environ), credential)


def _from(environ: Mapping[str, str], variable: str) -> str:
    text = environ.get(variable, "").strip()
    return cookie_value(text, variable) if text else ""


def cookie_value(text: str, where: str) -> str:
    """The value in a text that may also hold the name; UsageError, which does not show it."""
    value = text.strip().removeprefix("Cookie:").strip().removeprefix(f"{COOKIE}=").strip().rstrip(";")
    if not _VALUE.fullmatch(value):
        odd = "something with spaces, line breaks or signs that no cookie may have"
        raise UsageError(
            f"{where}: expected the value of the cookie {COOKIE}, got {odd if value else 'nothing'}"
        )
    return value
