"""What goes wrong over HTTP and what is said about it: statuses, networks, TLS, proxies."""

from __future__ import annotations

import gc
import re
import shutil
import socket
import subprocess
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from modelzoo.errors import Reason, TransferError
from modelzoo.stores import Settings
from modelzoo.stores.http import HttpStore
from modelzoo.web.credentials import CA_VARIABLES
from modelzoo.web.http_errors import in_words

from tests.conftest import require
from tests.servers import Exchange
from tests.servers.faulty import FaultyServer, Step
from tests.servers.steps import (
    chunked,
    drop_connection,
    reset_after,
    serve,
    stall_after,
    status,
    truncate_after,
)
from tests.servers.tls import make_certificate, openssl_binary
from tests.zoo import content

DATA = content("http", 5000)


@pytest.fixture(autouse=True)
def default_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CA_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    require(openssl_binary(), "openssl")
    return make_certificate(tmp_path_factory.mktemp("tls"), "127.0.0.1", "models.invalid")


@pytest.fixture
def secure(certificate: tuple[Path, Path]) -> Iterator[FaultyServer]:
    with FaultyServer(tls=certificate) as server:
        server.add("/f", serve(DATA))
        yield server
        assert server.errors == []


def fetch(url: str, timeout: float = 20) -> bytes:
    with HttpStore(Settings(timeout=timeout)).open(url) as opened:
        return b"".join(opened)


def refused(url: str, timeout: float = 20) -> TransferError:
    """The error of fetching a URL that is full of secrets; it keeps the rules for all errors."""
    scheme, rest = url.split("//")
    with pytest.raises(TransferError) as caught:
        fetch(f"{scheme}//user:S3CRET@{rest}?token=S3CRET#key=S3CRET", timeout)
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 400
    assert not re.search(r"S3CRET|0x[0-9a-f]{6}|object at|HTTPS?Connection|Max retries", text)
    assert caught.value.url == f"{url}?token=***#key=***"
    return caught.value


def raw(answer: bytes) -> Step:
    """Exactly these bytes, then the end."""

    def step(exchange: Exchange) -> None:
        exchange.connection.sock.sendall(answer)
        exchange.connection.hang_up()

    return step


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("code", "reason", "transient", "busy"),
    [
        (400, Reason.SERVER_ERROR, False, False),
        (401, Reason.ACCESS_DENIED, False, False),
        (402, Reason.SERVER_ERROR, False, False),
        (403, Reason.ACCESS_DENIED, False, False),
        (404, Reason.NOT_FOUND, False, False),
        (407, Reason.ACCESS_DENIED, False, False),
        (408, Reason.TIMEOUT, True, False),
        (410, Reason.NOT_FOUND, False, False),
        (416, Reason.SERVER_ERROR, False, False),
        (423, Reason.SERVER_ERROR, True, False),
        (425, Reason.SERVER_ERROR, True, False),
        (429, Reason.RATE_LIMITED, True, True),
        (451, Reason.ACCESS_DENIED, False, False),
        (500, Reason.SERVER_ERROR, True, False),
        (502, Reason.SERVER_ERROR, True, False),
        (503, Reason.RATE_LIMITED, True, True),
        (504, Reason.TIMEOUT, True, False),
        (599, Reason.SERVER_ERROR, True, False),
    ],
)
def test_statuses(faulty: FaultyServer, code: int, reason: Reason, transient: bool, busy: bool) -> None:
    faulty.add("/f", status(code, headers={"Retry-After": "7"}))
    error = refused(f"{faulty.url}/f")
    assert (error.reason, error.transient, error.busy) == (reason, transient, busy)
    assert error.retry_after == 7
    assert f"the server answered {code}" in str(error)
    denied = code in (401, 403)
    assert (error.credential is not None) is denied
    assert ("the password in the URL of 127.0.0.1 was sent and refused" in str(error)) is denied


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"", "the connection broke"),
        (b"S3RVER\x1b[2J\r\n\r\n", "the connection broke"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "the connection broke"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n", "the connection broke"),
        (b"HTTP/1.1 200 " + b"x" * 70000 + b"\r\n\r\n", "the connection broke"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "closed before the end"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "closed before the end"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab", "closed before the end"),
    ],
)
def test_answers_that_are_no_http(faulty: FaultyServer, answer: bytes, text: str) -> None:
    faulty.add("/f", raw(answer))
    error = refused(f"{faulty.url}/f")
    assert (error.reason, error.transient) == (Reason.NETWORK, True)
    assert text in str(error)


def test_lengths_that_contradict_each_other(faulty: FaultyServer) -> None:
    faulty.add("/f", raw(b"HTTP/1.1 200 OK\r\nContent-Length: 3, 4\r\n\r\nabc"))
    with warnings.catch_warnings():
        # urllib3 leaves this socket to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        text = str(refused(f"{faulty.url}/f"))
        gc.collect()
    assert "the connection broke (Content-Length contained" in text


