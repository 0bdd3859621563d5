"""GET requests over a connection that is kept, without what makes the common case slow elsewhere.

Nearly all answers of a run are alike: a status, some headers, and a body whose length they tell. Such
an answer is read here, at a tenth of what urllib3 and http.client take for it, which is the longer
part of a small file. Whatever else a server says is left to them, on the same connection.
"""

from __future__ import annotations

import contextlib
import io
import re
import socket
import weakref
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..checksum import CHUNK

if TYPE_CHECKING:
    from urllib3 import HTTPConnectionPool
    from urllib3.connection import HTTPConnection

MAX_HEAD = 1 << 16  # bytes

_HEAD = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9]{2})(?: [^\r\n]*)?\r\n((?:[\w!#$%&'*+.^`|~-]+:[^\r\n]*\r\n)*)\r\n", re.A
)


class Response(Protocol):
    """An answer, its body unread: what is used of urllib3's, or Answer."""

    status: int
    length_remaining: int | None

    @property
    def headers(self) -> Mapping[str, str]:
        """By name, whatever its case."""

    def read1(self, amount: int, decode_content: bool = False) -> bytes:
        """What has come of the body, at most so many bytes; nothing at its end."""

    def shutdown(self) -> None:
        """Make a read in another thread return at once."""

    def close(self) -> None:
        """Close the connection, unless the body has been read to its end."""


class KeptConnection:
    """A connection to one host, used by one thread; `timeout` is in seconds.

    It is one of urllib3's pool, which knows about certificates, and which it is left to where it
    brings anything unusual.
    """

    def __init__(self, site: str, pool: HTTPConnectionPool, timeout: float) -> None:
        scheme, _, netloc = site.partition("://")
        self._host = netloc.removesuffix({"http": ":80", "https": ":443"}[scheme])
        self._pool, self._timeout, self._idle = pool, timeout, list[Any]()
        weakref.finalize(self, _close_all, self._idle)  # when its thread has ended
        self.usual = True
        """Whether all answers so far were of the common kind."""

    def get(self, target: str, headers: Mapping[str, str]) -> Response | None:
        """The answer; None, and nothing sent, for headers that are not plain text."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        if not lines.isascii() or not lines.count("\r") == lines.count("\n") == len(headers):
            return None
        request = f"GET {target} HTTP/1.1\r\nHost: {self._host}\r\n{lines}\r\n".encode("ascii")
        if (connection := self._take()) is not None:
            # Servers close what has been idle for long, maybe just now (RFC 9112, 9.3.1).
            with contextlib.suppress(ConnectionError):
                return self._exchange(connection, request)
        return self._exchange(self._connect(), request)

    def put_back(self, connection: HTTPConnection) -> None:
        """The connection can be used again."""
        self._idle.append(connection)

    def _take(self) -> HTTPConnection | None:
        """The idle connection, unless the server has closed it."""
        if not self._idle:
            return None
        connection: HTTPConnection = self._idle.pop()
        if connection.is_connected:
            return connection
        connection.close()
        return None

    def _exchange(self, connection: HTTPConnection, request: bytes) -> Response:
        try:
            if connection.sock is None:
                connection.connect()
            return self._read(connection, _ask(connection, request))
        except BaseException:
            connection.close()
            raise

    def _connect(self) -> HTTPConnection:
        connection = cast("HTTPConnection", self._pool._get_conn())
        connection.timeout = self._timeout
        return connection

    def _read(self, connection: HTTPConnection, data: bytes) -> Response:
        sock: socket.socket = connection.sock
        while (
            (end := data.find(b"\r\n\r\n")) < 0 and len(data) < MAX_HEAD and (more := sock.recv(CHUNK))
        ):
            data += more
        found = _HEAD.match(data, 0, end + 4) if end >= 0 else None
        status = int(found[1]) if found else 0
        # Those two have no body, whatever their headers say of one.
        if found and status not in (204, 304) and (headers := _headers(found[2])) is not None:
            return Answer(self, connection, status, headers, data[end + 4 :])
        self.usual = False
        return self._read_unusual(connection, sock, data)

    def _read_unusual(self, connection: HTTPConnection, sock: socket.socket, data: bytes) -> Response:
        """Have http.client and urllib3 read an answer that begins with this."""
        from http.client import HTTPResponse

        import urllib3

        original = HTTPResponse(cast("Any", _Replayed(sock, data)), method="GET")
        original.begin()
        return urllib3.HTTPResponse(
            body=original,
            headers=urllib3.HTTPHeaderDict(original.headers.items()),
            status=original.status,
            reason=original.reason,
            preload_content=False,
            decode_content=False,
            original_response=original,
            request_method="GET",
            connection=connection,
            pool=None if original.will_close else self._pool,
            sock_shutdown=sock.shutdown,
        )


def _close_all(connections: Iterable[HTTPConnection]) -> None:
    for connection in connections:
        connection.close()


def _ask(connection: HTTPConnection, request: bytes) -> bytes:
    """Send the request; the beginning of the answer. ConnectionError: there is none."""
    sock: socket.socket = connection.sock
    sock.sendall(request)
    if not (data := sock.recv(CHUNK)):
        from http.client import RemoteDisconnected

        raise RemoteDisconnected("Remote end closed connection without response")
    return data


class _Headers(dict[str, str]):
    """By name in lower case; asked for in any."""

    def get(self, name: str, default: Any = None, /) -> Any:
        """The value, or the default."""
        return super().get(name.lower(), default)


def _headers(lines: bytes) -> _Headers | None:
    """The headers of a body that ends where they say; None when something else decides that."""
    headers = _Headers()
    for line in lines.decode("latin-1").split("\r\n")[:-1]:
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    length = headers.get("content-length", "")
    usual = length.isdecimal() and length.isascii() and len(length) < 19
    return headers if usual and "transfer-encoding" not in headers else None


class Answer:
    """An answer with a body of known length; its connection is idle again when all was read."""

    def __init__(
        self,
        kept: KeptConnection,
        connection: HTTPConnection,
        status: int,
        headers: _Headers,
        beginning: bytes,
    ) -> None:
        self.status, self.headers = status, headers
        self.length_remaining: int | None = int(headers["content-length"])
        self._left = self.length_remaining or 0
        self._kept, self._connection, self._beginning = kept, connection, beginning
        # What comes after the end of the body was not asked for.
        self._last = len(beginning) > self._left or "close" in headers.get("connection", "").lower()
        if not self._left:
            self._end()

    def read1(self, amount: int, decode_content: bool = False) -> bytes:
        """See Response.read1; raises IncompleteRead where the body is shorter than announced."""
        if not self._left:
            return b""
        if self._beginning:
            data, self._beginning = self._beginning[: self._left], b""
        else:
            data = self._connection.sock.recv(min(amount, self._left))
            if not data:
                from http.client import IncompleteRead

                raise IncompleteRead(b"", self._left)
        self._left -= len(data)
        self.length_remaining = self._left
        if not self._left:
            self._end()
        return data

    def shutdown(self) -> None:
        """See Response.shutdown."""
        if self._left and (sock := self._connection.sock) is not None:
            sock.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """See Response.close."""
        if self._left:
            self._left = 0
            self._connection.close()

    def _end(self) -> None:
        if self._last:
            self._connection.close()
        else:
            self._kept.put_back(self._connection)


class _Replayed(io.RawIOBase):
    """A socket to http.client: first what has been read from it, then the rest."""

    def __init__(self, sock: socket.socket, data: bytes) -> None:
        self._sock, self._data = sock, data

    def makefile(self, mode: str) -> io.BufferedReader:
        """As of a socket."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes."""
        if not self._data:
            return self._sock.recv_into(buffer)
        some, self._data = self._data[: len(buffer)], self._data[len(buffer) :]
        buffer[: len(some)] = some
        return len(some)
