"""Publishing: what comes of it, what is refused, and that a failure leaves nothing."""

from __future__ import annotations

import datetime as dt
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import modelzoo
import pytest
from modelzoo.errors import (
    AlreadyPublishedError,
    InvalidValueError,
    ModelZooError,
    Reason,
    StorageError,
    TransferError,
)
from modelzoo.events import Event, PublishBegin, PublishEnd, PublishProgress, PublishRetry
from modelzoo.registry import patience
from modelzoo.registry.claims import Claim, Times, claimed
from modelzoo.registry.headers import parse_aliases, parse_header
from modelzoo.registry.identifiers import Uid
from modelzoo.registry.layout import aliases_key, header_key, meta_key
from modelzoo.registry.storage import Storage, connect
from modelzoo.registry.storage.folder import FolderStorage

from tests.publishing import FILES, PARAMS, make_folder, models, prove, publish
from tests.servers.artifactory import PASSWORD, TOKEN, USER, Artifactory

QUICK = Times(renewal=0.05, expiry=0.4, poll=0.01)

NO_YAML = object()
"""A value that no document can hold."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "model")


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "repository")


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "backoff", lambda attempt: 0.01 * attempt)


def keys(storage: Storage) -> list[str]:
    return sorted(entry.key for entry in storage.list())


def test_the_seed(root: Path, storage: FolderStorage) -> None:
    events: list[Event] = []
    uid = publish(root, storage, meta={"data": {"emodb": 1}}, alias="best", report=events.append)
    sid = uid.short_id
    assert keys(storage) == [
        "_alias/best/1.0.0/best-1.0.0.alias.yaml",
        f"_digest/{sid}/1.0.0/{sid}-1.0.0.json",
        f"_uid/{sid}.aliases/1.0.0/{sid}.aliases-1.0.0.yaml",
        f"_uid/{sid}/1.0.0/{sid}-1.0.0.header.yaml",
        f"_uid/{sid}/1.0.0/{sid}-1.0.0.meta.yaml",
        f"anger/autrainer/voxcnn/{sid}/1.0.0/{sid}-1.0.0.zip",
    ]
    assert prove(storage, uid) == FILES
    assert parse_header(storage.read(header_key(uid)), "").parameters == PARAMS
    assert storage.read(meta_key(uid)) == b"data:\n  emodb: 1\n"
    begin, *progress, end = events
    assert isinstance(begin, PublishBegin)
    assert (begin.files, begin.size) == (3, 5005)
    assert {e.step for e in progress if isinstance(e, PublishProgress)} == {"packing", "uploading"}
    assert isinstance(end, PublishEnd)
    assert (end.model, end.successful) == (str(uid), True)


def test_hidden_files_and_links(tmp_path: Path, storage: FolderStorage) -> None:
    root = make_folder(tmp_path / "m", {".hidden/x": b"1", "a": b"2", "Ünï cödé": b"3"})
    make_folder(tmp_path / "elsewhere", {"y": b"4"})
    (root / "link").symlink_to("a")
    (root / "folder").symlink_to(tmp_path / "elsewhere")
    (root / "empty").mkdir()
    os.utime(root / "a", (0, 0))  # before zip's first year
    files = prove(storage, publish(root, storage, compression=0))
    expected = {".hidden/x": b"1", "a": b"2", "Ünï cödé": b"3", "link": b"2", "folder/y": b"4"}
    assert files == expected


@pytest.mark.parametrize("level", range(10))
def test_every_compression(level: int, tmp_path: Path, storage: FolderStorage) -> None:
    root = make_folder(tmp_path / "m", {"x": b"x" * 20_000})
    uid = publish(root, storage, compression=level)
    assert prove(storage, uid) == {"x": b"x" * 20_000}
    sizes = [e.size or 0 for e in storage.list("anger")]
    assert (sizes[0] > 20_000) == (level == 0)


def circle(root: Path) -> None:
    (root / "bin" / "up").symlink_to("..")


def dangling(root: Path) -> None:
    (root / "gone").symlink_to("nowhere")


def pipe(root: Path) -> None:
    os.mkfifo(root / "pipe")


def case(root: Path) -> None:
    (root / "NETWORK.txt").write_bytes(b"")


def device(root: Path) -> None:
    (root / "con.txt").write_bytes(b"")


@pytest.mark.parametrize("spoil", [circle, dangling, pipe, case, device], ids=lambda f: f.__name__)
def test_folders_that_no_archive_can_hold(
    spoil: Callable[[Path], None], root: Path, storage: FolderStorage
) -> None:
    spoil(root)
    with pytest.raises(InvalidValueError):
        publish(root, storage)
    assert keys(storage) == []


@pytest.mark.parametrize(
    "given",
    [
        {"subgroup": "_uid"},
        {"subgroup": "_alias"},
        {"subgroup": "_uid.x"},
        {"subgroup": "_digest"},
        {"subgroup": "_claim.x"},
        {"subgroup": "a..b"},
        {"subgroup": "../../x"},
        {"subgroup": "a b"},
        {"name": ""},
        {"name": ".."},
        {"name": "../x"},
        {"name": "a/b"},
        {"name": "x\0"},
        {"name": "_uid", "subgroup": None},
        {"alias": "12345678"},
        {"alias": "12345678-1.0.0"},
        {"alias": "a/b"},
        {"alias": ".."},
        {"alias": ""},
        {"compression": -1},
        {"compression": 10},
        {"version": "1"},
        {"version": "1.0"},
        {"version": "v1.0.0"},
        {"version": "1.0.0-a/b"},
        {"version": "../1.0.0"},
        {"params": {"x": NO_YAML}},
        {"params": {"x": "\ud800"}},
        {"meta": {"x": NO_YAML}},
    ],
    ids=lambda given: str(given).replace(repr(NO_YAML), "an object"),
)
def test_what_is_refused(given: dict[str, Any], root: Path, storage: FolderStorage) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        publish(root, storage, **given)
    assert isinstance(caught.value, InvalidValueError)
    assert keys(storage) == []


def test_what_is_no_folder(root: Path, storage: FolderStorage, tmp_path: Path) -> None:
    for path in (tmp_path / "none", root / "network.txt"):
        with pytest.raises(FileNotFoundError):
            publish(path, storage)


def test_what_exists_is_not_replaced(root: Path, storage: FolderStorage) -> None:
    uid = publish(root, storage)
    before = {key: storage.read(key) for key in keys(storage)}
    with pytest.raises(RuntimeError, match="has this model already") as caught:
        publish(make_folder(root, {"more": b""}), storage, alias="other")
    assert isinstance(caught.value, AlreadyPublishedError)
    assert (caught.value.uid, caught.value.reason) == (str(uid), Reason.ALREADY_PUBLISHED)
    assert {key: storage.read(key) for key in keys(storage)} == before
    publish(root, storage, "1.1.0")
    assert models(storage) == [uid, Uid(uid.short_id, "1.1.0")]


def test_an_alias_moves(root: Path, storage: FolderStorage) -> None:
    old = publish(root, storage, alias="best")
    new = publish(root, storage, "2.0.0", alias="best")
    assert models(storage) == [old, new]
    assert not storage.exists(aliases_key(old))
    assert parse_aliases(storage.read(aliases_key(new)), "") == ["best"]
    where = storage.root
    assert modelzoo.set_alias("best", str(old), repository=where) == str(old)
    modelzoo.set_alias("other", "best", repository=where)
    assert parse_aliases(storage.read(aliases_key(old)), "") == ["best", "other"]
    models(storage)


class Failing(FolderStorage):
    """A folder whose n-th writing verb fails, with what it is told to raise."""

    def __init__(self, root: Path, fail_at: int, error: BaseException) -> None:
        super().__init__(root)
        self.left, self.error, self.seen = fail_at, error, list[str]()

    def _count(self, key: str) -> None:
        if not key.startswith("_claim") and threading.current_thread() is threading.main_thread():
            self.left -= 1
            self.seen.append(key)
            if self.left == 0:
                raise self.error

    def write(self, key: str, data: bytes) -> None:
        self._count(key)
        super().write(key, data)

    def create(self, key: str, data: bytes) -> bool:
        self._count(key)
        return super().create(key, data)

    def upload(self, *arguments: Any) -> None:
        self._count(arguments[0])
        super().upload(*arguments)
        self._count(arguments[0])


@pytest.mark.parametrize(
    "error",
    [StorageError("full", Reason.NO_SPACE), KeyboardInterrupt(), OSError("odd")],
    ids=lambda e: type(e).__name__,
)
@pytest.mark.parametrize("fail_at", range(1, 8))
def test_a_failure_leaves_nothing(
    fail_at: int, error: BaseException, root: Path, storage: FolderStorage, tmp_path: Path
) -> None:
    """Archive (before and after), digests, meta, aliases, alias, header: in this order."""
    old = publish(root, storage, "0.1.0")
    before = keys(storage)
    failing = Failing(storage.root, fail_at, error)
    with pytest.raises(type(error)):
        publish(root, failing, alias="best", temporary=tmp_path / "tmp")
    kinds = ("archive", "archive", "_digest", "_uid", "_uid", "_alias", "_uid")
    names = tuple(k.partition("/")[0].replace("anger", "archive") for k in failing.seen[:fail_at])
    assert names == kinds[:fail_at]
    assert keys(storage) == before
    assert list((tmp_path / "tmp").iterdir()) == []
    assert models(storage) == [old]
    new = publish(root, storage, alias="best")
    assert models(storage) == [old, new]


def test_an_alias_of_another_model_waits_for_the_header(root: Path, storage: FolderStorage) -> None:
    old = publish(root, storage, alias="best")
    failing = Failing(storage.root, 5, StorageError("full"))  # the header
    with pytest.raises(StorageError):
        publish(root, failing, "2.0.0", alias="best")
    assert modelzoo.set_alias("again", "best", repository=storage.root) == str(old)


def test_somebody_else_without_claims_is_first(root: Path, storage: FolderStorage) -> None:
    """Audmodel makes none: its header appears just before ours would."""
    other = FolderStorage(storage.root)

    class Late(FolderStorage):
        def write(self, key: str, data: bytes) -> None:
            super().write(key, data)
            if key == meta_key(Uid(key.split("/")[1], "1.0.0")):
                other.write(key.replace(".meta.", ".header."), b"of somebody else")

    with pytest.raises(AlreadyPublishedError):
        publish(root, Late(storage.root))
    assert any(storage.read(key) == b"of somebody else" for key in keys(storage))
    assert any(key.endswith(".zip") for key in keys(storage))


class Unsteady(FolderStorage):
    """A folder that fails for a moment at every first call, sometimes after the work was done."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.failed = set[str]()

    def _fail_once(self, what: str) -> None:
        if what not in self.failed:
            self.failed.add(what)
            raise TransferError(Reason.TIMEOUT, "no answer", url="x", transient=True, retry_after=0.0)

    def create(self, key: str, data: bytes) -> bool:
        done = super().create(key, data)
        self._fail_once(f"create {key}")
        return done

    def upload(self, *arguments: Any) -> None:
        self._fail_once("upload")
        super().upload(*arguments)

    def write(self, key: str, data: bytes) -> None:
        self._fail_once(f"write {key}")
        super().write(key, data)