def test_the_words_of_a_status_line_are_not_repeated(faulty: FaultyServer) -> None:
    faulty.add("/f", raw(b"HTTP/1.1 404 \x1b[31mS3CRET\r\nContent-Length: 0\r\n\r\n"))
    assert str(refused(f"{faulty.url}/f")).endswith(": the server answered 404 Not Found")


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (drop_connection(), Reason.NETWORK),
        (reset_after(serve(DATA), 0), Reason.NETWORK),
        (reset_after(serve(DATA), 3000), Reason.NETWORK),
        (truncate_after(serve(DATA), 3000), Reason.NETWORK),
        (chunked(DATA, cut_after=0), Reason.NETWORK),
        (chunked(DATA, cut_after=4096), Reason.NETWORK),
        (stall_after(serve(DATA), 0), Reason.TIMEOUT),
        (stall_after(serve(DATA), 3000), Reason.TIMEOUT),
        (lambda exchange: exchange.connection.stall(), Reason.TIMEOUT),
    ],
)
def test_connections_that_break(faulty: FaultyServer, step: Step, reason: Reason) -> None:
    faulty.add("/f", step)
    error = refused(f"{faulty.url}/f", timeout=0.2 if reason == Reason.TIMEOUT else 20)
    assert (error.reason, error.transient, error.busy) == (reason, True, False)
    # What requests says holds the URL: no traceback may show it.
    assert (error.__cause__, error.__suppress_context__) == (None, True)


def test_words_of_others() -> None:
    said = (
        "<urllib3.connection.HTTPConnection object at 0x7f12ab>: Failed\n\tto \x1b[2Jdo it" + "!" * 999
    )
    assert in_words(said).startswith("Failed to [2Jdo it!!!")
    assert len(in_words(said)) == 200


def test_nobody_listens() -> None:
    error = refused(f"http://127.0.0.1:{free_port()}/f")
    assert (error.reason, error.transient) == (Reason.NETWORK, True)
    assert "cannot connect ([Errno" in str(error)


def test_no_such_host() -> None:
    error = refused("http://no-such-host.invalid/f")
    assert (error.reason, error.transient) == (Reason.NETWORK, True)
    assert "cannot connect ([Errno" in str(error)


def test_what_was_being_handled_is_no_cause() -> None:
    try:
        raise LookupError("another matter")
    except LookupError:
        error = refused(f"http://127.0.0.1:{free_port()}/f")
    assert "another matter" not in str(error)


def test_an_untrusted_certificate(secure: FaultyServer) -> None:
    error = refused(f"{secure.url}/f")
    assert (error.reason, error.transient) == (Reason.CERTIFICATE, False)
    assert "REQUESTS_CA_BUNDLE can name" in str(error)
    assert secure.requests == []


@pytest.mark.parametrize("variable", CA_VARIABLES)
def test_a_trusted_certificate(
    secure: FaultyServer,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    monkeypatch.setenv(variable, str(certificate[0]))
    assert fetch(f"{secure.url}/f") == DATA
    monkeypatch.delenv(variable)
    assert refused(f"{secure.url}/f").reason == Reason.CERTIFICATE  # nothing stays from before


def test_a_folder_of_certificates(
    secure: FaultyServer,
    certificate: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = ["openssl", "x509", "-noout", "-hash", "-in", str(certificate[0])]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    shutil.copy(certificate[0], tmp_path / f"{name}.0")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    assert fetch(f"{secure.url}/f") == DATA


def test_a_certificate_of_another_host(
    secure: FaultyServer, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    error = refused(f"https://localhost:{secure.port}/f")
    assert (error.reason, error.transient) == (Reason.CERTIFICATE, False)
    assert "localhost" in str(error)


@pytest.mark.parametrize("variable", CA_VARIABLES)
@pytest.mark.parametrize("text", [None, "", "no certificate"])
def test_certificates_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, text: str | None
) -> None:
    path = tmp_path / "bundle.pem"
    if text is not None:
        path.write_text(text)
    monkeypatch.setenv(variable, str(path))
    with pytest.raises(TransferError, match=f"{variable} names {path}, which cannot be used") as caught:
        fetch("https://127.0.0.1:1/f")
    assert (caught.value.reason, caught.value.transient) == (Reason.CERTIFICATE, False)


def test_tls_spoken_to_a_plain_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(4096)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        error = refused(f"https://127.0.0.1:{listener.getsockname()[1]}/f")
    assert (error.reason, error.transient) == (Reason.NETWORK, True)
    assert "the connection broke ([SSL" in str(error)
