"""The cookie for Topaz's server: where it comes from, who gets it, and what is refused unseen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.commands.cookie import use_given_cookie
from modelzoo.commands.downloader import _parser
from modelzoo.errors import UsageError
from modelzoo.web.credentials import credential_for
from modelzoo.web.topaz_cdn import cookie_value, use_cookie

from tests.conftest import tool
from tests.topaz import COOKIE

URL = "https://veai-models.topazlabs.com/prap-v3-fp32-ov.tz"


def given_cookie(arguments: list[str], environ: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """What the CDN would be sent, and what is warned about."""
    warnings: list[str] = []
    options = _parser("downloader.py").parse(["--all", *arguments], environ)
    use_given_cookie(options, warnings.append, environ)
    credential = credential_for(URL)
    assert credential
    return credential.headers, warnings


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        (["--cookie", COOKIE], {"TVAI_COOKIE": "x"}),
        (["--cookie", f"cf_clearance={COOKIE}"], {}),
        (["--cookie_file", "FILE"], {"TVAI_COOKIE": "x", "MODELZOO_COOKIE": "y"}),
        ([], {"TVAI_COOKIE": COOKIE, "MODELZOO_COOKIE": "x"}),
        ([], {"TVAI_COOKIE": f" Cookie: cf_clearance={COOKIE}; \n", "MODELZOO_COOKIE_FILE": "/none"}),
        ([], {"TVAI_COOKIE": "", "MODELZOO_COOKIE": COOKIE}),
        ([], {"MODELZOO_COOKIE_FILE": "FILE"}),
    ],
)
def test_where_it_comes_from(tmp_path: Path, arguments: list[str], environ: dict[str, str]) -> None:
    file = tmp_path / "cookie"
    file.write_bytes(b"\xef\xbb\xbf" + COOKIE.encode() + b"\r\n")
    arguments = [str(file) if a == "FILE" else a for a in arguments]
    environ = {name: str(file) if value == "FILE" else value for name, value in environ.items()}
    headers, warnings = given_cookie(arguments, environ)
    assert headers == {"Cookie": f"cf_clearance={COOKIE}"}
    assert [("can see --cookie" in w, COOKIE in w) for w in warnings] == (
        [(True, False)] if "--cookie" in arguments else []
    )


def test_without_one() -> None:
    assert given_cookie([], {"TVAI_COOKIE": " "}) == ({}, [])
    credential = credential_for(URL)
    assert credential
    assert credential.refusal.startswith("the cookie cf_clearance (TVAI_COOKIE) was not given; to get")


BAD = [
    "a b",
    "a\r\nX-Evil: 1",
    "a\0b",
    "ä",
    "a;b",
    "a,b",
    '"a"',
    "a\\b",
    "a\x7fb",
    "x" * 5000,
    "a\u2028b",
]


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_what_no_header_may_have_is_refused(tmp_path: Path, text: str) -> None:
    secret = f"S3CRET{text}"
    file = tmp_path / "cookie"
    file.write_text(secret, newline="")
    ways: list[tuple[list[str], dict[str, str]]] = [
        (["--cookie", secret], {}),
        (["--cookie_file", str(file)], {}),
        ([], {"TVAI_COOKIE": secret}),
    ]
    for arguments, environ in ways:
        with pytest.raises(UsageError, match="expected the value of the cookie cf_clearance") as caught:
            given_cookie(arguments, environ)
        assert "S3CRET" not in str(caught.value)


@given(st.text(max_size=30))
def test_a_header_has_no_room_for_another(text: str) -> None:
    try:
        value = cookie_value(text, "here")
    except UsageError:
        return
    assert value
    assert value.isascii()
    assert not set(value) & set(' \t\r\n;,"\\')


@pytest.mark.parametrize(("name", "problem"), [("none", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, problem: str) -> None:
    for arguments, environ in (
        (["--cookie_file", str(tmp_path / name)], {}),
        ([], {"MODELZOO_COOKIE_FILE": str(tmp_path / name)}),
    ):
        with pytest.raises(UsageError, match=problem):
            given_cookie(arguments, environ)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "cookie").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is not UTF-8 text"):
        given_cookie(["--cookie_file", str(tmp_path / "cookie")], {})


@pytest.mark.parametrize(
    ("base", "url", "sent"),
    [
        ("", URL, True),
        ("", URL.replace("topazlabs", "TopazLabs"), True),
        ("", "https://veai-models.topazlabs.com:443/x", True),
        ("", "https://veai-models.topazlabs.com:8443/x", False),
        ("", "http://veai-models.topazlabs.com/x", False),
        ("", "https://topazlabs.com/x", False),
        ("", "https://evil-veai-models.topazlabs.com/x", False),
        ("", "https://veai-models.topazlabs.com.example.com/x", False),
        ("", "https://example.com/veai-models.topazlabs.com", False),
        ("http://127.0.0.1:8080/mirror", "http://127.0.0.1:8080/x", True),
        ("http://127.0.0.1:8080/mirror", URL, False),
        ("file:///srv/topaz", URL, False),
    ],
)
def test_it_is_for_the_exact_host(base: str, url: str, sent: bool) -> None:
    use_cookie(COOKIE, {"MODELZOO_TOPAZ_URL": base})
    credential = credential_for(url)
    assert bool(credential and credential.headers) == sent


def test_a_mirror_with_a_password_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine mirror login me password x\n")
    monkeypatch.setenv("NETRC", str(netrc))
    use_cookie(None, {"MODELZOO_TOPAZ_URL": "https://mirror/"})
    found: Any = credential_for("https://mirror/x")
    assert list(found.headers) == ["Authorization"]
    use_cookie(COOKIE, {"MODELZOO_TOPAZ_URL": "https://mirror/"})
    found = credential_for("https://mirror/x")
    assert list(found.headers) == ["Cookie"]


def test_both_ways_at_once(tmp_path: Path) -> None:
    done = tool("downloader", "--all", "--cookie", "S3CRET", "--cookie_file", "f", check=2)
    assert "not allowed with argument" in done.stderr
    assert "S3CRET" not in done.stderr
