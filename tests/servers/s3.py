"""Object storage on a loopback port: moto, which knows conditional writes and uploads in parts."""

from __future__ import annotations

import contextlib
import itertools
import logging
import urllib.request
from collections.abc import Iterator

import pytest

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

    def bucket(self) -> str:
        """The URL of a new bucket."""
        name = f"models-{next(_buckets)}"
        request = urllib.request.Request(f"{self.url}/{name}", method="PUT")
        urllib.request.urlopen(request, timeout=20).close()
        return f"s3://{name}"


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
            for name, value in served.environment.items():
                patch.setenv(name, value)
            yield served
    finally:
        server.stop()
