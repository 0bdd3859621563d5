"""HTTP as it is spoken: headers, validators, parts, redirects, connections, bodies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from modelzoo.errors import Reason, TransferError
from modelzoo.stores import Settings
from modelzoo.stores.http import HttpStore, OpenedUrl
from modelzoo.version import VERSION

from tests.servers.faulty import FaultyServer, Step
from tests.servers.steps import (
    redirect,
    serve,
    status,
    wrong_content_range,
)
from tests.zoo import content

DATA = content("http", 5000)
OLD, NOW = "Mon, 01 Jan 2024 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:01 GMT"


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


def refused(store: HttpStore, url: str, offset: int = 0, validator: str | None = None) -> TransferError:
    """The error of opening and reading."""
    with pytest.raises(TransferError) as caught:
        read(store.open(url, offset, validator))
    assert str(caught.value).isprintable()
    return caught.value


def test_the_headers_of_a_request(server: FaultyServer, store: HttpStore) -> None:
    server.add("/f", serve(DATA))
    read(store.open(f"{server.url}/f"))
    headers = dict(server.requests[0].headers)
    assert headers.pop("host") == f"127.0.0.1:{server.port}"
    assert headers == {
        "user-agent": f"modelzoo/{VERSION}",
        "accept": "*/*",
        "accept-encoding": "identity",
    }


@pytest.mark.parametrize(
    ("sent", "validator"),
    [
        ({"ETag": '"v1"'}, '"v1"'),
        ({"ETag": '"v1"', "Last-Modified": OLD}, '"v1"'),
        ({"ETag": '"a b"'}, '"a b"'),
        ({"ETag": 'W/"v1"'}, None),
        ({"ETag": 'W/"v1"', "Last-Modified": OLD}, None),  # RFC 9110: a date only where there is no tag
        ({"ETag": "v1"}, None),
        ({"ETag": '"v"1"'}, None),
        ({"Last-Modified": OLD}, OLD),
        ({"Last-Modified": OLD, "Date": NOW}, OLD),
        ({"Last-Modified": OLD, "Date": OLD}, None),  # it may change again in the same second
        ({"Last-Modified": "yesterday"}, None),
        ({}, None),
    ],
)
def test_what_a_resume_asks_for(
    server: FaultyServer, store: HttpStore, sent: dict[str, str], validator: str | None
) -> None:
    server.add("/f", serve(DATA, etag=None, headers=sent, honour_if_range=False))
    with store.open(f"{server.url}/f") as opened:
        assert opened.validator == validator
    resumed = store.open(f"{server.url}/f", 70, opened.validator)
    assert (resumed.offset, resumed.size, resumed.validator) == (70, 5000, validator)
    assert read(resumed) == DATA[70:]
    headers = server.requests[1].headers
    assert (headers["range"], headers.get("if-range")) == ("bytes=70-", validator)


def partial(where: str, **headers: str) -> Step:
    """A 206 whatever is asked, with this Content-Range."""
    return status(206, headers={"Content-Range": where, **headers}, body=DATA[70:])


@pytest.mark.parametrize(
    "step",
    [
        status(416, headers={"Content-Range": "bytes */60"}),
        wrong_content_range(DATA, -1),
        wrong_content_range(DATA, 5),
        partial("bytes 70-4999/5000", ETag='"v2"'),
        partial("bytes 70-4999/5000", ETag='W/"v1"'),
        partial("bytes 70-60/5000"),
        partial("bytes 70-4999/300"),
        partial("bytes 70-/5000"),
        partial("items 70-4999/5000"),
        partial("bytes ٧٠-4999/5000".encode().decode("latin-1")),
        status(206, headers={"Content-Type": "multipart/byteranges; boundary=x"}, body=b"--x"),
    ],
)
def test_a_part_that_does_not_fit_starts_over(
    server: FaultyServer, store: HttpStore, step: Step
) -> None:
    server.add("/f", step, serve(DATA))
    opened = store.open(f"{server.url}/f", 70, '"v1"')
    assert (opened.offset, opened.size) == (0, 5000)
    assert read(opened) == DATA
    first, second = server.requests
    assert first.headers["if-range"] == '"v1"'
    assert not {"range", "if-range"} & set(second.headers)


@pytest.mark.parametrize("validator", [OLD, None])
def test_a_part_without_a_validator_keeps_the_known_one(
    server: FaultyServer, store: HttpStore, validator: str | None
) -> None:
    server.add("/f", partial("bytes 70-4999/*"))
    opened = store.open(f"{server.url}/f", 70, validator)
    assert (opened.offset, opened.size, opened.validator) == (70, None, validator)
    assert read(opened) == DATA[70:]


@pytest.mark.parametrize("where", ["bytes 70-4999/5000", "nonsense", ""])
@pytest.mark.parametrize(("offset", "validator"), [(0, None), (60, None), (70, '"v0"')])
def test_a_part_that_nobody_asked_for(
    server: FaultyServer, store: HttpStore, where: str, offset: int, validator: str | None
) -> None:
    server.add("/f", partial(where, ETag='"v1"'), partial(where, ETag='"v0"'))
    error = refused(store, f"{server.url}/f", offset, validator)
    assert (error.reason, error.transient) == (Reason.SERVER_ERROR, False)
    assert len(server.requests) == 1 + bool(offset)


def test_all_of_it_has_its_own_validator_or_none(server: FaultyServer, store: HttpStore) -> None:
    server.add("/f", serve(DATA, etag=None, ranges=False))
    with store.open(f"{server.url}/f", 70, '"v0"') as opened:
        assert (opened.offset, opened.validator) == (0, None)


def test_redirects_keep_the_range(server: FaultyServer, store: HttpStore) -> None:
    server.add("/a/b", redirect("../c?x=1", 307))
    server.add("/c", redirect(f"http://LOCALHOST:{server.port}/%7Ed", 301))
    server.add("/~d", redirect("/grün".encode().decode("latin-1"), 303))
    server.add("/gr%C3%BCn", serve(DATA))
    opened = store.open(f"{server.url}/a/b#part", 70, '"v1"')
    assert opened.offset == 70
    assert read(opened) == DATA[70:]
    assert [request.path for request in server.requests] == ["/a/b", "/c?x=1", "/~d", "/gr%C3%BCn"]
    assert all(request.headers["range"] == "bytes=70-" for request in server.requests)


@pytest.mark.parametrize(("hops", "arrives"), [(20, True), (21, False)])
def test_how_many_redirects_are_followed(
    server: FaultyServer, store: HttpStore, hops: int, arrives: bool
) -> None:
    for hop in range(hops):
        server.add(f"/{hop}", redirect(f"{hop + 1}"))
    server.add(f"/{hops}", serve(DATA))
    if arrives:
        assert read(store.open(f"{server.url}/0")) == DATA
    else:
        assert "more than 20 redirects" in str(refused(store, f"{server.url}/0"))
    assert len(server.requests) == 21


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/f",
        "gdrive://id",
        "data:,x",
        "http://[::1/f",
        "http://h:99999/f",
        "http://a b/f",
        "http://user:S3CRET@[x]/f?token=S3CRET",
        "//exa\\mple.com/f",
        "http://h\x1b[2J/",
    ],
)
def test_redirects_to_nowhere(server: FaultyServer, store: HttpStore, location: str) -> None:
    server.add("/f", redirect(location))
    error = refused(store, f"{server.url}/f")
    assert (error.reason, error.transient) == (Reason.WRONG_CONTENT, False)
    assert "redirects to" in str(error)
    assert "S3CRET" not in str(error)


@pytest.mark.parametrize("step", [status(304), status(302), status(300), status(204)])
def test_statuses_without_a_body_to_take(server: FaultyServer, store: HttpStore, step: Step) -> None:
    server.add("/f", step)
    error = refused(store, f"{server.url}/f")
    assert (error.reason, error.transient) == (Reason.SERVER_ERROR, False)


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///f",
        "http:f",
        "http://host:port/f",
        "http://host:99999/f",
        "http://[::1/f",
        "http://user:S3CRET@[::1/f?token=S3CRET",
        "http://a b/f",
        "http://exa\\mple.com/f",
        "http://%41/f",
        f"http://{'a' * 64}.invalid/f",
        "http://.invalid/f",
    ],
)
def test_urls_that_are_none(store: HttpStore, url: str) -> None:
    with pytest.raises(TransferError, match="is not a usable URL") as caught:
        store.open(url)
    assert (caught.value.reason, caught.value.transient) == (Reason.INVALID_CATALOG, False)
    assert "S3CRET" not in str(caught.value)
