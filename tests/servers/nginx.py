"""A real nginx on a loopback port, with an access log the tests can read."""

from __future__ import annotations

import grp
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

_START_SECONDS = 10.0
_STOP_SECONDS = 5.0
_POLL_SECONDS = 0.01
_PORT_TRIES = 5

# Every path is relative to the prefix given with -p, so no path needs quoting here.
_CONFIG = """\
{user}
daemon off;
worker_processes 2;
pid nginx.pid;
error_log error.log warn;
events {{ worker_connections 256; }}
http {{
    default_type application/octet-stream;
    types {{ text/html html; text/plain txt; application/json json; }}
    sendfile on;
    etag on;
    client_body_temp_path client_body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    log_format tests escape=json '{log_format}';
    access_log access.log tests;
    server {{
        listen 127.0.0.1:{port};
        root root;
        {limit_rate}
        {extra}
    }}
}}
"""

_LOG_FORMAT = (
    '{"method":"$request_method","uri":"$request_uri","status":$status,'
    '"body_bytes_sent":$body_bytes_sent,"request_time":$request_time,'
    '"http_range":"$http_range","http_user_agent":"$http_user_agent",'
    '"http_authorization":"$http_authorization","http_cookie":"$http_cookie"}'
)


@dataclass(frozen=True)
class Request:
    """One line of the access log; a header that was not sent is an empty string."""

    method: str
    uri: str
    status: int
    body_bytes_sent: int
    request_time: float
    http_range: str
    http_user_agent: str
    http_authorization: str
    http_cookie: str


def nginx_binary() -> str | None:
    """The path of nginx, or None; a normal user's PATH often lacks the sbin folders."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


class Nginx:
    """Serves a folder with nginx for as long as the context lasts."""

    def __init__(self, root: Path, *, limit_rate: str | None = None, extra: str = "") -> None:
        """`limit_rate` is nginx's own (as in "500k"); `extra` goes into the server block."""
        self.root = root
        self.port = 0
        self._limit_rate = f"limit_rate {limit_rate};" if limit_rate else ""
        self._extra = extra
        self._folder = Path()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where the root is served, without a final slash."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Nginx:
        """Start nginx and wait until it accepts connections."""
        self._folder = Path(tempfile.mkdtemp(prefix="nginx-"))
        try:
            (self._folder / "root").symlink_to(self.root.resolve(), target_is_directory=True)
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop nginx and remove its folder."""
        self._stop()

    def requests(self) -> list[Request]:
        """What the log holds now; nginx writes a line just after the last byte was sent."""
        text = (self._folder / "access.log").read_text(encoding="utf-8", errors="replace")
        # Not splitlines(): a URI may hold what Unicode takes for the end of a line.
        return [Request(**json.loads(line)) for line in text.split("\n")[:-1]]

    def wait_for(self, n_requests: int, timeout: float = 10.0) -> list[Request]:
        """The log once it holds that many requests; TimeoutError when it never does."""
        deadline = time.monotonic() + timeout
        while len(found := self.requests()) < n_requests:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(found)} of {n_requests} requests logged: {found}")
            time.sleep(_POLL_SECONDS)
        return found

    def bytes_sent(self) -> int:
        """The body bytes of all logged requests."""
        return sum(request.body_bytes_sent for request in self.requests())

    def reset_log(self) -> None:
        """Forget the requests so far; nginx appends, so truncating is safe while it runs."""
        os.truncate(self._folder / "access.log", 0)

    def _start(self) -> None:
        binary = nginx_binary()
        if binary is None:
            raise RuntimeError("nginx is not installed")
        for _ in range(_PORT_TRIES):
            self.port = _free_port()
            self._write_config()
            if self._launch(binary):
                return
            # Another process may have taken the port between our choice and nginx's bind.
            if "Address already in use" not in self._complaints():
                break
        raise RuntimeError(f"nginx did not start:\n{self._complaints()}")

    def _write_config(self) -> None:
        config = _CONFIG.format(
            user=_user_directive(),
            log_format=_LOG_FORMAT,
            port=self.port,
            limit_rate=self._limit_rate,
            extra=self._extra,
        )
        (self._folder / "nginx.conf").write_text(config, encoding="utf-8")

    def _launch(self, binary: str) -> bool:
        with open(self._folder / "stderr.log", "wb") as stderr:
            self._process = subprocess.Popen(
                [binary, "-p", str(self._folder), "-c", "nginx.conf"],
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                # Its own process group, so that a last kill also reaches the workers.
                start_new_session=True,
            )
        return self._wait_until_ready(self._process)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._accepts():
                return True
            try:
                process.wait(_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            return False
        return False

    def _accepts(self) -> bool:
        # nginx writes its pid after it has bound: without it, the port may be a stranger's.
        if not (self._folder / "nginx.pid").exists():
            return False
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _complaints(self) -> str:
        logs = [self._folder / "stderr.log", self._folder / "error.log"]
        return "".join(log.read_text(errors="replace") for log in logs if log.exists())

    def _stop(self) -> None:
        if self._process is not None:
            _end(self._process)
            self._process = None
        shutil.rmtree(self._folder, ignore_errors=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    # SIGTERM, not SIGQUIT: a graceful stop would wait for clients that never finish reading.
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(_STOP_SECONDS)


def _user_directive() -> str:
    # As root, nginx would give its workers to "nobody", who cannot read a tester's folder.
    if os.geteuid() != 0:
        return ""
    return f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(os.getegid()).gr_name};"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
