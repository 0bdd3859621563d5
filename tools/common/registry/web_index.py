"""What a folder of a web server holds, as the page says that servers make of it (nginx, Apache, …)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit


def links(page: bytes, url: str) -> Iterator[str]:
    """The names that a folder's page links to and that are directly in it; folders end with a slash."""
    parser = _Links()
    with contextlib.suppress(AssertionError):  # html.parser's answer to some kinds of nonsense
        parser.feed(page.decode("utf-8", "replace"))
    base = urlsplit(url)
    for target in dict.fromkeys(parser.found):
        with contextlib.suppress(ValueError):
            parts = urlsplit(urljoin(url, target))
            name = parts.path.removeprefix(base.path)
            there = parts[:2] == base[:2] and parts.path.startswith(base.path)
            if there and not parts.query and name.strip("/") and "/" not in name[:-1]:
                yield unquote(name)


class _Links(HTMLParser):
    """The targets of all links."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note where it leads."""
        if tag == "a" and (target := dict(attrs).get("href")):
            self.found.append(target)
