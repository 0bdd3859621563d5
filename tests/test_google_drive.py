"""Google Drive by a loopback stand-in of today's pages: files, confirmation, refusals, traps."""

from __future__ import annotations

import time

import pytest
from modelzoo.errors import Reason, TransferError
from modelzoo.stores import Settings, Stores
from modelzoo.stores.google_drive import BASE, MAX_PAGE, create

from tests.servers import Exchange
from tests.servers.faulty import FaultyServer, Step
from tests.servers.steps import drip, redirect, serve, status
from tests.zoo import content

DATA = content("drive", 5000)
ID = "1A-b_C"
ASKED = f"/download?id={ID}&export=download&confirm=t"
CONFIRMED = f"{ASKED}&uuid=3f%2F9a"
FILE = serve(DATA, headers={"Content-Disposition": 'attachment; filename="model.pth"'})
HTML_FILE = serve(
    b"<html>the file itself",
    content_type="text/html",
    headers={"Content-Disposition": "Attachment; filename=page.html"},
)
FIELDS = "".join(
    f'<input type="hidden" name="{name}" value="{value}">'
    for name, value in [("id", ID), ("export", "download"), ("confirm", "t"), ("uuid", "3f&#47;9a")]
)


def confirmation(action: str | None, fields: str = FIELDS, before: str = "") -> Step:
    """Today's page for files too large for the virus scan."""
    target = "" if action is None else f'action="{action}"'
    return page(
        "Google Drive - Virus scan warning",
        "<p>Google Drive can't scan this file for viruses.</p>"
        f'{before}<form id="download-form" {target} method="get">'
        f'<input type="submit" id="uc-download-link" value="Download anyway"/>{fields}</form>'
        '<input type="hidden" name="outside" value="d">'
        '<form action="/search"><input name="q" value="x"></form>',
    )


def page(title: str, body: str, code: int = 200) -> Step:
    script = "<script>if (quota) { sign_in('access') }</script><style>.access {}</style>"
    text = f"<!DOCTYPE html><html><head><title>{title}</title>{script}</head><body>{body}</body></html>"
    return status(code, body=text.encode(), content_type="text/html; charset=utf-8")


