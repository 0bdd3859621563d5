"""One contract for all stores: every module of modelzoo.stores has a harness here and must keep it."""

from __future__ import annotations

import contextlib
import os
import pkgutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo import stores
from modelzoo.errors import Reason, TransferError
from modelzoo.registry.storage import connect
from modelzoo.stores import PIECE, Conditional, Opened, Settings, Store, Stores
from modelzoo.stores.file import FileStore

from tests.conftest import require
from tests.servers import buckets, steps
from tests.servers.faulty import FaultyServer
from tests.servers.nginx import Nginx, nginx_binary
from tests.zoo import content

DATA = content("contract", 3 * PIECE + 17)
SMALL = content("small", 1000)


class Harness(NamedTuple):
    """`publish(name, data)` makes data available and returns its URL; again: the file has changed."""

    store: Store
    publish: Callable[[str, bytes], str]
    missing: str


@contextlib.contextmanager
def http_faulty(folder: Path) -> Iterator[Harness]:
    with FaultyServer() as server:

        def publish(name: str, data: bytes) -> str:
            server.add(f"/{name}", steps.serve(data, etag=f'"{hash(data):x}"'))
            return f"{server.url}/{name}"

        yield Harness(_store(server.url), publish, f"http://u:p@127.0.0.1:{server.port}/no?token=p")
        assert server.errors == []


@contextlib.contextmanager
def http_nginx(folder: Path) -> Iterator[Harness]:
    require(nginx_binary(), "nginx")
    with Nginx(folder) as server:
        missing = f"http://u:p@127.0.0.1:{server.port}/no?token=p"
        yield Harness(_store(server.url), _publisher(folder, server.url), missing)


@contextlib.contextmanager
def file_on_disk(folder: Path) -> Iterator[Harness]:
    url = folder.as_uri()
    yield Harness(_store(url), _publisher(folder, url), f"{url}/no/such")


@contextlib.contextmanager
def gdrive_direct(folder: Path) -> Iterator[Harness]:
    """Small files come at once."""
    with _drive(confirm=False) as harness:
        yield harness


@contextlib.contextmanager
def gdrive_confirmed(folder: Path) -> Iterator[Harness]:
    """Large files come behind a page."""
    with _drive(confirm=True) as harness:
        yield harness


@contextlib.contextmanager
def hugging_face(folder: Path) -> Iterator[Harness]:
    """The hub sends nobody but to its CDN, which is another host."""
    with (
        FaultyServer() as hub,
        FaultyServer(host="127.0.0.2") as cdn,
        pytest.MonkeyPatch.context() as patch,
    ):

        def publish(name: str, data: bytes) -> str:
            cdn.add(f"/{name}", steps.serve(data, etag=f'"{hash(data):x}"'))
            hub.add(f"/o/r/resolve/main/{name}", steps.redirect(f"{cdn.url}/{name}?Signature=p"))
            return f"hf://o/r/{name}"

        hub.default = steps.status(404)
        patch.setenv("HF_ENDPOINT", hub.url)
        yield Harness(_store("hf://x/y/z"), publish, "hf://o/r/no-such")
        assert hub.errors == cdn.errors == []


@contextlib.contextmanager
def _objects(bucket: contextlib.AbstractContextManager[str]) -> Iterator[Harness]:
    with bucket as place:
        storage = connect(place)

        def publish(name: str, data: bytes) -> str:
            storage.write(name, data)
            return f"{place}/{name}"

        yield Harness(_store(place), publish, f"{place}/no-such")


def s3(folder: Path) -> contextlib.AbstractContextManager[Harness]:
    return _objects(buckets.s3())


def google_cloud_storage(folder: Path) -> contextlib.AbstractContextManager[Harness]:
    return _objects(buckets.gs())


def azure(folder: Path) -> contextlib.AbstractContextManager[Harness]:
    return _objects(buckets.az())


