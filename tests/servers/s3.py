"""Object storage on a loopback port: moto, which knows conditional writes and uploads in parts."""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest
from modelzoo.registry.storage.objects import ObjectsStorage
from modelzoo.stores import Settings

_buckets = itertools.count()


class S3:
    """A server with as many buckets as tests want; `environment` is what its clients need to know."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.environment = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "test-key",
            "AWS_SECRET_ACCESS_KEY": "test-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self.held = ""
        """What the keys of objects end with that nobody can write."""
        self.reached = threading.Event()
        """Set when somebody tries."""
        self.asked: list[str] = []
        """Method and path of all requests."""

    def bucket(self) -> str:
        """The URL of a new bucket."""
        name = f"models-{next(_buckets)}"
        request = urllib.request.Request(f"{self.url}/{name}", method="PUT")
        urllib.request.urlopen(request, timeout=20).close()
        return f"s3://{name}"

    def guarded(self, app: Any) -> Any:
        """The application, with an eye on who asks for what."""

        def answer(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
            method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
            self.asked.append(f"{method} {path}")
            if self.held and method == "PUT" and path.endswith(self.held):
                self.reached.set()
                threading.Event().wait(60)
            found: Iterable[bytes] = app(environ, start)
            return found

        return answer


def put(url: str, files: Mapping[str, bytes]) -> None:
    """Write objects below a URL."""
    storage = ObjectsStorage(url, Settings())
    for name, data in files.items():
        storage.write(name, data)


def objects(url: str) -> list[str]:
    """The keys of all objects below a URL, sorted."""
    return sorted(entry.key for entry in ObjectsStorage(url, Settings()).list())


@contextlib.contextmanager
def s3_server() -> Iterator[S3]:
    """The server, in threads of this process, for as long as the context lasts."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        with pytest.MonkeyPatch.context() as patch:
            served = S3(f"http://{host}:{port}")
            assert server._server is not None
            server._server.app = served.guarded(server._server.app)
            for name, value in served.environment.items():
                patch.setenv(name, value)
            yield served
    finally:
        server.stop()