@pytest.fixture
def drive(faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> FaultyServer:
    monkeypatch.setenv("MODELZOO_GOOGLE_DRIVE_URL", faulty.url)
    return faulty


def fetch(offset: int = 0, validator: str | None = None, timeout: float = 20) -> tuple[int, bytes]:
    url = f"gdrive://{ID}"
    with Stores(Settings(timeout=timeout)).store(url).open(url, offset, validator) as opened:
        return opened.offset, b"".join(opened)


def refused(url: str = f"gdrive://{ID}", timeout: float = 20) -> TransferError:
    with pytest.raises(TransferError) as caught:
        create(Settings(timeout=timeout)).open(url)
    assert str(caught.value).isprintable()
    return caught.value


def test_the_base_is_googles(monkeypatch: pytest.MonkeyPatch) -> None:
    assert create(Settings())._base == BASE == "https://drive.usercontent.google.com"
    monkeypatch.setenv("MODELZOO_GOOGLE_DRIVE_URL", "http://mirror/drive/")
    assert create(Settings())._base == "http://mirror/drive"


@pytest.mark.parametrize(("file", "data"), [(FILE, DATA), (HTML_FILE, b"<html>the file itself")])
def test_a_file_that_comes_at_once(drive: FaultyServer, file: Step, data: bytes) -> None:
    drive.add(ASKED, file)
    assert fetch() == (0, data)
    assert [request.path for request in drive.requests] == [ASKED]


@pytest.mark.parametrize(
    "action",
    ["{url}/download", "/download", "download", "", None, "{url}/download?id=other&amp;x=1#top"],
)
def test_a_file_behind_a_confirmation(drive: FaultyServer, action: str | None) -> None:
    drive.add(ASKED, confirmation(action and action.format(url=drive.url)))
    drive.add(CONFIRMED, FILE)
    assert fetch() == (0, DATA)
    assert [request.path for request in drive.requests] == [ASKED, CONFIRMED]


def test_a_redirect_on_the_way(drive: FaultyServer) -> None:
    drive.add(ASKED, redirect("/elsewhere"))
    drive.add("/elsewhere", confirmation("/download"))
    drive.add(CONFIRMED, redirect("/file"))
    drive.add("/file", FILE)
    assert fetch() == (0, DATA)


@pytest.mark.parametrize(("version", "offset"), [('"v1"', 700), (None, 700), ('"v0"', 0)])
def test_a_resume_behind_a_confirmation(drive: FaultyServer, version: str | None, offset: int) -> None:
    drive.add(ASKED, confirmation("/download"))
    drive.add(CONFIRMED, FILE)
    assert fetch(700, version) == (offset, DATA[offset:])
    for request in drive.requests:
        assert request.headers["range"] == "bytes=700-"
        assert request.headers.get("if-range") == version


QUOTA = page(
    "Google Drive - Quota exceeded",
    "<p>Sorry, you can't view or download this file at this time.</p>"
    "<p>Too many users have viewed or downloaded this file recently.</p>",
)
SIGN_IN = page("Google Drive: Sign-in", "<p>Use your Google Account</p>")
NO_ACCESS = page("Google Drive - Access Denied", "<p>You need access</p>")
OTHER = page("Something\n &lt;else \x1b[2J", "<p>It broke.</p>")


@pytest.mark.parametrize("confirmed", [False, True])
@pytest.mark.parametrize(
    ("answer", "reason", "text"),
    [
        (QUOTA, Reason.QUOTA_EXCEEDED, "quota"),
        (SIGN_IN, Reason.ACCESS_DENIED, "not shared with everyone"),
        (NO_ACCESS, Reason.ACCESS_DENIED, "not shared with everyone"),
        (OTHER, Reason.WRONG_CONTENT, 'a web page ("Something <else [2J") came'),
        (page("", ""), Reason.WRONG_CONTENT, "no title"),
        (status(404), Reason.NOT_FOUND, "404"),
        (status(403), Reason.ACCESS_DENIED, "403"),
        (status(500), Reason.SERVER_ERROR, "500"),
    ],
)
def test_refusals(
    drive: FaultyServer, answer: Step, reason: Reason, text: str, confirmed: bool
) -> None:
    drive.add(ASKED, confirmation("/download") if confirmed else answer)
    drive.add(CONFIRMED, answer)
    error = refused()
    assert (error.reason, error.transient) == (reason, reason == Reason.SERVER_ERROR)
    assert text in str(error)


def test_one_confirmation_is_enough(drive: FaultyServer) -> None:
    drive.default = confirmation("/download")
    assert refused().reason == Reason.WRONG_CONTENT
    assert len(drive.requests) == 2


@pytest.mark.parametrize(
    "action",
    [
        "http://127.0.0.2:{port}/download",
        "//127.0.0.1/download",
        "https://127.0.0.1:{port}/download",
        "http://x@127.0.0.1:{port}/download",
        "http://[::1/download",
        "file:///etc/passwd",
        "javascript:alert(1)",
    ],
)
def test_a_form_that_leads_elsewhere(drive: FaultyServer, action: str) -> None:
    drive.add(ASKED, confirmation(action.format(port=drive.port)))
    assert refused().reason == Reason.WRONG_CONTENT
    assert len(drive.requests) == 1


@pytest.mark.parametrize(
    "before",
    [
        '<form id="other" action="/trap"><input type="hidden" name="a" value="b"></form>',
        '<input type="hidden" name="stray" value="c">',
    ],
)
def test_only_the_fields_of_the_form_are_sent(drive: FaultyServer, before: str) -> None:
    drive.add(ASKED, confirmation("/download", before=before))
    drive.add(CONFIRMED, FILE)
    assert fetch() == (0, DATA)


def endless(exchange: Exchange) -> None:
    """A page that goes on until the client leaves."""
    exchange.start(200, {"Content-Type": "text/html", "Connection": "close"})
    while True:
        exchange.write(b"<p>more" * 1000)


def test_a_page_without_end(drive: FaultyServer) -> None:
    drive.add(ASKED, endless)
    started = time.monotonic()
    assert refused(timeout=60).reason == Reason.WRONG_CONTENT
    assert time.monotonic() - started < 30


def test_a_page_that_hardly_comes(drive: FaultyServer) -> None:
    drive.add(ASKED, drip(OTHER, 20))
    started = time.monotonic()
    assert refused(timeout=0.3).reason == Reason.WRONG_CONTENT
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "nonsense", ["<!--", "<a ", "<![", "<!x[", "<form ", "</", "&#", "<title>", "\xff"]
)
def test_pages_made_to_keep_a_parser_busy(drive: FaultyServer, nonsense: str) -> None:
    body = nonsense.encode("latin-1") * MAX_PAGE
    drive.add(ASKED, status(200, body=body, content_type="text/html"))
    started = time.monotonic()
    assert refused().reason == Reason.WRONG_CONTENT
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "url", ["gdrive://", "gdrive:///x", "gdrive://a%20b", "gdrive://u@id", "gdrive:"]
)
def test_urls_without_an_id(drive: FaultyServer, url: str) -> None:
    error = refused(url)
    assert (error.reason, error.transient) == (Reason.INVALID_CATALOG, False)
    assert drive.requests == []
