"""Object storage as an origin of any catalog, its credentials, and what its errors mean."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import modelzoo
import pytest
from modelzoo.errors import Reason, TransferError
from modelzoo.registry.storage import connect
from modelzoo.stores import Settings, Stores
from modelzoo.web import object_client
from modelzoo.web.object_client import client_for, place_of

from tests.conftest import tool
from tests.servers import steps
from tests.servers.faulty import FaultyServer
from tests.servers.s3 import S3, s3_server
from tests.zoo import add_model, content, file_entry, model_config

DATA = content("object", 3 << 20)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@pytest.fixture
def asked() -> Iterator[FaultyServer]:
    with FaultyServer() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", server.url)
        yield server


def test_a_catalog_with_objects(s3: S3, tmp_path: Path) -> None:
    bucket = s3.bucket()
    connect(bucket).write("models/x y.onnx", DATA)
    entry = file_entry("x.onnx", DATA, f"{bucket}/models/x%20y.onnx")
    add_model(tmp_path / "zoo", "x", model_config([entry]))
    command = ["--source", tmp_path / "zoo", "--all", "-o", tmp_path / "out"]
    tool("downloader", *command, environ=s3.environment)
    assert (tmp_path / "out" / "x" / "x.onnx").read_bytes() == DATA
    done = tool("downloader", *command, "--progress_format=json", environ=s3.environment)
    assert '"bytes_network":0' in done.stdout


def test_a_url_of_an_object(s3: S3, tmp_path: Path) -> None:
    bucket = s3.bucket()
    connect(bucket).write("x.onnx", DATA)
    models = modelzoo.from_urls({"one/x.onnx": f"{bucket}/x.onnx"})
    modelzoo.download(models, tmp_path)
    assert (tmp_path / "one" / "x.onnx").read_bytes() == DATA


def test_the_files_of_aws(asked: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked.default = steps.serve(b"1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id=wrong\naws_secret_access_key=wrong\n"
        "[team]\naws_access_key_id=TEAM\naws_secret_access_key=s\naws_session_token=session\n"
    )
    (tmp_path / "config").write_text(
        f"[profile team]\nregion = eu-west-9\nendpoint_url = {asked.url}/files\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "team")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert connect("s3://bucket/models").read("x") == b"1"
    (request,) = asked.requests
    assert request.path == "/files/bucket/models/x"
    assert "Credential=TEAM/" in request.headers["Authorization"]
    assert "/eu-west-9/s3/" in request.headers["Authorization"]
    assert request.headers["X-Amz-Security-Token"] == "session"
    assert request.headers["User-Agent"].startswith("modelzoo/")


@pytest.mark.parametrize(
    ("step", "reason", "transient"),
    [
        (steps.status(403), Reason.ACCESS_DENIED, False),
        (steps.status(401), Reason.ACCESS_DENIED, False),
        (steps.status(404), Reason.NOT_FOUND, False),
        (steps.status(500), Reason.SERVER_ERROR, True),
        (steps.status(503), Reason.RATE_LIMITED, True),
        (steps.status(418), Reason.SERVER_ERROR, False),
        (steps.drop_connection(), Reason.NETWORK, True),
        (steps.truncate_after(steps.serve(bytes(1000)), 500), Reason.NETWORK, True),
    ],
    ids=["403", "401", "404", "500", "503", "418", "dropped", "truncated"],
)
def test_errors(
    step: Any, reason: Reason, transient: bool, asked: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    asked.default = step
    with pytest.raises(TransferError) as caught:
        connect("s3://bucket").read("x")
    assert (caught.value.reason, caught.value.transient) == (reason, transient)
    assert "s3://bucket/x" in str(caught.value)
    assert "very-secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(asked.requests) == 1


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    for act in (lambda: connect("s3://b/").exists("x"), lambda: [*connect("s3://b/").list()]):
        with pytest.raises(TransferError, match="connection failed") as caught:
            act()
        assert (caught.value.reason, caught.value.transient) == (Reason.NETWORK, True)


@pytest.mark.parametrize(
    "url", ["s3://", "s3:///x", "s3://a b/x", "s3://u:p@b/x", "s3://b/x?versionId=1"]
)
def test_urls_that_name_no_object(url: str) -> None:
    with pytest.raises(TransferError) as caught:
        Stores(Settings()).store(url).open(url)
    assert caught.value.reason == Reason.INVALID_CATALOG
    assert "u:p" not in str(caught.value)


def test_the_other_services_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no server of theirs here to ask; what is made for them is what obstore wants."""
    account = {"gcs_base_url": "http://127.0.0.1:9", "disable_oauth": True}
    account |= dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
    key = json.dumps(account)
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", key)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    for scheme, kind in (("gs", "GCSStore"), ("az", "AzureStore")):
        client = client_for(place_of(f"{scheme}://models/x"), 5.0)
        assert type(client).__name__ == kind
        assert connect(f"{scheme}://models/x").origin("k") == f"{scheme}://models/x/k"


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    object_client._client.cache_clear()
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(TransferError, match=r"install with: .* -m pip install obstore$"):
        connect("s3://bucket").read("x")