def test_what_can_pass_is_tried_again(root: Path, storage: FolderStorage) -> None:
    events: list[Event] = []
    uid = publish(root, Unsteady(storage.root), alias="best", report=events.append)
    assert models(storage) == [uid]
    assert sum(isinstance(event, PublishRetry) for event in events) >= 6
    with pytest.raises(TransferError):
        publish(root, Unsteady(storage.root), "2.0.0", attempts=1)
    assert models(storage) == [uid]


def test_waits_grow(tmp_path: Path) -> None:
    class Down(FolderStorage):
        def exists(self, key: str) -> bool:
            raise TransferError(Reason.NETWORK, "down", transient=True)

    waits: list[float] = []
    steady = patience.PatientStorage(Down(tmp_path), 4, lambda *_: None, waits.append)
    with pytest.raises(TransferError):
        steady.exists("x")
    assert len(waits) == 3
    assert waits[0] < waits[1] < waits[2]


def test_a_claim_of_a_living_process(root: Path, storage: FolderStorage) -> None:
    uid = make_uid(root)
    with (
        claimed(storage, f"{uid.short_id}/1.0.0", str(uid), told=lambda text: None),
        pytest.raises(AlreadyPublishedError, match="is being published by process"),
    ):
        publish(root, storage)
    assert keys(storage) == []
    publish(root, storage)


