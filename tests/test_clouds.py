"""Models in Google Cloud Storage and Azure, from publishing to loading, and what goes wrong there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import modelzoo
import pytest
from modelzoo.checksum import Checksum
from modelzoo.errors import Reason, TransferError
from modelzoo.events import Event, PublishRetry
from modelzoo.registry.identifiers import short_id
from modelzoo.registry.storage import connect
from modelzoo.registry.storage.objects import PART

from tests.conftest import tool
from tests.publishing import FILES, PARAMS, make_folder, models, prove, publish
from tests.servers.azure import KEY
from tests.servers.buckets import BUCKETS, az
from tests.servers.gcs import Gcs, gcs_server
from tests.zoo import content

NAMED = ["--name", "voxcnn", "--subgroup", "anger.autrainer", "--version", "1.0.0"]
TYPED = ["--param", "data=emodb", "--param", "sampling_rate=16000", "--param", "network=mlp"]
UID = f"{short_id('voxcnn', PARAMS, 'anger.autrainer')}-1.0.0"
LARGE = FILES | {"large.bin": content("large", 2 * PART + 17)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "model", LARGE)


@pytest.fixture
def google() -> Iterator[Gcs]:
    with gcs_server() as server:
        yield server


@pytest.mark.parametrize("service", BUCKETS[1:])
def test_publish_look_up_and_load(service: object, root: Path, tmp_path: Path) -> None:
    assert callable(service)
    with service() as bucket:
        url = f"{bucket}/team/models"
        place = ["--repository", url]
        done = tool("publisher", "publish", root, *NAMED, *TYPED, "--alias", "best", *place)
        assert done.stdout == f"{UID}\n"
        again = tool("publisher", "publish", root, *NAMED, *TYPED, *place, check=1)
        assert "has this model already" in again.stderr
        assert UID in tool("publisher", "lookup", "--name", "voxcnn", *place).stdout
        assert tool("publisher", "alias", "best", *place).stdout == f"{UID}\n"
        assert [found.name for found in modelzoo.find("voxcnn", sources=url)]
        loaded = Path(modelzoo.load("best", tmp_path / "cache", repository=url))
        assert {
            path.relative_to(loaded).as_posix(): path.read_bytes()
            for path in loaded.rglob("*")
            if path.is_file()
        } == LARGE
        assert [str(uid) for uid in models(connect(url))] == [UID]


def test_what_google_keeps_wrong_is_sent_again(google: Gcs, root: Path) -> None:
    """Its parts are sent without digests, so only reading them again tells."""
    google.corrupt = [bytes(PART)]
    events: list[Event] = []
    storage = connect(google.bucket())
    uid = publish(root, storage, compression=0, report=events.append)
    retries = [event for event in events if isinstance(event, PublishRetry)]
    assert [event.reason for event in retries] == [Reason.CHECKSUM_MISMATCH]
    assert prove(storage, uid).keys() == LARGE.keys()


def test_a_service_that_is_busy_is_asked_again(google: Gcs, root: Path) -> None:
    """More than one write of an object in a second can be one too many for Google."""
    google.refusals = [429]
    events: list[Event] = []
    storage = connect(google.bucket())
    publish(root, storage, report=events.append)
    retries = [event for event in events if isinstance(event, PublishRetry)]
    assert [event.reason for event in retries] == [Reason.RATE_LIMITED]
    assert len(models(storage)) == 1


def test_no_parts_are_left_of_an_upload_that_fails(google: Gcs, tmp_path: Path) -> None:
    """They are in no listing, and have to be paid for."""
    (tmp_path / "x").write_bytes(content("given up", 3 * PART))
    storage, begun = connect(google.bucket()), list[int]()

    def stop(size: int) -> None:
        if size > 2 * PART:
            begun.append(len(google.uploads))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        storage.upload("m/x", tmp_path / "x", Checksum("sha256", ""), stop)
    assert begun == [1]
    assert google.uploads == {}


@pytest.mark.parametrize("service", BUCKETS[1:])
def test_a_bucket_that_is_not_there(service: object) -> None:
    assert callable(service)
    with service() as bucket:
        storage = connect(f"{bucket.partition(':')[0]}://nobodys")
        for act in (
            lambda: storage.read("x"),
            lambda: [*storage.list()],
            lambda: storage.write("x", b""),
        ):
            with pytest.raises(TransferError) as caught:
                act()
            assert (caught.value.reason, caught.value.transient) == (Reason.NOT_FOUND, False)


@pytest.mark.interop
def test_a_key_that_is_not_azures(monkeypatch: pytest.MonkeyPatch) -> None:
    with az() as bucket:
        place = os.environ["AZURE_STORAGE_CONNECTION_STRING"].replace(KEY, "d3Jvbmc=")
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", place)
        storage = connect(bucket)
        for act in (lambda: storage.read("x"), lambda: storage.create("x", b"")):
            with pytest.raises(TransferError, match="the service refuses") as caught:
                act()
            assert (caught.value.reason, caught.value.transient) == (Reason.ACCESS_DENIED, False)
            assert "d3Jvbmc" not in str(caught.value)
