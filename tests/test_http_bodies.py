"""Bodies and the connections they come over: reused, dropped, cut off on purpose."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from modelzoo.checksum import CHUNK
from modelzoo.errors import Reason, TransferError
from modelzoo.stores import Settings
from modelzoo.stores.http import HttpStore, OpenedUrl

from tests.conftest import require
from tests.servers import Connection, Exchange
from tests.servers.faulty import FaultyServer, Step
from tests.servers.steps import (
    chunked,
    close_delimited,
    gzip_encoded,
    hold_after,
    redirect,
    serve,
    stall_after,
    status,
)
from tests.servers.tls import make_certificate, openssl_binary
from tests.zoo import content

DATA = content("http", 5000)


@pytest.fixture
def store() -> HttpStore:
    return HttpStore(Settings(timeout=20))


@pytest.fixture
def server(faulty: FaultyServer) -> Iterator[FaultyServer]:
    yield faulty
    assert faulty.errors == []


def read(opened: OpenedUrl) -> bytes:
    with opened:
        return b"".join(opened)


def endless(code: int, headers: dict[str, str], left: threading.Event) -> Step:
    """A body that goes on until the client leaves, which sets the event."""

    def step(exchange: Exchange) -> None:
        exchange.start(code, {**headers, "Connection": "close"})
        try:
            while True:
                exchange.write(bytes(1 << 16))
        finally:
            left.set()

    return step


def counted(step: Step, connections: set[Connection]) -> Step:
    """The step, which notes over which connections it was asked for."""

    def noting(exchange: Exchange) -> None:
        connections.add(exchange.connection)
        step(exchange)

    return noting


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (serve(DATA), 1),
        (serve(b""), 1),
        (chunked(DATA), 1),
        (status(404), 1),
        (redirect("/end"), 1),
        (close_delimited(DATA), 6),
        (status(404, body=bytes(1 << 20)), 6),
    ],
)
def test_one_connection_for_many_files(
    server: FaultyServer, store: HttpStore, step: Step, expected: int
) -> None:
    used: set[Connection] = set()
    server.add("/f", counted(step, used))
    server.add("/end", counted(serve(DATA), used))
    for _ in range(6):
        with contextlib.suppress(TransferError):
            read(store.open(f"{server.url}/f"))
    assert len(used) == expected


def test_a_body_that_was_not_read_costs_its_connection(server: FaultyServer, store: HttpStore) -> None:
    big, used = content("big", 4 * CHUNK), set[Connection]()
    server.add("/f", counted(serve(big), used))
    for wanted in (0, 1):
        with store.open(f"{server.url}/f") as opened:
            pieces = list(itertools.islice(opened, wanted))
        assert len(pieces) == wanted
    with store.open(f"{server.url}/f") as opened:
        opened.abort()
    assert read(store.open(f"{server.url}/f")) == big
    assert len(used) == 4


def test_the_end_of_a_redirects_body_is_not_awaited(server: FaultyServer, store: HttpStore) -> None:
    left = threading.Event()
    server.add("/f", endless(302, {"Location": "/end"}, left))
    server.add("/end", serve(DATA))
    assert read(store.open(f"{server.url}/f")) == DATA
    assert left.wait(10)


def test_leaving_a_body_ends_its_connection(server: FaultyServer, store: HttpStore) -> None:
    left = threading.Event()
    server.add("/f", endless(200, {}, left))
    with store.open(f"{server.url}/f") as opened:
        next(iter(opened))
    assert left.wait(10)
    assert opened.offset == 0  # it is still alive: not the garbage collector has closed it


def test_nothing_comes_after_an_abort(server: FaultyServer, store: HttpStore) -> None:
    left = threading.Event()
    server.add("/f", endless(200, {}, left))
    with store.open(f"{server.url}/f") as opened:
        pieces = iter(opened)
        next(pieces)
        opened.abort()  # while more is here already
        with pytest.raises(TransferError) as caught:
            next(pieces)
    assert caught.value.reason == Reason.INTERRUPTED


@pytest.mark.parametrize("step", [chunked(DATA), close_delimited(DATA)])
def test_bodies_of_unknown_length(server: FaultyServer, store: HttpStore, step: Step) -> None:
    server.add("/f", step)
    opened = store.open(f"{server.url}/f")
    assert (opened.offset, opened.size) == (0, None)
    assert read(opened) == DATA


def test_a_body_that_is_encoded_is_not_decoded(server: FaultyServer, store: HttpStore) -> None:
    server.add("/f", gzip_encoded(DATA))
    opened = store.open(f"{server.url}/f")
    assert opened.encoding == "gzip"
    assert gzip.decompress(read(opened)) == DATA


def test_bytes_are_handed_over_as_they_come(server: FaultyServer, store: HttpStore) -> None:
    event = threading.Event()
    server.add("/f", hold_after(serve(DATA), 10, event))
    with store.open(f"{server.url}/f") as opened:
        pieces = iter(opened)
        assert next(pieces) == DATA[:10]
        event.set()
        assert b"".join(pieces) == DATA[10:]


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("make", [serve, chunked, close_delimited])
def test_abort_ends_a_blocked_read(
    make: Callable[[bytes], Step],
    secure: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if secure:
        require(openssl_binary(), "openssl")
        certificate = make_certificate(tmp_path, "127.0.0.1")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    with FaultyServer(tls=certificate if secure else None) as server:
        server.add("/f", stall_after(make(DATA), 1000))
        opened, came, errors = HttpStore(Settings(timeout=60)).open(f"{server.url}/f"), [], []
        first = threading.Event()

        def consume() -> None:
            try:
                for piece in opened:
                    came.append(piece)
                    first.set()
            except TransferError as error:
                errors.append(error)

        reader = threading.Thread(target=consume)
        with opened:
            reader.start()
            assert first.wait(10)
            started = time.monotonic()
            opened.abort()
            reader.join(10)
            assert not reader.is_alive()
        assert time.monotonic() - started < 5
        assert DATA.startswith(b"".join(came))
        assert len(errors) == 1


def test_local_files_need_no_requests(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(DATA)
    program = (
        "import sys; from modelzoo.stores import Settings, Stores\n"
        f"url = {(tmp_path / 'f').as_uri()!r}\n"
        "with Stores(Settings()).store(url).open(url) as opened: print(len(b''.join(opened)))\n"
        "print([name for name in ('requests', 'urllib3', 'ssl') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split("\n") == ["5000", "[]", ""]
