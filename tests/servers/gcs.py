"""Google Cloud Storage on a loopback port: a fake of the XML API, as far as object_store speaks it.

None of the emulators that can be installed knows uploads in parts and conditional writes in that API.
This follows Google's documents (cloud.google.com/storage/docs): `xml-api/put-object-upload`,
`get-object-download`, `delete-object`, `get-bucket-list`, `post-object-multipart`,
`put-object-multipart`, `post-object-complete`, `delete-multipart`, `reference-headers` and
`reference-status`, `multipart-uploads` and `request-preconditions`. It wants no credential, as
emulators do, but remembers what it was given; what object_store does not ask for is answered with 501.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import re
import threading
import time
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest

SMALLEST_PART = 5 << 20
"""Bytes that each part but the last has to have."""

LISTING = {"list-type", "prefix", "continuation-token"}
KEPT = ("content-type", "cache-control", "content-disposition", "content-encoding", "content-language")


class Stored(NamedTuple):
    """An object; `headers` are those that it was written with and is read with."""

    data: bytes
    generation: int
    etag: str
    headers: Mapping[str, str]
    updated: float


class Upload(NamedTuple):
    """An upload in parts that is neither finished nor aborted."""

    name: tuple[str, str]
    headers: Mapping[str, str]
    parts: dict[int, bytes]


class Refused(Exception):
    """What is answered instead."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class Gcs:
    """The service. A page of a listing has `page` names, so that few make several pages."""

    def __init__(self, page: int = 2) -> None:
        self.page = page
        self.objects: dict[tuple[str, str], Stored] = {}
        self.uploads: dict[str, Upload] = {}
        """Those that somebody would go on paying for."""
        self.refusals: list[int] = []
        """Statuses with which the next writes are answered."""
        self.corrupt: list[bytes] = []
        """What to keep instead of the next parts that come."""
        self.credentials: set[str] = set()
        """What requests said in `Authorization`."""
        self.lock = threading.RLock()
        self.buckets: list[str] = []
        self.numbers = itertools.count(1_700_000_000_000_000)

    def __enter__(self) -> Gcs:
        handler = type("Handler", (_Handler,), {"at": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def bucket(self) -> str:
        """The URL of a new bucket."""
        self.buckets.append(f"models-{len(self.buckets)}")
        return f"gs://{self.buckets[-1]}"

    def store(
        self, name: tuple[str, str], data: bytes, headers: Mapping[str, str], etag: str
    ) -> Stored:
        self.objects[name] = Stored(data, next(self.numbers), etag, headers, time.time())
        return self.objects[name]


@contextlib.contextmanager
def gcs_server() -> Iterator[Gcs]:
    """The service, in threads of this process and in its environment, while the context lasts."""
    with Gcs() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", server.url)
        yield server


class _Handler(BaseHTTPRequestHandler):
    at: Gcs
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve(self._list if not self._name()[1] else self._get)

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        self._serve(self._put_part if "uploadId" in self._query() else self._put)

    def do_POST(self) -> None:
        self._serve(self._complete if "uploadId" in self._query() else self._initiate)

    def do_DELETE(self) -> None:
        self._serve(self._abort if "uploadId" in self._query() else self._delete)

    def _serve(self, act: Any) -> None:
        self.body = self.rfile.read(size := int(self.headers.get("Content-Length", 0)))
        if len(self.body) < size:  # the client has gone
            self.close_connection = True
            return
        self.at.credentials.add(self.headers.get("Authorization", ""))
        try:
            with self.at.lock:
                if self._name()[0] not in self.at.buckets:
                    raise Refused(404, "NoSuchBucket")
                if self.at.refusals and self.command in ("PUT", "POST"):
                    raise Refused(self.at.refusals.pop(0), "Refused")
                answer = act()
        except Refused as refused:
            answer = (refused.status, _xml("Error", f"<Code>{refused.code}</Code>"), {})
        self._answer(*answer)

    def _answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] = {}) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _name(self) -> tuple[str, str]:
        bucket, _, key = urlsplit(self.path).path[1:].partition("/")
        return unquote(bucket), unquote(key)

    def _query(self) -> dict[str, str]:
        pairs = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        return {name: values[0] for name, values in pairs.items()}

    def _about(self) -> dict[str, str]:
        named = {name.lower(): value for name, value in self.headers.items()}
        return {n: v for n, v in named.items() if n in KEPT or n.startswith("x-goog-meta-")}

    def _require_generation(self) -> None:
        """The precondition of reads and writes: 0 is no object at all."""
        wanted = self.headers.get("x-goog-if-generation-match")
        found = self.at.objects.get(self._name())
        if wanted is not None and int(wanted) != (found.generation if found else 0):
            raise Refused(412, "PreconditionFailed")

    def _existing(self) -> Stored:
        if (found := self.at.objects.get(self._name())) is None:
            raise Refused(404, "NoSuchKey")
        return found

    def _put(self) -> Any:
        self._require_generation()
        etag = f'"{hashlib.md5(self.body).hexdigest()}"'
        found = self.at.store(self._name(), self.body, self._about(), etag)
        return 200, b"", {"ETag": found.etag, "x-goog-generation": str(found.generation)}

    def _get(self) -> Any:
        found = self._existing()
        self._require_generation()
        if self.headers.get("If-Match", found.etag) not in (found.etag, "*"):
            raise Refused(412, "PreconditionFailed")
        about = {
            **found.headers,
            "ETag": found.etag,
            "Last-Modified": formatdate(found.updated, usegmt=True),
            "x-goog-generation": str(found.generation),
            "x-goog-metageneration": "1",
            "x-goog-stored-content-length": str(size := len(found.data)),
        }
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not match:
            return 200, found.data, about
        first, last = int(match[1]), min(size - 1, int(match[2] or size))
        if first > last:
            raise Refused(416, "InvalidRange")
        about["Content-Range"] = f"bytes {first}-{last}/{size}"
        return 206, found.data[first : last + 1], about

    def _delete(self) -> Any:
        self._existing()
        self._require_generation()
        del self.at.objects[self._name()]
        return 204, b"", {}

    def _list(self) -> Any:
        query = self._query()
        bucket, prefix, most = self._name()[0], query.get("prefix", ""), self.at.page
        if query.get("list-type") != "2" or query.keys() - LISTING:
            raise Refused(501, "NotImplemented")
        after = base64.urlsafe_b64decode(query.get("continuation-token", "")).decode()
        keys = sorted((key for place, key in self.at.objects if place == bucket), key=str.encode)
        keys = [k for k in keys if k.startswith(prefix) and k.encode() > after.encode()]
        found = "".join(_listed(key, self.at.objects[bucket, key]) for key in keys[:most])
        more = len(keys) > most
        found += (
            f"<KeyCount>{len(keys[:most])}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>"
        )
        if more:
            token = base64.urlsafe_b64encode(keys[most - 1].encode()).decode()
            found += f"<NextContinuationToken>{token}</NextContinuationToken>"
        return 200, _xml("ListBucketResult", found), {"Content-Type": "application/xml"}

    def _initiate(self) -> Any:
        if "uploads" not in self._query():
            raise Refused(400, "InvalidArgument")
        number = f"upload-{next(self.at.numbers)}"
        self.at.uploads[number] = Upload(self._name(), self._about(), {})
        return 200, _xml("InitiateMultipartUploadResult", f"<UploadId>{number}</UploadId>"), {}

    def _upload(self) -> Upload:
        upload = self.at.uploads.get(self._query()["uploadId"])
        if upload is None or upload.name != self._name():
            raise Refused(404, "NoSuchUpload")
        return upload

    def _put_part(self) -> Any:
        number = int(self._query().get("partNumber", "0"))
        if not 1 <= number <= 10_000:
            raise Refused(400, "InvalidArgument")
        data = self.at.corrupt.pop(0) if self.at.corrupt else self.body
        self._upload().parts[number] = data
        return 200, b"", {"ETag": f'"{hashlib.md5(data).hexdigest()}"'}

    def _complete(self) -> Any:
        upload = self._upload()
        parts = [(int(p.findtext("PartNumber") or 0), p.findtext("ETag")) for p in _parts(self.body)]
        if not parts or parts != sorted(set(parts)):
            raise Refused(400, "InvalidPartOrder" if parts else "MalformedXML")
        for number, etag in parts:
            if etag != f'"{hashlib.md5(upload.parts.get(number, b"?")).hexdigest()}"':
                raise Refused(400, "InvalidPart")
        if any(len(upload.parts[number]) < SMALLEST_PART for number, _ in parts[:-1]):
            raise Refused(400, "EntityTooSmall")
        data = b"".join(upload.parts[number] for number, _ in parts)
        etag = f'"{next(self.at.numbers):x}-{len(parts)}"'  # no digest: documented as opaque
        found = self.at.store(upload.name, data, upload.headers, etag)
        del self.at.uploads[self._query()["uploadId"]]
        told = _xml("CompleteMultipartUploadResult", f"<ETag>{etag}</ETag>")
        return 200, told, {"x-goog-generation": str(found.generation)}

    def _abort(self) -> Any:
        self._upload()
        del self.at.uploads[self._query()["uploadId"]]
        return 204, b"", {}


def _parts(body: bytes) -> list[ET.Element]:
    return [e for e in ET.fromstring(body) if e.tag.rpartition("}")[2] == "Part"]


def _listed(key: str, found: Stored) -> str:
    updated = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(found.updated))
    about = {"Key": escape(key), "Generation": found.generation, "LastModified": updated}
    about |= {"ETag": escape(found.etag), "Size": len(found.data)}
    return (
        f"<Contents>{''.join(f'<{name}>{value}</{name}>' for name, value in about.items())}</Contents>"
    )


def _xml(name: str, inside: str) -> bytes:
    place = ' xmlns="http://doc.s3.amazonaws.com/2006-03-01"' if name != "Error" else ""
    return f"<?xml version='1.0' encoding='UTF-8'?><{name}{place}>{inside}</{name}>".encode()
