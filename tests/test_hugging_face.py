"""The Hugging Face hub: addresses, its checksums, its token, and what it refuses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import modelzoo
import pytest
from modelzoo.errors import Reason, TransferError
from modelzoo.events import ModelFileChanged
from modelzoo.run.outcome import FileOutcome
from modelzoo.stores import Settings, Stores
from modelzoo.web.credentials import credential_for

from tests.servers.faulty import FaultyServer, redirect, serve, status
from tests.zoo import content

DATA = content("hub", 20_000)
NEW = content("hub of today", 20_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


class Hub:
    """A hub, and its CDN on another host."""

    def __init__(self, hub: FaultyServer, cdn: FaultyServer) -> None:
        self.hub, self.cdn = hub, cdn
        hub.default = status(404)

    def publish(self, data: bytes, path: str = "/o/r/resolve/main/a.bin", **headers: str) -> None:
        """A large file, as the hub answers for it."""
        told = {
            "X-Linked-Etag": f'"{hashlib.sha256(data).hexdigest()}"',
            "X-Linked-Size": str(len(data)),
            "X-Repo-Commit": "0" * 40,
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        self.cdn.add("/blob", serve(data, etag=f'"{len(data)}-{hash(data)}"'))
        self.hub.add(path, status(302, headers={"Location": f"{self.cdn.url}/blob?X=1", **told}))

    def paths(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.hub.requests]


@pytest.fixture
def hub(faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with FaultyServer(host="127.0.0.2") as cdn:
        monkeypatch.setenv("HF_ENDPOINT", f"{faulty.url}/")
        yield Hub(faulty, cdn)
        assert faulty.errors == cdn.errors == []


def download(folder: Path, url: str = "hf://o/r/a.bin", **options: Any) -> FileOutcome:
    summary = modelzoo.download(modelzoo.from_urls({"m/a.bin": url}), folder, **options)
    return summary.models[0].files[0]


ADDRESSES = {
    "hf://o/r/a.bin": "/o/r/resolve/main/a.bin",
    "hf://o/r@v1.0/a.bin": "/o/r/resolve/v1.0/a.bin",
    "hf://o/r@refs%2Fpr%2F1/a.bin": "/o/r/resolve/refs%2Fpr%2F1/a.bin",
    "hf://o/r/onnx/model.onnx": "/o/r/resolve/main/onnx/model.onnx",
    "hf://o/r/a%20b%3F.bin": "/o/r/resolve/main/a%20b%3F.bin",
    "hf://o/r/a@b.bin": "/o/r/resolve/main/a%40b.bin",
    "hf://gpt2/a.bin": "/gpt2/resolve/main/a.bin",
}


@pytest.mark.parametrize("url", ADDRESSES)
def test_addresses(hub: Hub, url: str) -> None:
    hub.hub.add(ADDRESSES[url], serve(DATA))
    with Stores(Settings(timeout=20)).store(url).open(url) as opened:
        assert b"".join(opened) == DATA


@pytest.mark.parametrize(
    "url",
    [
        "hf://", "hf://o", "hf://o/", "hf://o/r/", "hf://o/r@/a", "hf://o@v1/r/a", "hf://o/r@v/",
        "hf://o/r//a", "hf://o/r/../a", "hf://o/r/%2e%2e/a", "hf://o/r/a%0d%0ab", "hf://o/r/a?x=1",
        "hf://../r/a", "hf://o/../a/b", "hf://o/r@../a", "hf://o/r@a%2F..%2Fb/a", "hf://u:p@o/r/a",
        "hf://o:80/r/a", "hf://o/r/a#x", "hf://datasets/o/r/a", "hf://spaces/o/r", "hf://o/r/a%5Cb",
    ],
)  # fmt: skip
def test_what_is_no_address(hub: Hub, url: str) -> None:
    with pytest.raises(TransferError) as caught:
        Stores(Settings(timeout=20)).store(url).open(url)
    assert (caught.value.reason, hub.hub.requests) == (Reason.INVALID_CATALOG, [])


@pytest.mark.parametrize("endpoint", ["ftp://hub", "hub", "http://[", "http://h\\x"])
def test_an_endpoint_that_is_none(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(TransferError, match="HF_ENDPOINT is no URL of a hub"):
        Stores(Settings()).store("hf://o/r/a").open("hf://o/r/a")


def test_the_hub_publishes_the_checksum(hub: Hub, tmp_path: Path) -> None:
    hub.publish(DATA)
    cache = tmp_path / "cache"
    file = download(tmp_path / "out", cache_dir=cache)
    assert (file.checksum, file.verified, file.origin) == (f"sha256:{SHA256}", True, "network")
    assert (cache / "1" / SHA256[:2] / SHA256[2:]).read_bytes() == DATA
    again = download(tmp_path / "other", cache_dir=cache, offline=True)
    assert (again.origin, again.verified) == ("cache", True)
    assert hub.paths() == ["HEAD /o/r/resolve/main/a.bin", "GET /o/r/resolve/main/a.bin"]


def test_other_bytes_are_refused(hub: Hub, tmp_path: Path) -> None:
    hub.publish(DATA)
    hub.cdn.add("/blob", serve(content("evil", len(DATA))))
    with pytest.raises(modelzoo.DownloadFailed) as caught:
        download(tmp_path / "out")
    assert caught.value.reason == Reason.CHECKSUM_MISMATCH
    assert f"{hub.hub.url}" in str(caught.value) or "hf://o/r/a.bin" in str(caught.value)
    assert not (tmp_path / "out/m/a.bin").exists()


def test_a_known_digest_is_found_in_the_cache_without_the_bytes(hub: Hub, tmp_path: Path) -> None:
    hub.publish(DATA)
    download(tmp_path / "out", cache_dir=tmp_path / "cache")
    hub.publish(DATA, "/o/r/resolve/v2/a.bin")
    before = len(hub.cdn.requests)
    file = download(tmp_path / "other", "hf://o/r@v2/a.bin", cache_dir=tmp_path / "cache")
    assert (file.origin, file.verified) == ("cache", True)
    assert [r.method for r in hub.cdn.requests[before:]] == ["HEAD"]


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Linked_Etag": ""},
        {"X_Linked_Etag": f'"{"0" * 40}"'},
        {"X_Linked_Etag": f'"{"g" * 64}"'},
    ],
)
def test_what_is_no_digest_is_not_one(hub: Hub, tmp_path: Path, headers: dict[str, str]) -> None:
    hub.publish(DATA, **headers)
    assert not download(tmp_path / "out").verified


def test_the_cdn_publishes_nothing(hub: Hub, tmp_path: Path) -> None:
    """Whoever can send other bytes could send their digest as well."""
    linked = {"X-Linked-Etag": f'"{SHA256}"', "X-Linked-Size": str(len(DATA))}
    hub.cdn.add("/blob", serve(DATA, headers=linked))
    hub.hub.add("/o/r/resolve/main/a.bin", redirect(f"{hub.cdn.url}/blob"))
    assert not download(tmp_path / "out").verified


def test_a_renamed_repository(hub: Hub, tmp_path: Path) -> None:
    hub.publish(DATA, "/new/r/resolve/main/a.bin")
    hub.hub.add("/o/r/resolve/main/a.bin", redirect("/new/r/resolve/main/a.bin", 307))
    assert download(tmp_path / "out").verified


def test_a_small_file_comes_from_the_hub_itself(hub: Hub, tmp_path: Path) -> None:
    hub.hub.add("/o/r/resolve/main/a.bin", serve(DATA, etag='"0123"'))
    file = download(tmp_path / "out")
    assert (file.checksum, file.verified) == (f"sha256:{SHA256}", False)
    download(tmp_path / "out", refresh=True)
    assert hub.hub.requests[-1].headers["if-none-match"] == '"0123"'
    assert hub.hub.requests[-1].sent == 0


def test_refresh_asks_for_the_digest(hub: Hub, tmp_path: Path) -> None:
    hub.publish(DATA)
    download(tmp_path / "out")
    assert download(tmp_path / "out", refresh=True).origin == "local"
    hub.publish(NEW)
    events: list[Any] = []
    file = download(tmp_path / "out", refresh=True, report=events.append)
    assert (file.origin, file.verified) == ("network", True)
    changed = [e for e in events if isinstance(e, ModelFileChanged)]
    assert [e.before for e in changed] == [f"sha256:{SHA256}"]


def test_the_token_goes_to_the_hub_alone(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_S3CRET")
    hub.publish(DATA)
    download(tmp_path / "out", cache_dir=tmp_path / "cache")
    assert {r.headers.get("authorization") for r in hub.hub.requests} == {"Bearer hf_S3CRET"}
    assert {r.headers.get("authorization") for r in hub.cdn.requests} == {None}


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("http://mirror.lan:8080/o/r", True),
        ("http://mirror.lan/o/r", False),
        ("https://mirror.lan:8080/o/r", False),
        ("https://huggingface.co/o/r", False),
        ("http://cdn.mirror.lan:8080/o/r", False),
    ],
)
def test_the_token_is_for_one_hub(monkeypatch: pytest.MonkeyPatch, url: str, sent: bool) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_S3CRET")
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror.lan:8080")
    assert (credential_for(url) is not None) is sent


@pytest.mark.parametrize("code", [401, 403])
@pytest.mark.parametrize("token", ["", "hf_S3CRET"])
def test_a_gated_repository(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, token: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    hub.hub.add("/o/r/resolve/main/a.bin", status(code))
    hub.publish(DATA, "/o/open/resolve/main/a.bin")
    urls = {"gated/a.bin": "hf://o/r/a.bin", "open/a.bin": "hf://o/open/a.bin"}
    with pytest.raises(modelzoo.DownloadFailed) as caught:
        modelzoo.download(modelzoo.from_urls(urls), tmp_path / "out")
    assert caught.value.reason == Reason.ACCESS_DENIED
    message = str(caught.value)
    assert f"{hub.hub.url}/o/r/resolve/main/a.bin" in message
    assert f"open {hub.hub.url}/o/r, accept its conditions, and set HF_TOKEN" in message
    assert "S3CRET" not in message
    assert (tmp_path / "out/open/a.bin").read_bytes() == DATA  # another repository is another matter


def test_a_missing_file_names_its_url(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(modelzoo.DownloadFailed) as caught:
        download(tmp_path / "out", "hf://o/r/none.bin")
    assert caught.value.reason == Reason.NOT_FOUND
    assert f"{hub.hub.url}/o/r/resolve/main/none.bin" in str(caught.value)


def test_a_mirror_of_a_hub_that_is_down(hub: Hub, faulty: FaultyServer, tmp_path: Path) -> None:
    hub.hub.add("/o/r/resolve/main/a.bin", status(500))
    hub.hub.add("/mirror", serve(DATA))
    models = modelzoo.from_urls({"m/a.bin": ["hf://o/r/a.bin", f"{faulty.url}/mirror"]})
    modelzoo.download(models, tmp_path / "out")
    assert (tmp_path / "out/m/a.bin").read_bytes() == DATA
