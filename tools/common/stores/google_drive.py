"""Google Drive, `gdrive://<file id>`: large files hide behind a page that asks for confirmation."""

from __future__ import annotations

import contextlib
import os
import re
import time
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

from ..errors import Reason, TransferError
from ..web.credentials import mask
from ..web.http_errors import in_words
from . import Settings
from .http import HttpStore, OpenedUrl

SCHEMES = ("gdrive",)
BASE = "https://drive.usercontent.google.com"
MAX_PAGE = 1 << 16  # bytes of a page that are looked at: titles and forms come early


def create(settings: Settings) -> GoogleDriveStore:
    """The store; MODELZOO_GOOGLE_DRIVE_URL replaces the base URL (a mirror, or a test)."""
    base = os.environ.get("MODELZOO_GOOGLE_DRIVE_URL") or BASE
    return GoogleDriveStore(HttpStore(settings), base.rstrip("/"), settings.timeout)


def check(url: str) -> None:
    """Raise ValueError where a URL names no file."""
    _file_id(url)


def _file_id(url: str) -> str:
    parts = urlsplit(url)
    if not re.fullmatch(r"[\w-]+", parts.netloc, re.ASCII) or parts.path or parts.query:
        raise ValueError("names no file: gdrive:// is followed by the file's id")
    return parts.netloc


class GoogleDriveStore:
    """Asks for a file, answers the confirmation page once, and tells quota pages apart."""

    remote = True

    def __init__(self, http: HttpStore, base: str, timeout: float) -> None:
        self._http, self._base, self._timeout = http, base, timeout

    def open(
        self, url: str, offset: int = 0, validator: str | None = None, stop: int | None = None
    ) -> OpenedUrl:
        """See Store.open."""
        try:
            file_id = _file_id(url)
        except ValueError as error:
            raise TransferError(Reason.INVALID_CATALOG, str(error), url=mask(url)) from None
        query = urlencode({"id": file_id, "export": "download", "confirm": "t"})
        asked = f"{self._base}/download"
        opened = self._http.open(f"{asked}?{query}", offset, validator, stop)
        if not _is_page(opened):
            return opened
        page = self._read_page(opened)
        target = self._form_target(page, asked)
        if target is None:
            raise _refusal(page, url)
        opened = self._http.open(f"{target}?{urlencode(page.fields)}", offset, validator, stop)
        if _is_page(opened):
            raise _refusal(self._read_page(opened), url)
        return opened

    def _form_target(self, page: _Page, asked: str) -> str | None:
        """Where the download form leads; only back to Google, whoever wrote the page."""
        try:
            target = urlsplit(urljoin(asked, page.action)) if page.action is not None else None
        except ValueError:
            return None
        if target is None or target[:2] != urlsplit(asked)[:2]:
            return None
        return target._replace(query="", fragment="").geturl()

    def _read_page(self, opened: OpenedUrl) -> _Page:
        """The page, or as much of it as comes in a reasonable time."""
        body, deadline = bytearray(), time.monotonic() + self._timeout
        with opened:
            for chunk in opened:
                body += chunk
                if len(body) >= MAX_PAGE or time.monotonic() > deadline:
                    break
        page = _Page()
        with contextlib.suppress(AssertionError):  # html.parser's answer to some kinds of nonsense
            page.feed(body[:MAX_PAGE].decode("utf-8", "replace"))
        return page


def _is_page(opened: OpenedUrl) -> bool:
    return (opened.media_type or "").lower().startswith("text/html") and not opened.attachment


class _Page(HTMLParser):
    """The title, the text and the download form of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.title = self.text = ""
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self._inside, self._in_form = "", False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the download form and its hidden fields."""
        values = dict(attrs)
        self._inside = tag
        if tag == "form":
            self._in_form = values.get("id") == "download-form" and self.action is None
            if self._in_form:
                self.action = values.get("action") or ""
        elif tag == "input" and self._in_form and values.get("name"):
            self.fields[str(values["name"])] = values.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        """Note where the form ends."""
        self._in_form = self._in_form and tag != "form"

    def handle_data(self, data: str) -> None:
        """Collect text that people see."""
        if self._inside == "title":
            self.title += data
        if self._inside not in ("script", "style"):
            self.text += data


def _refusal(page: _Page, url: str) -> TransferError:
    words = f"{page.title} {page.text}".lower().replace("-", " ")
    if "quota" in words or "too many users" in words:
        problem = "Google's download quota for this file is used up; try again in a day"
        return TransferError(Reason.QUOTA_EXCEEDED, problem, url=url)
    if "sign in" in words or "access" in words:
        problem = "Google asks to sign in: the file is not shared with everyone"
        return TransferError(Reason.ACCESS_DENIED, problem, url=url)
    title = in_words(page.title)[:80] or "no title"
    return TransferError(Reason.WRONG_CONTENT, f'a web page ("{title}") came, not the file', url=url)
