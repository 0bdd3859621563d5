"""Google Drive, `gdrive://<file id>`: large files hide behind a page that asks for confirmation."""

from __future__ import annotations

import os
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

from ..errors import Reason, TransferError
from . import Settings
from .http import HttpStore, OpenedUrl

SCHEMES = ("gdrive",)
BASE = "https://drive.usercontent.google.com"
MAX_PAGE = 1 << 20  # bytes of a page that are looked at


def create(settings: Settings) -> GoogleDriveStore:
    """The store; MODELZOO_GOOGLE_DRIVE_URL replaces the base URL (a mirror, or a test)."""
    return GoogleDriveStore(HttpStore(settings), os.environ.get("MODELZOO_GOOGLE_DRIVE_URL", BASE))


class GoogleDriveStore:
    """Asks for a file, answers the confirmation page once, and tells quota pages apart."""

    remote = True

    def __init__(self, http: HttpStore, base: str) -> None:
        self._http, self._base = http, base

    def open(self, url: str, offset: int = 0, validator: str | None = None) -> OpenedUrl:
        """See Store.open."""
        file_id = urlsplit(url).netloc
        query = urlencode({"id": file_id, "export": "download", "confirm": "t"})
        opened = self._http.open(f"{self._base}/download?{query}", offset, validator)
        if not _is_page(opened):
            return opened
        page = _read_page(opened)
        if page.action is None:
            raise _refusal(page, url)
        # The form leads back to Google; a page that points elsewhere is not followed.
        target = urljoin(self._base, page.action)
        if urlsplit(target).netloc != urlsplit(self._base).netloc:
            raise _refusal(page, url)
        opened = self._http.open(f"{target}?{urlencode(page.fields)}", offset, validator)
        if _is_page(opened):
            raise _refusal(_read_page(opened), url)
        return opened


def _is_page(opened: OpenedUrl) -> bool:
    return (opened.media_type or "").lower().startswith("text/html") and not opened.attachment


class _Page(HTMLParser):
    """The title, the text and the download form of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.title = self.text = ""
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the download form and its hidden fields."""
        values = dict(attrs)
        self._inside = tag
        if tag == "form" and values.get("id") == "download-form":
            self.action = values.get("action")
        elif tag == "input" and self.action is not None and values.get("name"):
            self.fields[str(values["name"])] = values.get("value") or ""

    def handle_data(self, data: str) -> None:
        """Collect text."""
        if self._inside == "title":
            self.title += data
        self.text += data


def _read_page(opened: OpenedUrl) -> _Page:
    page, size = _Page(), 0
    with opened:
        for chunk in opened:
            page.feed(chunk.decode("utf-8", "replace"))
            size += len(chunk)
            if size > MAX_PAGE:
                break
    return page


def _refusal(page: _Page, url: str) -> TransferError:
    words = f"{page.title} {page.text}".lower()
    if "quota" in words or "too many users" in words:
        problem = "Google's download quota for this file is used up; try again in a day"
        return TransferError(Reason.QUOTA_EXCEEDED, problem, url=url)
    if "sign in" in words or "access" in words:
        problem = "Google asks to sign in: the file is not shared with everyone"
        return TransferError(Reason.ACCESS_DENIED, problem, url=url)
    title = " ".join(page.title.split())[:80] or "no title"
    return TransferError(Reason.WRONG_CONTENT, f'a web page ("{title}") came, not the file', url=url)
