"""A bucket of each service that keeps objects, on a server of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.conftest import require
from tests.servers.azure import azure_server, azurite_program
from tests.servers.gcs import gcs_server
from tests.servers.s3 import s3_server


@contextlib.contextmanager
def s3() -> Iterator[str]:
    with s3_server() as server:
        yield server.bucket()


@contextlib.contextmanager
def gs() -> Iterator[str]:
    with gcs_server() as server:
        yield server.bucket()
        assert server.credentials <= {"", "Bearer "}, "an emulator needs none"


@contextlib.contextmanager
def az() -> Iterator[str]:
    require(azurite_program(), "Azurite", "make interop")
    with azure_server() as server:
        yield server.container()


BUCKETS = (s3, gs, pytest.param(az, marks=pytest.mark.interop))
"""Parameters of tests; `make interop` sets up what the last one needs."""