def make_uid(root: Path) -> Uid:
    return publish(root, FolderStorage(root.parent / "another"))


def claim_of_another_machine(storage: FolderStorage, uid: Uid, number: int = 1) -> str:
    import msgspec

    key = f"_claim/{uid.short_id}/{uid.version}/{number:06}.json"
    claim = Claim("process 1 on mars", "mars", 1, "1", renewed=__import__("time").time())
    storage.write(key, msgspec.json.encode(claim))
    return key


def test_a_claim_of_another_machine_that_is_renewed(root: Path, storage: FolderStorage) -> None:
    uid, told = make_uid(root), list[str]()
    key = claim_of_another_machine(storage, uid)
    end = threading.Event()

    def renew() -> None:
        while not end.wait(0.05):
            claim_of_another_machine(storage, uid)

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        with pytest.raises(AlreadyPublishedError, match="mars"):
            publish(root, storage, times=QUICK, report=lambda event: told.append(str(event)))
    finally:
        end.set()
        thread.join()
    assert any("waiting to see whether process 1 on mars" in text for text in told)
    assert keys(storage) == [key]


def test_a_claim_of_another_machine_that_is_given_up(root: Path, storage: FolderStorage) -> None:
    uid = make_uid(root)
    claim_of_another_machine(storage, uid)
    storage.write(f"anger/autrainer/voxcnn/{uid.short_id}/1.0.0/.half.zip.tmp", b"what it left")
    assert publish(root, storage, times=QUICK) == uid
    assert models(storage) == [uid]
    assert not any("half" in key or "_claim" in key for key in keys(storage))


