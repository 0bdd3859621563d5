"""A folder of a web server as a repository: read by everybody, written where it may be.

That is where PUT and DELETE are allowed: nginx with WebDAV, or Artifactory, which tells the digests of
what it has. No file can be created only where there is none, so only one may write at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from ...checksum import CHUNK, Checksum, make_checksum, new_hasher
from ...errors import CatalogError, Reason, TransferError, UnsafePathError, UsageError
from ...files.disk import storage_errors
from ...stores import Settings
from ...stores.http import HttpStore, OpenedUrl, dismiss, status_error
from ...web.credentials import host_of, mask, without_userinfo
from ..web_index import links
from . import MAX_DOCUMENT, Entry, Sent, missing, require_key

SCHEMES = ("http", "https")

MAX_INDEX = 64 << 20
"""Bytes of the page of a folder; ten thousand names take two megabytes."""

MAX_FOLDERS = 200_000
"""Folders that one listing looks into."""


def create(place: str, settings: Settings) -> HttpStorage:
    """The folder that a URL names."""
    try:
        usable = bool(host_of(place).name) and not re.search(r"[?#\s]", place)
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"{mask(place)} is not the URL of a folder")
    return HttpStorage(place, settings)


class HttpStorage:
    """Files below a URL."""

    exclusive = False

    def __init__(self, url: str, settings: Settings) -> None:
        self._base = url.rstrip("/")
        self._http, self._settings = HttpStore(settings), settings
        self.url = mask(self._base)

    def read(self, key: str, limit: int = MAX_DOCUMENT) -> bytes:
        """See Storage.read."""
        return self._body(self._url(key), limit)

    def exists(self, key: str) -> bool:
        """See Storage.exists."""
        return self._head(key) is not None

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """See Storage.list: the server has to show what is in its folders; one page tells one level."""
        folders = [prefix]
        for number, folder in enumerate(folders):
            if number >= MAX_FOLDERS:
                raise CatalogError(f"has more than {MAX_FOLDERS} folders", file=self.url)
            for key in self._names(folder):
                if key.endswith("/"):
                    folders.append(key[:-1])
                else:
                    yield Entry(key)

    def _names(self, folder: str) -> Iterator[str]:
        """The keys directly in a folder; none where there is no such folder."""
        url = (self._url(folder) if folder else self._base) + "/"
        try:
            page = self._body(url, MAX_INDEX)
        except TransferError as error:
            if error.reason != Reason.NOT_FOUND:
                raise
            return
        for name in links(page, without_userinfo(url)):
            key = f"{folder}/{name}" if folder else name
            try:
                require_key(key.rstrip("/"))
            except UnsafePathError:
                continue  # nothing that could be published
            yield key

    def checksum(self, key: str) -> Checksum | None:
        """See Storage.checksum: Artifactory tells it."""
        headers = self._head(key)
        if headers is None:
            raise missing(self._url(key))
        return _told(headers, "MD5")

    def origin(self, key: str) -> str:
        """See Storage.origin; with the user and password of the repository's URL, if it has any."""
        return self._url(key)

    def create(self, key: str, data: bytes) -> bool:
        """See Storage.create: somebody else may come between the look and the writing."""
        if self.exists(key):
            return False
        return self._put(key, data, {"If-None-Match": "*"}) != 412

    def write(self, key: str, data: bytes) -> None:
        """See Storage.write."""
        self._put(key, data, {})

    def _put(self, key: str, data: bytes, headers: Mapping[str, str]) -> int:
        self._require_online()
        about = {"Content-Length": str(len(data)), **headers}
        response = self._http.send("PUT", self._url(key), about, [data])
        if response.status == 404:
            raise _read_only(self._url(key))
        return int(response.status)

    def upload(self, key: str, path: Path, checksum: Checksum, sent: Sent) -> None:
        """See Storage.upload: it is read back where the server does not tell the digest it has."""
        url = self._url(key)
        self._require_online()
        with storage_errors(path):
            size = path.stat().st_size
        about = {"Content-Length": str(size), "X-Checksum-Sha256": checksum.value}
        response = self._http.send("PUT", url, about, _pieces(path, sent))
        if response.status in (404, 412):
            raise _read_only(url)
        headers = self._head(key)
        if headers is None:
            raise missing(url)
        arrived = _told(headers, "SHA256") or self._digest(key)
        if arrived != checksum:
            problem = f"expected {checksum}, {arrived} arrived"
            raise TransferError(Reason.CHECKSUM_MISMATCH, problem, url=mask(url), transient=True)

    def delete(self, key: str) -> None:
        """See Storage.delete."""
        self._require_online()
        self._http.send("DELETE", self._url(key), {})

    def _digest(self, key: str) -> Checksum:
        hasher = new_hasher("sha256")
        with self._open(self._url(key)) as opened:
            for chunk in opened:
                hasher.update(chunk)
        return Checksum("sha256", hasher.hexdigest())

    def _body(self, url: str, limit: int) -> bytes:
        body = bytearray()
        with self._open(url) as opened:
            for chunk in opened:
                body += chunk
                if len(body) > limit:
                    raise CatalogError(f"is larger than {limit} bytes", file=mask(url))
        if opened.size not in (None, len(body)):
            problem = f"expected {opened.size} bytes, {len(body)} came"
            raise TransferError(Reason.SIZE_MISMATCH, problem, url=mask(url), transient=True)
        return bytes(body)

    def _open(self, url: str) -> OpenedUrl:
        self._require_online()
        return self._http.open(url)

    def _head(self, key: str) -> Mapping[str, str] | None:
        """What the server says of a file, None where there is none."""
        self._require_online()
        url = self._url(key)
        response, credential, hops = self._http.ask(url, method="HEAD")
        dismiss(response)
        folder = bool(hops) and hops[-1].target.endswith("/")  # which may have a page
        if response.status in (404, 410) or folder:
            return None
        if response.status != 200:
            raise status_error(response, url, credential)
        return response.headers

    def _url(self, key: str) -> str:
        require_key(key)
        return f"{self._base}/{quote(key)}"

    def _require_online(self) -> None:
        if self._settings.offline:
            raise TransferError(Reason.OFFLINE, "not asked: --offline", url=self.url)


def _pieces(path: Path, sent: Sent) -> Iterator[bytes]:
    size = 0
    with storage_errors(path), path.open("rb", buffering=0) as file:
        while piece := file.read(CHUNK):
            yield piece
            sent(size := size + len(piece))


def _told(headers: Mapping[str, str], algorithm: str) -> Checksum | None:
    """The digest that Artifactory's headers tell."""
    try:
        return make_checksum(algorithm.lower(), headers.get(f"X-Checksum-{algorithm}", "").strip())
    except ValueError:
        return None


def _read_only(url: str) -> TransferError:
    return TransferError(Reason.ACCESS_DENIED, "the server takes no files there (PUT)", url=mask(url))
