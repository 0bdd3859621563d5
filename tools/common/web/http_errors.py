"""What the errors of the network's libraries mean, in words that hold no secrets."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from ..errors import Reason, TransferError
from .credentials import CA_VARIABLES, mask

_ADVICE = f"{CA_VARIABLES[0]} can name a file of certificates to trust"


class translated_errors:
    """Turn what the libraries of the network raise inside into TransferError about `url`."""

    def __init__(self, url: str) -> None:
        self._url = url
        # What is being handled already is no cause of what happens inside.
        self._outside = sys.exc_info()[1]

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, TransferError):
            return
        causes: list[BaseException] = [error]
        while (inner := causes[-1].__cause__ or causes[-1].__context__) not in (None, self._outside):
            causes.append(inner)
        if translated := _translate(causes, mask(self._url)):
            raise translated from None  # the texts of its causes hold the URL with its secrets


def _translate(causes: Sequence[BaseException], url: str) -> TransferError | None:
    """What an error and its causes, the innermost last, mean: the first row that fits."""
    import ssl
    from http.client import HTTPException, IncompleteRead

    import requests.exceptions as rq
    import urllib3.exceptions as u3

    broken = (rq.RequestException, u3.HTTPError, HTTPException, OSError)
    table: list[tuple[tuple[type[BaseException], ...], Reason, str, bool]] = [
        ((ssl.SSLCertVerificationError,), Reason.CERTIFICATE, f"TLS failed, {_ADVICE}", False),
        ((rq.ProxyError, u3.ProxyError), Reason.NETWORK, "the proxy failed", True),
        ((rq.InvalidSchema,), Reason.NETWORK, "the proxy cannot be used", False),
        ((u3.NewConnectionError,), Reason.NETWORK, "cannot connect", True),
        ((TimeoutError, u3.TimeoutError), Reason.TIMEOUT, "the server did not answer in time", True),
        ((IncompleteRead,), Reason.NETWORK, "the connection closed before the end", True),
        (broken, Reason.NETWORK, "the connection broke", True),
    ]
    others = (rq.InvalidSchema, rq.InvalidHeader)
    if isinstance(causes[0], ValueError) and not isinstance(causes[0], others):
        # Its text would quote the URL.
        return TransferError(Reason.INVALID_CATALOG, "is not a usable URL", url=url)
    for kinds, reason, text, transient in table:
        if any(isinstance(cause, kinds) for cause in causes):
            detail = in_words(str(causes[-1])) or type(causes[-1]).__name__
            return TransferError(reason, f"{text} ({detail})", url=url, transient=transient)
    return None


def in_words(text: str) -> str:
    """What others say as it may be shown: one short line, without addresses of objects."""
    text = re.sub(r"<[^>]*>:? ?", "", text)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]