@pytest.mark.parametrize("data", [b"", b"{}", b"[1", b'{"holder": 1}', b"\xff"])
def test_a_claim_that_nobody_can_read(data: bytes, root: Path, storage: FolderStorage) -> None:
    uid = make_uid(root)
    storage.write(f"_claim/{uid.short_id}/1.0.0/000007.json", data)
    assert publish(root, storage, times=QUICK) == uid
    assert not any("_claim" in key for key in keys(storage))


def test_a_claim_that_was_taken_over(root: Path, storage: FolderStorage) -> None:
    """Whoever slept for too long does not touch what its successor has sent."""
    uid = make_uid(root)
    seen: list[str] = []

    class Slept(FolderStorage):
        def upload(self, *arguments: Any) -> None:
            super().upload(*arguments)
            claim_of_another_machine(storage, uid, 2)
            seen.extend(keys(storage))

    with pytest.raises(AlreadyPublishedError, match="taken over"):
        publish(root, Slept(storage.root))
    assert any(key.endswith(".zip") for key in keys(storage))
    assert not storage.exists(header_key(uid))


def test_of_many_who_claim_one_has_it(storage: FolderStorage) -> None:
    """All find the same claim that is given up."""
    claim_of_another_machine(storage, Uid("0" * 8, "1.0.0"))
    inside, most = list[int](), list[int]()
    start = threading.Barrier(6)

    def act() -> None:
        start.wait()
        with claimed(storage, f"{'0' * 8}/1.0.0", "x", wait=20, told=lambda text: None, times=QUICK):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=act) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6
    assert keys(storage) == []