HARNESSES = {
    "object_store": (s3, google_cloud_storage, azure),
    "http": (http_faulty, http_nginx),
    "file": (file_on_disk,),
    "google_drive": (gdrive_direct, gdrive_confirmed),
    "hugging_face": (hugging_face,),
}
MAKERS = [maker for makers in HARNESSES.values() for maker in makers if maker is not azure]


@contextlib.contextmanager
def _drive(confirm: bool) -> Iterator[Harness]:
    page = '<form id="download-form" action="/real"><input type="hidden" name="id" value="{}"></form>'
    with FaultyServer() as server, pytest.MonkeyPatch.context() as patch:

        def publish(name: str, data: bytes) -> str:
            disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
            file = steps.serve(data, etag=f'"{hash(data):x}"', headers=disposition)
            ask = steps.html_page(page.format(name)) if confirm else file
            server.add(f"/download?id={name}&export=download&confirm=t", ask)
            server.add(f"/real?id={name}", file)
            return f"gdrive://{name}"

        patch.setenv("MODELZOO_GOOGLE_DRIVE_URL", server.url)
        yield Harness(_store("gdrive://x"), publish, "gdrive://no-such")
        assert server.errors == []


def _store(url: str) -> Store:
    return Stores(Settings(timeout=20)).store(url)


def _publisher(folder: Path, url: str) -> Callable[[str, bytes], str]:
    dates = iter(range(1_000_000_000, 2_000_000_000, 10))  # every version has a date of its own

    def publish(name: str, data: bytes) -> str:
        (folder / name).write_bytes(data)
        os.utime(folder / name, (date := next(dates), date))
        return f"{url}/{name}"

    return publish


@pytest.fixture(
    scope="module",
    params=[*MAKERS, pytest.param(azure, marks=pytest.mark.interop)],
    ids=lambda m: m.__name__,
)
def harness(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Harness]:
    with request.param(tmp_path_factory.mktemp("published")) as made:
        yield made


def read(opened: Opened) -> bytes:
    with opened:
        return b"".join(opened)


def test_every_store_is_under_contract() -> None:
    assert set(HARNESSES) == {module.name for module in pkgutil.iter_modules(stores.__path__)}


@pytest.mark.parametrize("data", [b"", b"x", SMALL, DATA], ids=len)
def test_all_of_it(harness: Harness, data: bytes) -> None:
    opened = harness.store.open(harness.publish("whole", data))
    assert (opened.offset, opened.size, opened.encoding) == (0, len(data), None)
    with opened:
        pieces = list(opened)
    assert b"".join(pieces) == data
    assert all(0 < len(piece) <= PIECE for piece in pieces)


def test_the_rest_from_any_offset(harness: Harness) -> None:
    url = harness.publish("resumed", SMALL)
    with harness.store.open(url) as opened:
        validator = opened.validator
    assert validator

    @given(offset=st.integers(0, len(SMALL) - 1), known=st.sampled_from([validator, None]))
    def check(offset: int, known: str | None) -> None:
        opened = harness.store.open(url, offset, known)
        assert (opened.offset, opened.size, opened.validator) == (offset, len(SMALL), validator)
        assert read(opened) == SMALL[offset:]

    check()


def test_the_rest_of_a_large_file(harness: Harness) -> None:
    url = harness.publish("large", DATA)
    with harness.store.open(url) as opened:  # as after a cut: some bytes have come, the rest is left
        start, validator = next(iter(opened)), opened.validator
    opened = harness.store.open(url, len(start), validator)
    assert opened.offset == len(start)
    assert start + read(opened) == DATA


@pytest.mark.parametrize("size", [10, 700, 1000, 5000])
def test_a_changed_file_starts_over(harness: Harness, size: int) -> None:
    with harness.store.open(harness.publish("changed", SMALL)) as opened:
        validator = opened.validator
    new = content("another version", size)
    opened = harness.store.open(harness.publish("changed", new), 600, validator)
    assert (opened.offset, opened.size) == (0, size)
    assert opened.validator not in (None, validator)
    assert read(opened) == new


