"""What is shown of a URL: no secret survives, whatever the text is."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from modelzoo.web.credentials import host_of, mask

NAMES = [
    "token",
    "X-Amz-Signature",
    "sig",
    "password",
    "api_key",
    "To%6ben",
    "x-goog-signature",
    "code",
]
SECRETS = st.text(
    st.sampled_from("abz09-_.~%+!*'()[]@:/,$\u00fc\u202e\x00\x1b\ud800 "), max_size=6
).map(lambda text: f"{text}S3CRET{text}")


@given(
    st.sampled_from(["http://", "https://", "HTTP://", "ftp://", "s3://", "gdrive://", "//"]),
    SECRETS.map(lambda text: quote(text, safe="", errors="replace")),
    st.sampled_from(["{}@", "me:{}@", "{}:x@", ""]),
    st.sampled_from(["h", "[::1]", "h:80", "x@h"]),
    st.sampled_from(["/", "/a/b@c", "/;v=1/c", "/;jsessionid={}/c", "/f;token={}"]),
    st.sampled_from(["?", "#", "?a=b&", "?a=b;", "?a=1#", "?&&", "?a?"]),
    st.sampled_from(NAMES),
    SECRETS,
)
def test_no_secret_survives_the_mask(
    scheme: str, quoted: str, user: str, host: str, path: str, start: str, name: str, secret: str
) -> None:
    url = f"{scheme}{user}{host}{path}{start}{name}=".replace("{}", quoted) + secret + "&end=1"
    masked = mask(url)
    assert "S3CRET" not in masked
    assert masked.isprintable()
    assert masked.endswith("=***&end=1")
    assert mask(masked) == masked


@given(st.text() | st.from_regex(r"https?:[/\\]*[@:/?#&=;\[\]a-c%\s]*", fullmatch=True))
@example("http://u@//v@//w@" + "//x@" * 20)
@example("?" * 200_000)
@example("http://" + "@:/" * 50_000)
@example("http://h/?a=" + "//a" * 50_000)
@example("http://h/" + ";" * 200_000)
def test_the_mask_takes_any_text(text: str) -> None:
    masked = mask(text)
    assert masked.isprintable()
    assert mask(masked) == masked
    assert not re.match(r"https?://[^/\\?#]*@", masked)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h/f?a=1&b=%20#c", "https://h/f?a=1&b=%20#c"),
        ("https://h/a@b/c:d@e", "https://h/a@b/c:d@e"),
        ("file:///a@b/c:d@e", "file:///a@b/c:d@e"),
        ("models/a@2.bin", "models/a@2.bin"),
        ("C:\\a@b", "C:\\a@b"),
        ("https://me:S3CRET@h:80/f", "https://h:80/f"),
        ("http://me:S3/CRET@h/f", "http://h/f"),
        ("http://me:S3?CR#ET@h/f", "http://h/f"),
        ("me:S3CRET@h/f", "h/f"),
        ("http://[::1/?token=S3CRET", "http://[::1/?token=***"),
        ("http://h/\r\nf?to\nken=S3CRET", "http://h/f?token=***"),
        ("https://h/?url=https%3A%2F%2Fme%3AS3CRET%40h", "https://h/?url=***"),
        ("https://h/?url=https%3A%2F%2Fh%3Fsig%3DS3CRET", "https://h/?url=***"),
        ("https://h/#access_token=S3CRET&x=1", "https://h/#access_token=***&x=1"),
        ("https://h/?keyword=a&monkey=b", "https://h/?keyword=a&monkey=b"),
    ],
)
def test_what_is_shown(url: str, shown: str) -> None:
    assert mask(url) == shown


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://User:pw@EXAMPLE.com/f", ("https", "example.com", 443)),
        ("http://h:/f", ("http", "h", 80)),
        ("http://[::1]:8080/f", ("http", "::1", 8080)),
        ("gdrive://Id", ("gdrive", "id", None)),
    ],
)
def test_hosts(url: str, host: tuple[str, str, int | None]) -> None:
    assert host_of(url) == host