@pytest.fixture
def server() -> Iterator[Artifactory]:
    with Artifactory() as served:
        yield served


def test_a_web_server_with_a_password(
    root: Path, server: Artifactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{server.url}/artifactory/models"
    with pytest.raises(TransferError, match="401") as caught:
        modelzoo.publish(root, "voxcnn", PARAMS, "1.0.0", repository=url)
    assert caught.value.reason == Reason.ACCESS_DENIED
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    uid = modelzoo.publish(
        root, "voxcnn", PARAMS, "1.0.0", repository=url, alias="best", meta={"a": 1}, subgroup="a.b"
    )
    with_password = connect(url.replace("//", f"//{USER}:pa%3Ass@"))
    assert list(map(str, models(with_password))) == [uid]
    with pytest.raises(AlreadyPublishedError):
        modelzoo.publish(root, "voxcnn", PARAMS, "1.0.0", repository=url, subgroup="a.b")
    assert modelzoo.update_meta("best", {"b": 2}, repository=url) == {"a": 1, "b": 2}


def test_a_token_is_for_its_host_alone(
    root: Path, server: Artifactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Artifactory() as other:
        monkeypatch.setenv("MODELZOO_REPOSITORY_TOKEN", f"127.0.0.1:{server.port}={TOKEN}\n")
        assert modelzoo.publish(root, "voxcnn", PARAMS, "1.0.0", repository=f"{server.url}/models")
        with pytest.raises(TransferError, match="no credential was sent"):
            modelzoo.publish(root, "voxcnn", PARAMS, "1.0.0", repository=f"{other.url}/models")


@pytest.mark.parametrize("digests", [True, False])
def test_what_arrives_broken_is_sent_again(root: Path, digests: bool) -> None:
    with Artifactory(digests=digests) as server:
        url = f"http://{USER}:pa%3Ass@127.0.0.1:{server.port}/models"
        uid = make_uid(root)
        archive = f"/models/voxcnn/{uid.short_id}/1.0.0/{uid.short_id}-1.0.0.zip"
        storage = connect(url)
        short = make_sid(root)
        archive = f"/models/voxcnn/{short}/1.0.0/{short}-1.0.0.zip"
        server.corrupt[archive] = [b"half"]
        server.refusals = [503]
        events: list[Event] = []
        publish(root, storage, subgroup=None, report=events.append)
        retries = [event for event in events if isinstance(event, PublishRetry)]
        reasons = [Reason.RATE_LIMITED, Reason.CHECKSUM_MISMATCH]
        assert [event.reason for event in retries] == reasons
        assert len(models(storage)) == 1
        server.corrupt[archive.replace("1.0.0", "1.1.0")] = [b"half", b"half"]
        with pytest.raises(TransferError, match="arrived"):
            publish(root, storage, "1.1.0", subgroup=None, attempts=2)
        assert len(models(storage)) == 1
        assert not [path for path in server.files if "1.1.0" in path]


def make_sid(root: Path) -> str:
    return publish(root, FolderStorage(root.parent / "third"), subgroup=None).short_id


def test_a_server_that_takes_nothing(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ModelZooError, match="cannot connect"):
        modelzoo.publish(
            root, "x", {}, "1.0.0", repository=f"http://127.0.0.1:{port}/m", num_attempts=1
        )


def test_the_author_and_the_date(root: Path, storage: FolderStorage) -> None:
    uid = publish(root, storage, author="Anna", date=dt.date(2024, 2, 29))
    header = parse_header(storage.read(header_key(uid)), "")
    assert (header.author, header.date) == ("Anna", dt.date(2024, 2, 29))


def test_without_any_repository(root: Path) -> None:
    with pytest.raises(modelzoo.UsageError, match=r"no repository.*repositories\.yml"):
        modelzoo.publish(root, "x", {}, "1.0.0")