@pytest.mark.parametrize("offset", [len(SMALL), len(SMALL) + 1, 10**12])
@pytest.mark.parametrize("same", [True, False])
def test_an_offset_at_or_behind_the_end(harness: Harness, offset: int, same: bool) -> None:
    url = harness.publish("short", SMALL)
    with harness.store.open(url) as opened:
        validator = opened.validator if same else None
    opened = harness.store.open(url, offset, validator)
    assert opened.size == len(SMALL)
    assert opened.offset in ((0, offset) if offset == len(SMALL) else (0,))
    assert read(opened) == SMALL[opened.offset :]


def test_what_is_missing(harness: Harness) -> None:
    with pytest.raises(TransferError) as caught:
        harness.store.open(harness.missing)
    error = caught.value
    assert (error.reason, error.transient, error.busy) == (Reason.NOT_FOUND, False, False)
    assert error.url
    assert error.url in str(error)
    assert "u:p@" not in str(error)
    assert "token=p" not in str(error)


def test_a_condition_notices_every_change(harness: Harness) -> None:
    store = harness.store
    if not isinstance(store, Conditional):
        return
    url = harness.publish("conditional", SMALL)
    with store.open(url) as opened:
        validator = opened.validator
    assert validator
    assert store.is_current(url, validator)
    for odd in ("", '"', '"x"', "W/" + validator, "x\r\nX-Evil: 1", "yesterday"):
        assert not store.is_current(url, odd)
    harness.publish("conditional", DATA)
    assert not store.is_current(url, validator)
    with pytest.raises(TransferError) as caught:
        store.is_current(harness.missing, validator)
    assert caught.value.reason == Reason.NOT_FOUND


def test_whether_it_is_remote(harness: Harness) -> None:
    local = isinstance(harness.store, FileStore)
    assert harness.store.remote is not local
    with harness.store.open(harness.publish("where", SMALL)) as opened:
        assert opened.remote is not local


def test_offline_refuses_what_is_remote(harness: Harness) -> None:
    url, offline = harness.publish("offline", SMALL), Stores(Settings(offline=True))
    if not harness.store.remote:
        assert read(offline.store(url).open(url)) == SMALL
        return
    with pytest.raises(TransferError, match="--offline") as caught:
        offline.store(url)
    assert (caught.value.reason, caught.value.transient) == (Reason.OFFLINE, False)


def test_two_threads_at_once(harness: Harness) -> None:
    urls = {harness.publish(f"both-{n}", data): data for n, data in enumerate([SMALL, DATA])}
    found: dict[str, bytes] = {}

    def fetch(url: str) -> None:
        for _ in range(5):
            found[url] = read(harness.store.open(url))
            assert found[url] == urls[url]

    threads = [threading.Thread(target=fetch, args=(url,)) for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == urls


def test_abort_and_close_can_come_at_any_time(harness: Harness) -> None:
    url = harness.publish("aborted", SMALL)
    opened = harness.store.open(url)
    opened.abort()
    with opened:
        opened.abort()
    opened.abort()
    assert read(harness.store.open(url)) == SMALL  # and the store goes on working


@pytest.mark.parametrize(
    "url",
    ["", "nothing", "ftp://host/file", "http://[::1", "HTTPX://h/", "http//h/f", "//host/f", "c:\\f"],
)
def test_urls_that_no_store_serves(url: str) -> None:
    with pytest.raises(TransferError) as caught:
        Stores(Settings()).store(url)
    assert (caught.value.reason, caught.value.transient) == (Reason.INVALID_CATALOG, False)


@given(st.text() | st.from_regex(r"(https?|file|gdrive|hf|s3|gs|az|ftp):[/\\]*[\s\S]*", fullmatch=True))
def test_no_url_breaks_the_choice_of_a_store(url: str) -> None:
    reason = None
    try:
        Stores(Settings(offline=True)).store(url)
    except TransferError as error:
        reason = error.reason
    assert reason in (None, Reason.INVALID_CATALOG, Reason.OFFLINE)
