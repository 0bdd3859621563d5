"""Answers that are read from the connection itself, and those that are left to urllib3."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence

import pytest
from modelzoo.errors import TransferError
from modelzoo.stores import Settings
from modelzoo.stores.http import HttpStore, create

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"


class Scripted:
    """A server that sends these pieces on each connection, one list for each request."""

    def __init__(self, connections: Sequence[Sequence[Sequence[bytes]]]) -> None:
        self._script, self.requests = connections, list[bytes]()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/f"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        for requests in self._script:
            connection, _ = self._listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for pieces in requests:
                    self.requests.append(connection.recv(1 << 16))
                    for piece in pieces:
                        connection.sendall(piece)

    def close(self) -> None:
        self._thread.join(10)
        self._listener.close()


@pytest.fixture
def store() -> HttpStore:
    return create(Settings(timeout=10))


def read(store: HttpStore, url: str) -> bytes:
    with store.open(url) as opened:
        return b"".join(opened)


@pytest.mark.parametrize(
    "pieces",
    [
        [HEAD + b"\r\nhello"],
        [HEAD, b"\r\n", b"hel", b"lo"],
        [b"H", b"TTP/1.1 200\r\ncontent-length:5\r\n\r", b"\nhello"],
        [HEAD + b"Connection: Close\r\n\r\nhello"],
        [HEAD + b"\r\nhello, and more"],
        [b"HTTP/1.1 100 Continue\r\n\r\n", HEAD + b"\r\nhello"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"],
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"],
        [b"HTTP/1.0 200 OK\r\n\r\nhello"],
        [HEAD + b"X: folded\r\n over two lines\r\n\r\nhello"],
    ],
)
def test_answers(store: HttpStore, pieces: Sequence[bytes]) -> None:
    server = Scripted([[pieces]])
    assert read(store, server.url) == b"hello"
    server.close()


@pytest.mark.parametrize("pieces", [[HEAD + b"\r\nhell"], [HEAD], [b"nonsense\r\n\r\n"], []])
def test_answers_that_break_off(store: HttpStore, pieces: Sequence[bytes]) -> None:
    server = Scripted([[pieces]])
    with pytest.raises(TransferError) as caught:
        read(store, server.url)
    assert caught.value.transient
    server.close()


def test_a_connection_that_closes_instead_of_a_second_answer(store: HttpStore) -> None:
    answer = [HEAD + b"\r\nhello"]
    server = Scripted([[answer, []], [answer]])
    assert [read(store, server.url) for _ in range(2)] == [b"hello"] * 2
    server.close()
    assert len(server.requests) == 3
    assert len(set(server.requests)) == 1
