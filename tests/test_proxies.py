"""Proxies from the usual variables: who is asked for what, with which password, and how they fail."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest
from modelzoo.errors import Reason, TransferError
from modelzoo.stores import Settings
from modelzoo.stores.http import HttpStore
from modelzoo.web.credentials import CA_VARIABLES

from tests.conftest import require
from tests.servers.faulty import FaultyServer
from tests.servers.steps import serve, status
from tests.servers.tls import make_certificate, openssl_binary, tunnel
from tests.zoo import content

DATA = content("proxies", 5000)
HOST = "models.invalid"  # nobody but the proxy can find it
DEAD = "http://127.0.0.1:1"  # nobody listens there


@pytest.fixture(autouse=True)
def default_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CA_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def fetch(url: str) -> bytes:
    with HttpStore(Settings(timeout=20)).open(url) as opened:
        return b"".join(opened)


def refused(url: str) -> TransferError:
    with pytest.raises(TransferError) as caught:
        fetch(url)
    assert "S3CRET" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_proxy_is_asked(
    faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch, variable: str, scheme: str
) -> None:
    faulty.add(f"http://{HOST}/f?x=1", serve(DATA))
    monkeypatch.setenv(variable, f"{scheme}127.0.0.1:{faulty.port}")
    assert fetch(f"http://{HOST}/f?x=1#part") == DATA
    request = faulty.requests[0]
    assert (request.path, request.headers["host"]) == (f"http://{HOST}/f?x=1", HOST)
    assert "proxy-authorization" not in request.headers


def test_the_password_of_a_proxy(faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty.add(f"http://{HOST}/f", serve(DATA))
    monkeypatch.setenv("HTTP_PROXY", f"http://user:S3CR%45T@127.0.0.1:{faulty.port}")
    assert fetch(f"http://{HOST}/f") == DATA
    headers = faulty.requests[0].headers
    expected = "Basic " + b64encode(b"user:S3CRET").decode()
    assert (headers["proxy-authorization"], headers.get("authorization")) == (expected, None)


@pytest.mark.parametrize(
    ("no_proxy", "direct"),
    [
        ("127.0.0.1", True),
        ("other, 127.0.0.1", True),
        ("127.0.0.0/8", True),
        ("*", True),
        ("127.0.0.2", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_who_is_asked_without_a_proxy(
    faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch, no_proxy: str, direct: bool, variable: str
) -> None:
    faulty.add("/f", serve(DATA))
    monkeypatch.setenv("HTTP_PROXY", DEAD)
    monkeypatch.setenv(variable, no_proxy)
    if direct:
        assert fetch(f"{faulty.url}/f") == DATA
    else:
        assert refused(f"{faulty.url}/f").reason == Reason.NETWORK
    assert len(faulty.requests) == direct


def test_a_tunnel_for_tls(
    faulty: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(openssl_binary(), "openssl")
    certificate = make_certificate(tmp_path, HOST)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with FaultyServer(tls=certificate) as secure:
        secure.add("/f", serve(DATA))
        faulty.add(f"{HOST}:443", tunnel(secure))
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:S3CRET@127.0.0.1:{faulty.port}")
        assert fetch(f"https://{HOST}/f") == DATA
        assert "proxy-authorization" not in secure.requests[0].headers
    assert [request.method for request in faulty.requests] == ["CONNECT"]
    assert "proxy-authorization" in faulty.requests[0].headers


def test_every_store_looks_at_the_environment_itself(
    faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty.add("/f", serve(DATA))
    monkeypatch.setenv("HTTP_PROXY", DEAD)
    assert refused(f"{faulty.url}/f").reason == Reason.NETWORK
    monkeypatch.delenv("HTTP_PROXY")
    assert fetch(f"{faulty.url}/f") == DATA


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_not_there(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv(f"{scheme}_proxy", "http://user:S3CRET@127.0.0.1:1")
    error = refused(f"{scheme}://{HOST}/f?token=S3CRET")
    assert (error.reason, error.transient) == (Reason.NETWORK, True)
    assert "the proxy failed ([Errno" in str(error)


def test_a_proxy_that_wants_a_password(faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty.default = status(407)
    monkeypatch.setenv("ALL_PROXY", faulty.url)
    assert refused(f"http://{HOST}/f").reason == Reason.ACCESS_DENIED
    error = refused(f"https://{HOST}/f")
    assert error.reason == Reason.NETWORK
    assert "407" in str(error)


@pytest.mark.parametrize(
    "proxy",
    ["http://user:S3CRET@[::1", "://S3CRET", "http://", "http://user:S3CRET@host:port", "a b:S3CRET"],
)
def test_proxies_that_are_none(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    error = refused(f"http://{HOST}/f")
    assert (error.reason, error.transient) == (Reason.NETWORK, False)
    assert "the environment names a proxy that is no URL" in str(error)
