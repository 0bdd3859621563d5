"""Loopback servers for the tests; here is the wire level that `faulty.py` builds upon."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.client import responses
from typing import NoReturn

_POLL_SECONDS = 0.01
_DRAIN_SECONDS = 5.0
_DRIP_SECONDS = 0.1
_BLOCK = 64 * 1024


class Hangup(Exception):
    """Ends the answer and its connection; the way out of a step that breaks off."""


class Headers(Mapping[str, str]):
    """Header fields: found whatever the case of the name, listed in lower case."""

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        """Fields that come twice are joined with a comma, as HTTP allows."""
        self._fields: dict[str, str] = {}
        for name, value in fields:
            before = self.get(name)
            self._fields[name.lower()] = value if before is None else f"{before}, {value}"

    def __getitem__(self, name: str) -> str:
        """The value of a field; KeyError when it was not sent."""
        return self._fields[name.lower()]

    def __iter__(self) -> Iterator[str]:
        """The names in lower case, in the order sent."""
        return iter(self._fields)

    def __len__(self) -> int:
        """How many different fields there are."""
        return len(self._fields)

    def __repr__(self) -> str:
        """Shown when an assertion fails."""
        return f"Headers({self._fields!r})"


@dataclass
class SeenRequest:
    """A request as it arrived; `sent` grows while its body is being sent."""

    method: str
    path: str
    headers: Headers
    sent: int = 0


class Connection:
    """One accepted socket: reads requests, sends bytes and ends as it is told."""

    def __init__(self, sock: socket.socket, stop: threading.Event) -> None:
        """`stop` is set when the server stops; it ends every wait."""
        self.sock = sock
        self.stop = stop
        self.keep_alive = True
        self._buffer = b""
        self._reset = False

    def open(self) -> None:
        """Get ready for requests; the TLS handshake is here to block no other connection."""
        # Head and body are sent apart: Nagle's algorithm would delay the second.
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if isinstance(self.sock, ssl.SSLSocket):
            self.sock.do_handshake()

    def read_request(self) -> SeenRequest:
        """The next request, with its body skipped."""
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        words = first.split(" ")
        if len(words) != 3:
            raise Hangup(f"not a request: {first!r}")
        fields = (line.partition(":") for line in rest)
        headers = Headers((name, value.strip()) for name, _, value in fields)
        asked = headers.get("connection", "").lower()
        self.keep_alive = words[2] == "HTTP/1.1" and asked != "close"
        self._skip(int(headers.get("content-length", "0")))
        return SeenRequest(words[0], words[1], headers)

    def hang_up(self) -> NoReturn:
        """Break off with a clean close."""
        raise Hangup("closed early")

    def stall(self) -> NoReturn:
        """Send nothing more until the client leaves or the server stops."""
        while True:
            self._fill()
            self._buffer = b""

    def reset(self) -> NoReturn:
        """Break off with a TCP reset, once the client's side has what was sent before."""
        # A reset throws away what still waits to be sent, and the test counts on those bytes.
        deadline = time.monotonic() + _DRAIN_SECONDS
        while _unacknowledged(self.sock) and time.monotonic() < deadline:
            if self.stop.wait(_POLL_SECONDS):
                break
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._reset = True
        raise Hangup("reset")

    def interrupt(self) -> None:
        """Wake a thread that is blocked on this socket; callable from another thread."""
        # Past the method of SSLSocket, which would take the TLS state away from that thread.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close cleanly, or with the reset that was asked for."""
        if not self._reset and not self.stop.is_set():
            self._say_goodbye()
        self.sock.close()

    def _say_goodbye(self) -> None:
        if isinstance(self.sock, ssl.SSLSocket):
            # Send close_notify, so that the end is a clean one, but wait for no reply.
            self.sock.settimeout(0)
            with contextlib.suppress(OSError, ValueError):
                self.sock.unwrap()
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def _fill(self) -> None:
        data = self.sock.recv(_BLOCK)
        if not data:
            raise Hangup("the client has left")
        self._buffer += data

    def _skip(self, n_bytes: int) -> None:
        while len(self._buffer) < n_bytes:
            self._fill()
        self._buffer = self._buffer[n_bytes:]


class Exchange:
    """One request and the answer it gets: what a step works with."""

    def __init__(self, connection: Connection, request: SeenRequest) -> None:
        """`headers` is what steps look at: a wrapper may hide a field, the record stays."""
        self.connection = connection
        self.request = request
        self.headers = request.headers
        self._bytes_per_second: float | None = None
        self._headers_event: threading.Event | None = None
        self._marks: list[tuple[int, Callable[[], None]]] = []
        self._bodyless = False

    def at(self, n_bytes: int, action: Callable[[], None]) -> None:
        """Do something when that many body bytes have been sent (0: after the head)."""
        self._marks.append((n_bytes, action))
        self._marks.sort(key=lambda mark: mark[0])

    def limit(self, bytes_per_second: float) -> None:
        """Send the body no faster than that."""
        self._bytes_per_second = bytes_per_second

    def hold_headers(self, event: threading.Event) -> None:
        """Have the headers wait for the event, once the status line is sent."""
        self._headers_event = event

    def reply(self, code: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a whole answer; `headers` may overrule the Content-Length."""
        length = {} if code in (204, 304) else {"Content-Length": str(len(body))}
        self.start(code, {**length, **headers})
        self.write(body)

    def start(self, code: int, headers: Mapping[str, str]) -> None:
        """Send the status line and the headers."""
        self._bodyless = self.request.method == "HEAD" or code in (204, 304)
        if not self.connection.keep_alive:
            headers = {**headers, "Connection": "close"}
        elif headers.get("Connection") == "close":
            self.connection.keep_alive = False
        line = f"HTTP/1.1 {code} {responses.get(code, '')}\r\n"
        if self._headers_event is not None:
            self.connection.sock.sendall(line.encode("latin-1"))
            self.wait(self._headers_event)
            line = ""
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.connection.sock.sendall(f"{line}{fields}\r\n".encode("latin-1"))
        self._pass_marks()

    def write(self, data: bytes) -> None:
        """Send body bytes, at the speed and with the breaks that were asked for."""
        view = memoryview(b"" if self._bodyless else data)
        while view:
            piece = view[: self._room()]
            if self._bytes_per_second:
                self.connection.stop.wait(len(piece) / self._bytes_per_second)
            view = view[self._send(piece) :]
            self._pass_marks()

    def frame(self, data: bytes) -> None:
        """Send bytes of the transfer coding, which count as no part of the body."""
        if not self._bodyless:
            self.connection.sock.sendall(data)

    def wait(self, event: threading.Event) -> None:
        """Wait for an event; hang up when the server stops first."""
        while not event.wait(_POLL_SECONDS):
            if self.connection.stop.is_set():
                raise Hangup("the server stops")

    def _pass_marks(self) -> None:
        while self._marks and self._marks[0][0] <= self.request.sent:
            self._marks.pop(0)[1]()

    def _room(self) -> int:
        speed = self._bytes_per_second
        room = max(1, min(_BLOCK, int(speed * _DRIP_SECONDS))) if speed else _BLOCK
        if self._marks:
            room = min(room, self._marks[0][0] - self.request.sent)
        return room

    def _send(self, piece: memoryview) -> int:
        # Counted before it is sent: a client that has read the last byte may look at once.
        self.request.sent += len(piece)
        done = 0
        try:
            done = self.connection.sock.send(piece)
            return done
        finally:
            self.request.sent -= len(piece) - done


def _unacknowledged(sock: socket.socket) -> int:
    if sys.platform != "linux":
        return 0
    import fcntl
    import termios

    return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0])
