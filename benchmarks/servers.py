"""nginx as the benchmarks need it: with a throttle, or with a pause before it answers."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.servers.nginx import Nginx, nginx_binary

_NO_LOG = "access_log off;"
_ECHO = "ngx_http_echo_module.so"


@dataclass(frozen=True)
class Link:
    """What lies between client and server: bytes a second per connection, seconds before an answer."""

    limit_rate: str | None = None
    delay: float = 0.0


FAST = Link()


class MissingServer(Exception):
    """nginx, or a part of it, is not installed."""


@contextlib.contextmanager
def serve(root: Path, link: Link) -> Iterator[str]:
    """Serve a folder; gives the URL of the root. Raises MissingServer."""
    if nginx_binary() is None:
        raise MissingServer("nginx is not installed")
    server = Nginx(root, limit_rate=link.limit_rate, extra=_NO_LOG)
    if link.delay:
        server = _PausingNginx(root, link.delay, _echo_module())
    with server:
        yield server.url


class _PausingNginx(Nginx):
    """Waits in nginx's event loop, so that thousands of pauses cost nothing, then sends the file."""

    def __init__(self, root: Path, delay: float, module: Path) -> None:
        pause = f"location / {{ echo_sleep {delay}; echo_exec @file; }} location @file {{ root root; }}"
        super().__init__(root, extra=f"{_NO_LOG} {pause}")
        self._module = module

    def _write_config(self) -> None:
        super()._write_config()
        path = self._folder / "nginx.conf"
        path.write_text(f"load_module {self._module};\n{path.read_text()}")


def _echo_module() -> Path:
    """The module that comes with Debian's nginx-light; raises MissingServer."""
    told = subprocess.run([str(nginx_binary()), "-V"], capture_output=True, text=True).stderr
    folder = re.search(r"--modules-path=(\S+)", told)
    module = Path(folder[1] if folder else "/usr/lib/nginx/modules") / _ECHO
    if not module.exists():
        raise MissingServer("nginx has no echo module, which makes the pauses")
    return module
