"""An HTTP server that breaks as told: every path has a script of steps, one per request."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from pathlib import Path

from . import Connection, Exchange, Hangup, Headers, SeenRequest
from .steps import (
    Step,
    chunked,
    close_delimited,
    drip,
    drop_connection,
    gzip_encoded,
    hold_after,
    html_page,
    ignore_range,
    long_body,
    pause_before,
    redirect,
    require_auth,
    reset_after,
    serve,
    slow_headers,
    stall_after,
    status,
    truncate_after,
    wrong_content_range,
)

__all__ = [
    "Exchange", "FaultyServer", "Headers", "SeenRequest", "Step", "chunked", "close_delimited",
    "drip", "drop_connection", "gzip_encoded", "hold_after", "html_page", "ignore_range",
    "long_body", "pause_before", "redirect", "require_auth", "reset_after", "serve",
    "slow_headers", "stall_after", "status", "truncate_after", "wrong_content_range",
]  # fmt: skip


class FaultyServer:
    """A loopback server with a thread per connection; what steps raise goes to `errors`."""

    def __init__(
        self, *, tls: tuple[str | Path, str | Path] | None = None, host: str = "127.0.0.1"
    ) -> None:
        """`tls` is a certificate file and its key file; the port is chosen on entering."""
        self.host = host
        self.port = 0
        self.default: Step = status(404)
        self.errors: list[Exception] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
        if self._context and tls:
            self._context.load_cert_chain(*tls)
        self._scripts: dict[str, list[Step]] = {}
        self._seen: list[SeenRequest] = []
        self._open: dict[Connection, threading.Thread] = {}
        self._changed = threading.Condition()
        self._stop = threading.Event()

    @property
    def url(self) -> str:
        """Scheme, host and port, without a final slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._context else 'http'}://{host}:{self.port}"

    @property
    def requests(self) -> list[SeenRequest]:
        """A copy of the list of requests so far, in the order they came."""
        with self._changed:
            return list(self._seen)

    def wait_for(self, n_requests: int, timeout: float = 10.0) -> list[SeenRequest]:
        """The requests, once there are that many; TimeoutError when there never are."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._seen) >= n_requests, timeout):
                raise TimeoutError(f"{len(self._seen)} of {n_requests} requests came: {self._seen}")
            return list(self._seen)

    def add(self, path: str, *steps: Step) -> None:
        """Script a path, with its query or for any; the last step repeats for ever."""
        if not steps:
            raise ValueError("a script needs a step")
        with self._changed:
            self._scripts[path] = list(steps)

    def __enter__(self) -> FaultyServer:
        """Listen on a free port."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.create_server((self.host, 0), family=family, backlog=128)
        # Only for systems where shutting the listener down does not wake accept().
        self._listener.settimeout(0.1)
        self.port = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Cut all connections at once and wait, though not for ever, for their threads."""
        self._stop.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(5)
        self._listener.close()
        with self._changed:
            threads = list(self._open.values())
            for connection in self._open:
                connection.interrupt()
        for thread in threads:
            thread.join(5)

    def _accept(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(OSError):
                self._welcome(self._listener.accept()[0])

    def _welcome(self, sock: socket.socket) -> None:
        if self._context:
            sock = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        connection = Connection(sock, self._stop)
        thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
        with self._changed:
            self._open[connection] = thread
        thread.start()

    def _serve(self, connection: Connection) -> None:
        try:
            connection.open()
            while connection.keep_alive:
                request = connection.read_request()
                self._next_step(request)(Exchange(connection, request))
        except (OSError, Hangup):
            pass  # A broken connection is what this server is for.
        except Exception as error:
            self.errors.append(error)
        finally:
            with self._changed:
                connection.close()
                del self._open[connection]

    def _next_step(self, request: SeenRequest) -> Step:
        with self._changed:
            self._seen.append(request)
            self._changed.notify_all()
            bare = request.path.partition("?")[0]
            steps = self._scripts.get(request.path) or self._scripts.get(bare) or [self.default]
            return steps.pop(0) if len(steps) > 1 else steps[0]
