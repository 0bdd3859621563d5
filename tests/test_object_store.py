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

from tests.conftest import tool
from tests.servers import steps
from tests.servers.faulty import FaultyServer
from tests.servers.s3 import S3, s3_server
from tests.zoo import add_model, content, file_entry, model_config

DATA = content("object", 3 << 20)
DATE = "Sun, 29 Nov 2026 00:00:00 GMT"


def connection(text: str) -> dict[str, str]:
    return {"AZURE_STORAGE_CONNECTION_STRING": text}


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


def test_an_emulator_of_googles_gets_nobodys_credential(
    asked: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked.default = steps.serve(b"1", last_modified=DATE)
    account = {"type": "authorized_user", "client_id": "me", "client_secret": "s", "refresh_token": "r"}
    (tmp_path / "account.json").write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
    for host in (asked.url, f"{asked.url}/", asked.url.removeprefix("http://")):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", host)
        assert connect("gs://bucket/models").read("a/x y") == b"1"
    assert {request.path for request in asked.requests} == {"/bucket/models%2Fa%2Fx%20y"}
    sent = {request.headers.get("Authorization", "").strip() for request in asked.requests}
    assert sent <= {"", "Bearer"}


ACCOUNT = {"AZURE_STORAGE_ACCOUNT": "me", "AZURE_STORAGE_KEY": "a2V5"}
OWN = {"AZURE_STORAGE_ACCOUNT_NAME": "you", "AZURE_STORAGE_ACCOUNT_KEY": "a2V5"}
PLACE = {"AZURE_STORAGE_ENDPOINT": "URL"}
SIGNED = "sv=2024-11-04&sig=very%2Bsecret"
EMULATOR = {"AZURITE_BLOB_STORAGE_URL": "URL"}


@pytest.mark.parametrize(
    ("environ", "path", "credential"),
    [
        ({**ACCOUNT, **PLACE}, "/c/x", "SharedKey me:"),
        (
            {"AZURE_STORAGE_ACCOUNT": "me", "AZURE_STORAGE_SAS_TOKEN": SIGNED, **PLACE},
            f"/c/x?{SIGNED}",
            "",
        ),
        ({**ACCOUNT, **OWN, **PLACE}, "/c/x", "SharedKey you:"),
        (
            {**EMULATOR, "AZURE_STORAGE_USE_EMULATOR": "true"},
            "/devstoreaccount1/c/x",
            "devstoreaccount1:",
        ),
        (
            {**EMULATOR, **connection("UseDevelopmentStorage=true;")},
            "/devstoreaccount1/c/x",
            "devstore",
        ),
        (connection("AccountName=me;AccountKey=a2V5;BlobEndpoint=URL/me;"), "/me/c/x", "SharedKey me:"),
        (
            {**OWN, **connection("AccountName=me;AccountKey=a2V5;BlobEndpoint=URL")},
            "/c/x",
            "SharedKey me:",
        ),
        (connection(f"BlobEndpoint=URL/me/;SharedAccessSignature={SIGNED}"), f"/me/c/x?{SIGNED}", ""),
    ],
    ids=[
        "cli",
        "token",
        "both",
        "emulator",
        "development",
        "connection",
        "connection-first",
        "signature",
    ],
)
def test_the_variables_of_azure(
    environ: dict[str, str],
    path: str,
    credential: str,
    asked: FaultyServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked.default = steps.serve(b"1", last_modified=DATE)
    for name, value in environ.items():
        monkeypatch.setenv(name, value.replace("URL", asked.url))
    assert connect("az://c").read("x") == b"1"
    (request,) = asked.requests
    assert request.path == path
    assert credential in request.headers.get("Authorization", "")
    asked.default = steps.drop_connection()
    with pytest.raises(TransferError) as caught:
        connect("az://c").read("x")
    assert (caught.value.reason, "secret" in str(caught.value)) == (Reason.NETWORK, False)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("AccountName=me;AccountKey=a2V5==", "https://me.blob.core.windows.net"),
        (
            "accountname=me; EndpointSuffix=core.chinacloudapi.cn",
            "https://me.blob.core.chinacloudapi.cn",
        ),
        (
            "BlobEndpoint=https://me.blob.example.org/;SharedAccessSignature=?sig=x",
            "https://me.blob.example.org",
        ),
    ],
)
def test_where_a_connection_string_leads(text: str, endpoint: str) -> None:
    config = object_client._connection(text)
    assert (config["account_name"], config["endpoint"]) == ("me", endpoint)
    assert config.get("account_key", "a2V5==") == "a2V5=="


def test_a_connection_string_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "very-secret")
    with pytest.raises(TransferError) as caught:
        connect("az://c").read("x")
    assert (caught.value.reason, "secret" in str(caught.value)) == (Reason.INVALID_REQUEST, False)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    object_client._client.cache_clear()
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(TransferError, match=r"install with: .* -m pip install obstore$"):
        connect("s3://bucket").read("x")
