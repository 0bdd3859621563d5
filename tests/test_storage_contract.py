"""One contract for all storages of repositories: every module has a harness here and must keep it."""

from __future__ import annotations

import contextlib
import hashlib
import pkgutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.checksum import Checksum
from modelzoo.errors import CatalogError, ModelZooError, Reason, TransferError, UsageError
from modelzoo.registry import storage as storages
from modelzoo.registry.storage import Storage, connect
from modelzoo.registry.storage.objects import PART
from modelzoo.stores import Settings, Stores

from tests.conftest import require
from tests.servers import buckets
from tests.servers.artifactory import PASSWORD, USER, Artifactory
from tests.servers.nginx import Nginx, nginx_binary
from tests.zoo import content

DAV = """
location / { dav_methods PUT DELETE; create_full_put_path on; autoindex on; client_max_body_size 0; }
"""
SECRET = "pa%3Ass"


class Harness(NamedTuple):
    """A storage with nothing in it, and its URL with all secrets."""

    storage: Storage
    url: str


@contextlib.contextmanager
def folder(path: Path) -> Iterator[Harness]:
    yield Harness(connect(path / "repository"), str(path / "repository"))


@contextlib.contextmanager
def folder_by_url(path: Path) -> Iterator[Harness]:
    url = (path / "a repository").as_uri()
    yield Harness(connect(url), url)


@contextlib.contextmanager
def s3(path: Path) -> Iterator[Harness]:
    with buckets.s3() as url:
        yield Harness(connect(url), url)


@contextlib.contextmanager
def below_a_prefix(bucket: contextlib.AbstractContextManager[str]) -> Iterator[Harness]:
    with bucket as url:
        connect(url).write("other/file", b"of somebody else")
        yield Harness(connect(f"{url}/team a/models"), f"{url}/team a/models")


def s3_below_a_prefix(path: Path) -> contextlib.AbstractContextManager[Harness]:
    return below_a_prefix(buckets.s3())


def google_cloud_storage(path: Path) -> contextlib.AbstractContextManager[Harness]:
    return below_a_prefix(buckets.gs())


def azure(path: Path) -> contextlib.AbstractContextManager[Harness]:
    return below_a_prefix(buckets.az())


@contextlib.contextmanager
def webdav(path: Path) -> Iterator[Harness]:
    require(nginx_binary(), "nginx")
    with Nginx(path, extra=DAV) as server:
        yield Harness(connect(f"{server.url}/models/"), f"{server.url}/models/")


@contextlib.contextmanager
def artifactory(path: Path) -> Iterator[Harness]:
    with Artifactory() as server:
        url = f"http://{USER}:{SECRET}@127.0.0.1:{server.port}/artifactory/models"
        assert SECRET.replace("%3A", ":") == PASSWORD
        yield Harness(connect(url), url)


HARNESSES = {
    "folder": (folder, folder_by_url),
    "objects": (s3, s3_below_a_prefix, google_cloud_storage, azure),
    "http": (webdav, artifactory),
}


MAKERS = [maker for makers in HARNESSES.values() for maker in makers if maker is not azure]


@pytest.fixture(
    scope="module",
    params=[*MAKERS, pytest.param(azure, marks=pytest.mark.interop)],
    ids=lambda m: m.__name__,
)
def harness(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Harness]:
    with request.param(tmp_path_factory.mktemp("storage")) as made:
        yield made


@pytest.fixture
def storage(harness: Harness) -> Iterator[Storage]:
    yield harness.storage
    for entry in list(harness.storage.list()):
        harness.storage.delete(entry.key)


def keys(storage: Storage, prefix: str = "") -> list[str]:
    return sorted(entry.key for entry in storage.list(prefix))


def sha256(data: bytes) -> Checksum:
    return Checksum("sha256", hashlib.sha256(data).hexdigest())


def upload(storage: Storage, key: str, data: bytes, path: Path, sent: Any = lambda size: None) -> None:
    path.write_bytes(data)
    storage.upload(key, path, sha256(data), sent)


def test_every_storage_is_under_contract() -> None:
    assert set(HARNESSES) == {module.name for module in pkgutil.iter_modules(storages.__path__)}


def test_what_is_written_is_read(storage: Storage) -> None:
    for data in (b"", b"x", content("doc", 100_000)):
        storage.write("_uid/a/b.yaml", data)
        assert storage.exists("_uid/a/b.yaml")
        assert storage.read("_uid/a/b.yaml") == data
    assert keys(storage) == ["_uid/a/b.yaml"]


def test_more_than_the_limit_is_not_read(storage: Storage) -> None:
    storage.write("large", bytes(1001))
    assert len(storage.read("large", 1001)) == 1001
    with pytest.raises(CatalogError, match="larger than 1000"):
        storage.read("large", 1000)


def test_what_is_missing(storage: Storage) -> None:
    storage.write("a/b", b"")
    assert not storage.exists("no/such")
    assert not storage.exists("a")
    for act in (storage.read, storage.checksum):
        with pytest.raises(TransferError) as caught:
            act("no/such")
        assert (caught.value.reason, caught.value.transient) == (Reason.NOT_FOUND, False)
        assert SECRET not in str(caught.value)
    storage.delete("no/such")
    assert keys(storage, "no/such/folder") == []


