"""The notebook that downloads and caches a model, as a place for tests: a server, a disk, a cache."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import modelzoo
import pytest
from modelzoo.cache.entries import Cache
from modelzoo.events import Event, ModelFileDownloadEnd, Notice
from modelzoo.model import Model
from modelzoo.run.outcome import Summary

from tests.servers.faulty import FaultyServer, serve
from tests.zoo import content

CONFIG, WEIGHTS = b"model:\n  base_learning_rate: 4.5e-06\n", content("vqgan", 300_000)
OTHER = content("vqgan of today", 310_000)


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Notebook:
    """The notebook's folders, and its model on a server."""

    def __init__(self, root: Path, server: FaultyServer) -> None:
        self.server = server
        self.out, self.cache = root / "models", root / "cache"
        self.local = self.out / "vqgan"
        server.add("/config", serve(CONFIG, etag='"c1"'))
        server.add("/weights", serve(WEIGHTS, etag='"w1"'))
        self.urls = {
            "vqgan/vqgan.yaml": f"{server.url}/config",
            "vqgan/vqgan.ckpt": f"{server.url}/weights",
        }
        self.events: list[Event] = []

    def models(self) -> list[Model]:
        return modelzoo.from_urls(self.urls)

    def run(self, **options: Any) -> Summary:
        """Download; the events are those of this run."""
        self.events = []
        options = {"cache_dir": self.cache, "report": self.events.append, **options}
        return modelzoo.download(self.models(), self.out, **options)

    def fail(self, **options: Any) -> modelzoo.DownloadFailed:
        with pytest.raises(modelzoo.DownloadFailed) as caught:
            self.run(**options)
        return caught.value

    @property
    def origins(self) -> list[str | None]:
        """Where the config and the weights came from."""
        ends = [e for e in self.events if isinstance(e, ModelFileDownloadEnd)]
        return [e.origin for name in ("yaml", "ckpt") for e in ends if e.model_file.endswith(name)]

    @property
    def notices(self) -> str:
        return "\n".join(event.message for event in self.events if isinstance(event, Notice))

    @property
    def bytes(self) -> tuple[bytes, bytes]:
        return (self.local / "vqgan.yaml").read_bytes(), (self.local / "vqgan.ckpt").read_bytes()

    def note(self, path: str) -> Path:
        return Cache(self.cache).notes.path(f"{self.server.url}{path}")
