"""A server that stores files as Artifactory does: it wants a credential and tells digests."""

from __future__ import annotations

import base64
import hashlib
import html
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USER, PASSWORD, TOKEN = "anna", "pa:ss", "tok-en"


class Artifactory:
    """Files by their paths; without `digests` an ordinary server. `corrupt`: what to store instead."""

    def __init__(self, *, digests: bool = True) -> None:
        self.files: dict[str, bytes] = {}
        self.digests = digests
        self.corrupt: dict[str, list[bytes]] = {}
        self.refusals: list[int] = []
        """Statuses with which the next PUTs are answered."""
        self.requests: list[tuple[str, str]] = []

    def __enter__(self) -> Artifactory:
        handler = type("Handler", (_Handler,), {"at": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    at: Artifactory
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def allowed(self) -> bool:
        pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return self.headers.get("Authorization") in (f"Basic {pair}", f"Bearer {TOKEN}")

    def do_PUT(self) -> None:
        body = self.rfile.read(size := int(self.headers["Content-Length"]))
        if len(body) < size:  # the client has gone
            self.close_connection = True
            return
        self.at.requests.append(("PUT", self.path))
        if self.at.refusals:
            self.answer(self.at.refusals.pop(0))
        elif not self.allowed():
            self.answer(401)
        else:
            wrong = self.at.corrupt.get(self.path)
            self.at.files[self.path] = wrong.pop(0) if wrong else body
            self.answer(201)

    def do_DELETE(self) -> None:
        self.at.requests.append(("DELETE", self.path))
        if not self.allowed():
            self.answer(403)
        else:
            self.answer(204 if self.at.files.pop(self.path, None) is not None else 404)

    def do_GET(self) -> None:
        self.at.requests.append((self.command, self.path))
        if not self.allowed():
            self.answer(401)
        elif (data := self.at.files.get(self.path)) is not None:
            told = {"X-Checksum-Sha256": "sha256", "X-Checksum-Md5": "md5"} if self.at.digests else {}
            self.answer(200, data, **{k: hashlib.new(v, data).hexdigest() for k, v in told.items()})
        elif self.path.endswith("/") and (names := self.names()):
            rows = "".join(f'<a href="{html.escape(name)}">{name}</a>\n' for name in names)
            page = f'<html><a href="?C=M">sort</a><a href="../">../</a><pre>{rows}</pre></html>'
            self.answer(200, page.encode(), Content_Type="text/html")
        else:
            self.answer(404)

    do_HEAD = do_GET

    def names(self) -> list[str]:
        below = [p.removeprefix(self.path) for p in self.at.files if p.startswith(self.path)]
        return sorted({name[: name.find("/") + 1] or name for name in below})