def test_a_listing_knows_folders_from_names(storage: Storage) -> None:
    for key in ("a/b/c", "a/b/d/e", "a/bc", "a/d", "f"):
        storage.write(key, key.encode())
    assert keys(storage) == sorted(["a/b/c", "a/b/d/e", "a/bc", "a/d", "f"])
    assert keys(storage, "a/b") == ["a/b/c", "a/b/d/e"]
    assert keys(storage, "a/b/d") == ["a/b/d/e"]
    assert {entry.size for entry in storage.list("a/b")} <= {5, 7, None}
    storage.delete("a/b/c")
    assert keys(storage, "a/b") == ["a/b/d/e"]


def test_names_with_odd_signs(storage: Storage) -> None:
    names = ["a b/ü+&%20#.zip", "x/100%/~$[1].json", "q/a'b(c)!.x"]
    for name in names:
        storage.write(name, name.encode())
    assert keys(storage) == sorted(names)
    for name in names:
        assert storage.read(name) == name.encode()


def test_create_is_only_for_what_is_not_there(storage: Storage) -> None:
    assert storage.create("c/1", b"first")
    assert not storage.create("c/1", b"second")
    assert storage.read("c/1") == b"first"
    storage.delete("c/1")
    assert storage.create("c/1", b"third")


def test_of_many_who_create_one_wins(storage: Storage) -> None:
    if not storage.exclusive:
        return
    start, won = threading.Barrier(8), list[int]()

    def act(number: int) -> None:
        start.wait()
        with contextlib.suppress(TransferError):  # "somebody else is at it": to be tried again
            if storage.create("race", str(number).encode()):
                won.append(number)

    threads = [threading.Thread(target=act, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [storage.read("race")] == [str(number).encode() for number in won]


@pytest.mark.parametrize("size", [0, 1000, 2 * PART + 17])
def test_uploads_arrive(storage: Storage, tmp_path: Path, size: int) -> None:
    data, seen = content("upload", size), list[int]()
    upload(storage, "m/x.zip", data, tmp_path / "x", seen.append)
    assert storage.read("m/x.zip", size) == data
    assert seen == sorted(seen)
    assert seen[-1:] == ([size] if size else [])
    with Stores(Settings()).store(url := storage.origin("m/x.zip")).open(url) as opened:
        assert b"".join(opened) == data
    upload(storage, "m/x.zip", b"another", tmp_path / "x")
    assert storage.read("m/x.zip") == b"another"
    assert keys(storage) == ["m/x.zip"]


def test_a_file_that_is_not_what_it_should_be(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"changed meanwhile")
    with pytest.raises(TransferError) as caught:
        storage.upload("m/x.zip", tmp_path / "x", sha256(b"as it was"), lambda size: None)
    assert caught.value.reason == Reason.CHECKSUM_MISMATCH
    if storage.exclusive:
        assert keys(storage) == []


def test_an_upload_that_is_given_up(storage: Storage, tmp_path: Path) -> None:
    def stop(size: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upload(storage, "m/x.zip", content("given up", 3 * PART), tmp_path / "x", stop)
    assert keys(storage) == []
    upload(storage, "m/x.zip", b"and again", tmp_path / "x")
    assert storage.read("m/x.zip") == b"and again"


def test_digests_that_are_kept(storage: Storage) -> None:
    storage.write("a.yaml", b"uid: x\n")
    assert storage.checksum("a.yaml") in (None, Checksum("md5", hashlib.md5(b"uid: x\n").hexdigest()))


def test_no_secret_in_its_name(harness: Harness) -> None:
    assert SECRET not in harness.storage.url
    assert harness.storage.url.rstrip("/").endswith(harness.url.rstrip("/")[-5:])


def _climbs(key: str) -> bool:
    return not {"..", ".", ""}.isdisjoint(key.split("/"))


@given(
    st.sampled_from(
        ["../x", "/etc/passwd", "a/../../x", "a//b", ".", "a/./b", "a\\..\\b", "c:x", "a\0b"]
    )
    | st.lists(st.sampled_from(["..", ".", "", "a"]), min_size=2).map("/".join).filter(_climbs)
)
def test_no_key_leaves_the_repository(harness: Harness, key: str) -> None:
    storage = harness.storage
    acts: list[Any] = [storage.read, storage.exists, storage.delete, storage.checksum, storage.origin]
    acts += [lambda key: storage.write(key, b""), lambda key: storage.create(key, b"")]
    acts += [lambda key: storage.upload(key, Path("x"), sha256(b""), lambda size: None)]
    for act in acts:
        with pytest.raises(ModelZooError) as caught:
            act(key)
        assert caught.value.reason == Reason.UNSAFE_PATH


def test_offline(harness: Harness) -> None:
    offline = connect(harness.url, Settings(offline=True))
    harness.storage.write("here", b"1")
    if isinstance(harness.storage, type(connect("."))):
        assert offline.read("here") == b"1"
        return
    for act in (
        lambda: offline.read("here"),
        lambda: offline.exists("here"),
        lambda: [*offline.list()],
    ):
        with pytest.raises(TransferError) as caught:
            act()
        assert caught.value.reason == Reason.OFFLINE


@pytest.mark.parametrize(
    "url", ["", "ftp://x/y", "https://", "http://[::1", "s3://", "file://host/x", "https://h/a?b"]
)
def test_what_is_no_repository(url: str) -> None:
    with pytest.raises(UsageError):
        connect(url)
