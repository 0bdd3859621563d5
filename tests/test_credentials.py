"""Secrets: which host gets which, and none follows a redirect to another."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from modelzoo.errors import Reason, TransferError
from modelzoo.stores import Settings
from modelzoo.stores.http import HttpStore
from modelzoo.web.credentials import CA_VARIABLES, credential_for

from tests.conftest import require
from tests.servers.faulty import FaultyServer
from tests.servers.steps import redirect, require_auth, serve, status
from tests.servers.tls import make_certificate, openssl_binary, tunnel
from tests.zoo import content

DATA = content("credentials", 100)


@pytest.fixture
def other() -> Iterator[FaultyServer]:
    """The server of another host."""
    with FaultyServer(host="127.0.0.2") as server:
        server.add("/f", serve(DATA))
        yield server


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def with_user(url: str, user: str = "me:S3CRET") -> str:
    return url.replace("//", f"//{user}@")


def fetch(url: str) -> bytes:
    with HttpStore(Settings(timeout=20)).open(url) as opened:
        return b"".join(opened)


def denied(url: str) -> TransferError:
    with pytest.raises(TransferError) as caught:
        fetch(url)
    assert caught.value.reason == Reason.ACCESS_DENIED
    assert "S3CRET" not in f"{caught.value}{caught.value.url}{caught.value.credential}"
    return caught.value


def sent(server: FaultyServer) -> list[str | None]:
    """The Authorization header of every request so far."""
    return [request.headers.get("authorization") for request in server.requests]


def write_netrc(text: str, path: Path | None = None) -> Path:
    path = path or Path(os.environ["HOME"]) / ".netrc"
    path.write_bytes(text.encode("latin-1"))
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("place", [".netrc", "_netrc", "elsewhere"])
def test_netrc_is_for_the_exact_host(
    faulty: FaultyServer, other: FaultyServer, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    text = "machine 127.0.0.1 login me password S%43RET\nmachine LocalHost login you password p\n"
    path = write_netrc(text, Path(os.environ["HOME"]) / place)
    if place == "elsewhere":
        monkeypatch.setenv("NETRC", str(path))
        write_netrc("machine 127.0.0.1 login wrong password wrong")
    faulty.add("/f", serve(DATA))
    fetch(f"{faulty.url}/f")
    fetch(f"http://localhost:{faulty.port}/f")
    fetch(f"{other.url}/f")
    assert sent(faulty) == [basic("me", "S%43RET"), basic("you", "p")]
    assert sent(other) == [None]


def test_the_default_of_netrc_is_for_nobody(faulty: FaultyServer) -> None:
    write_netrc("default login me password S3CRET")
    faulty.add("/f", serve(DATA))
    fetch(f"{faulty.url}/f")
    assert sent(faulty) == [None]
    assert credential_for("http://default/f") is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("machine 127.0.0.1 login me password p S3CRET\n", "is broken in line"),
        ("S3CRET", "is broken in line"),
        ("machine 127.0.0.1 login \xff\xfe password S3CRET", "cannot be read"),
    ],
)
def test_a_broken_netrc_is_named_only_to_those_refused(
    faulty: FaultyServer, text: str, problem: str
) -> None:
    path = write_netrc(text)
    faulty.add("/open", serve(DATA))
    faulty.add("/f", status(401))
    assert fetch(f"{faulty.url}/open") == DATA
    message = str(denied(f"{faulty.url}/f"))
    assert f"no credential was sent ({path}" in message
    assert problem in message


def test_netrc_is_read_again_only_when_it_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import netrc

    parsed, parse = [], netrc.netrc

    def counting(file: str) -> netrc.netrc:
        parsed.append(file)
        return parse(file)

    monkeypatch.setattr(netrc, "netrc", counting)
    path = write_netrc("machine h login a password b")
    for _ in range(3):
        assert credential_for("http://h/")
        assert credential_for("http://i/") is None
    write_netrc("machine i login a password b12345")
    assert credential_for("http://i/")
    assert parsed == [str(path)] * 2
    path.unlink()
    assert credential_for("http://i/") is None


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ("me:S3CRET", basic("me", "S3CRET")),
        ("m%40e:S3%2FCRET%3a", basic("m@e", "S3/CRET:")),
        ("S3CRET", basic("S3CRET", "")),
        (":S3CRET", basic("", "S3CRET")),
        ("a@b:S3CRET", basic("a@b", "S3CRET")),
        ("gr%C3%BCn:S3CRET", basic("grün", "S3CRET")),
        ("", None),
        (":", None),
    ],
)
def test_the_password_in_a_url(faulty: FaultyServer, user: str, header: str | None) -> None:
    write_netrc("machine other login x password y")
    faulty.add("/f", serve(DATA), status(403))
    assert fetch(with_user(f"{faulty.url}/f", user)) == DATA
    assert sent(faulty) == [header]
    assert faulty.requests[0].path == "/f"
    error = denied(with_user(f"{faulty.url}/f", user))
    assert error.url == f"{faulty.url}/f"
    assert (error.credential is None) == (header is None)


def test_credentials_tell_two_users_of_a_host_apart() -> None:
    first, again, second = map(credential_for, ["http://a:1@h/x", "http://a:1@h/y", "http://a:2@h/x"])
    assert first
    assert again
    assert second
    assert first.key == again.key != second.key
    assert first.name == second.name


@pytest.mark.parametrize(
    ("variable", "host"),
    [
        ("GITHUB_TOKEN", "api.github.com"),
        ("GITHUB_TOKEN", "raw.githubusercontent.com"),
        ("HF_TOKEN", "huggingface.co"),
    ],
)
def test_tokens_go_to_their_hosts_over_tls(
    faulty: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, host: str
) -> None:
    require(openssl_binary(), "openssl")
    certificate = make_certificate(tmp_path, host, "cdn.invalid")
    for name in CA_VARIABLES:
        monkeypatch.setenv(name, str(certificate[0]))
    monkeypatch.setenv(variable, " S3CRET\n")
    monkeypatch.setenv("ALL_PROXY", faulty.url)
    with FaultyServer(tls=certificate) as secure:
        faulty.add(f"{host}:443", tunnel(secure))
        faulty.add("cdn.invalid:443", tunnel(secure))
        secure.add("/f", redirect("https://cdn.invalid/g"), status(401))
        secure.add("/g", serve(DATA))
        assert fetch(f"https://{host}/f") == DATA
        assert sent(secure) == ["Bearer S3CRET", None]
        assert f"{variable} was sent and refused" in str(denied(f"https://{host}/f"))


@pytest.mark.parametrize(
    "url",
    [
        "http://huggingface.co/f",
        "http://huggingface.co:443/f",
        "https://huggingface.co:8443/f",
        "https://huggingface.co.evil.example/f",
        "https://evil-huggingface.co/f",
        "https://cdn.huggingface.co/f",
        "https://github.com/f",
        "https://evil.example/huggingface.co",
        "https://evil.example\\@huggingface.co/f",
        "https://evil.example#@huggingface.co/f",
        "https://evil.example?@huggingface.co/f",
        "https://evil.example[huggingface.co]/f",
        "https://huggingface.co%00.evil.example/f",
        "https://huggingface.co\\.evil.example/f",
        "gdrive://huggingface.co",
    ],
)
def test_tokens_go_nowhere_else(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("HF_TOKEN", "S3CRET")
    monkeypatch.setenv("GITHUB_TOKEN", "S3CRET")
    credential = credential_for(url)
    assert credential is None or not credential.header[1].startswith("Bearer")


@pytest.mark.parametrize("token", ["S3C RET", "S3CRET\r\nX-Header: 1", "S3CRET…"])
def test_a_token_that_cannot_be_sent(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    assert "HF_TOKEN cannot be a token" in str(denied("https://huggingface.co/f"))


@pytest.mark.parametrize("origin", ["netrc", "url"])
@pytest.mark.parametrize("target", ["host", "port", "name", "same", "relative", "own"])
def test_what_a_redirect_gets(
    faulty: FaultyServer, other: FaultyServer, origin: str, target: str
) -> None:
    if origin == "netrc":
        write_netrc("machine 127.0.0.1 login me password S3CRET")
    with FaultyServer() as neighbour:  # the same host, another port
        neighbour.add("/f", serve(DATA))
        faulty.add("/f", require_auth(serve(DATA), "me", "S3CRET"))
        place, header = {
            "host": (f"{other.url}/f", None),
            "port": (f"{neighbour.url}/f", None),
            "name": (f"http://localhost:{neighbour.port}/f", None),
            "same": (f"{faulty.url}/f", basic("me", "S3CRET")),
            "relative": ("../f", basic("me", "S3CRET")),
            "own": (with_user(f"{other.url}/f", "you:yours"), basic("you", "yours")),
        }[target]
        faulty.add("/a/b", redirect(place))
        start = f"{faulty.url}/a/b"
        assert fetch(start if origin == "netrc" else with_user(start)) == DATA
        assert sent(faulty)[0] == basic("me", "S3CRET")
        assert (
            sent(
                {"host": other, "own": other, "port": neighbour, "name": neighbour}.get(target, faulty)
            )[-1]
            == header
        )


def test_a_redirect_asks_netrc_for_its_host(faulty: FaultyServer, other: FaultyServer) -> None:
    write_netrc("machine 127.0.0.2 login me password S3CRET")
    faulty.add("/f", redirect(f"{other.url}/f"))
    assert fetch(f"{faulty.url}/f") == DATA
    assert (sent(faulty), sent(other)) == ([None], [basic("me", "S3CRET")])


@pytest.mark.parametrize(
    ("api", "url", "sent"),
    [
        ("", "https://api.github.com/repos/a/b/zipball", True),
        ("", "https://raw.githubusercontent.com/a/b", True),
        ("", "https://codeload.github.com/a/b", False),
        ("", "https://github.com/a/b", False),
        ("", "http://api.github.com/a", False),
        ("", "https://api.github.com:8443/a", False),
        ("", "https://api.github.com.evil.org/a", False),
        ("https://git.example.com/api/v3", "https://git.example.com/api/v3/repos", True),
        ("https://git.example.com/api/v3", "https://git.example.com:8443/api/v3", False),
        ("https://git.example.com/api/v3", "https://api.github.com/repos", False),
        ("https://git.example.com/api/v3", "https://raw.githubusercontent.com/a/b", False),
        ("http://git.example.com/api/v3", "http://git.example.com/api/v3", False),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/x", True),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8081/x", False),
    ],
)
def test_githubs_token_is_for_one_api(
    monkeypatch: pytest.MonkeyPatch, api: str, url: str, sent: bool
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "S3CRET")
    monkeypatch.setenv("MODELZOO_GITHUB_API_URL", api)
    found = credential_for(url)
    assert (found is not None) == sent
    assert found is None or found.header == ("Authorization", "Bearer S3CRET")


@pytest.mark.parametrize("api", ["nonsense", "ftp://x", "https://", "http://[::1"])
def test_an_api_that_is_no_url(monkeypatch: pytest.MonkeyPatch, api: str) -> None:
    monkeypatch.setenv("MODELZOO_GITHUB_API_URL", api)
    with pytest.raises(TransferError, match="MODELZOO_GITHUB_API_URL"):
        credential_for("https://example.com/")
