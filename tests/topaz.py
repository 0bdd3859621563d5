"""Topaz models folders made on the spot, and a server that asks for the cookie as Topaz's does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from modelzoo.version import USER_AGENT

from tests.servers.faulty import Exchange, FaultyServer, Step, serve, status
from tests.zoo import content

COOKIE = "S3CRET-cookie.value_1"

FP32, FP16 = "fgnet-fp32-[H]x[W]-[S]x-ox.tz", "fgnet-fp16-[H]x[W]-[S]x-ox.tz"
ENGINE = "fgnet-fp16-[H]x[W]-[S]x-rt[R]-[C].tz"


def backend(*nets: str, blocks: Any = (672, 576), scales: Any = ("1",), **extra: Any) -> dict[str, Any]:
    """A backend with these templates and sizes in every scale."""
    lists = {"nets": list(nets), "blocks": list(blocks)}
    return {"scales": dict.fromkeys(scales, lists), **extra}


def topaz_model(
    short: str, version: int | str, backends: Mapping[str, Any], **extra: Any
) -> dict[str, Any]:
    """What the application writes about a model."""
    return {"shortName": short, "version": version, "backends": dict(backends), **extra}


PROB = topaz_model(
    "prob",
    3,
    {
        "onnx": backend(FP32, blocks=(672, 576, 352, 256), scales=("1", "2")),
        "onnx16": backend(FP16),
        "tensorrt-off": backend(FP16),
        "tensorrt": backend(ENGINE, capabilities=[705, 806]),
    },
    gui={"name": "Proteus", "desc": "Enhances.\nFor all."},
    displayName="not shown",
)
AMQ = topaz_model("amq", "13", {"onnx": backend(FP32), "coreml": backend("fgnet.mlz")})


def add_topaz(folder: Path, *documents: Mapping[str, Any]) -> Path:
    """Write these models into a folder, beside what is no model; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for document in documents:
        name = f"{document['shortName']}-{document['version']}.json"
        (folder / name).write_text(json.dumps(document), encoding="utf-8")
    (folder / "benchmarks.json").write_text('[{"version": 1, "fps": 2.5}]')
    (folder / "encoders.json").write_text('{"version": 1, "backends": {}}')
    return folder


_SIZES = ("256x352", "576x672")
ONNX = [f"prob-v3-fgnet-fp32-{size}-{scale}x-ox.tz" for size in _SIZES for scale in "12"]
"""The files of prob-3 for the backend onnx."""
ONNX16 = "prob-v3-fgnet-fp16-576x672-1x-ox.tz"
ONE = "amq-v13-fgnet-fp32-576x672-1x-ox.tz"
"""The file of amq-13 for the backend onnx."""


def settle(folder: Path, cdn: Cdn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a user who has the application with two models, its data folder, and the cookie."""
    add_topaz(folder / "json", PROB, AMQ)
    monkeypatch.setenv("TVAI_MODEL_DIR", str(folder / "json"))
    monkeypatch.setenv("TVAI_MODEL_DATA_DIR", str(folder / "data"))
    monkeypatch.setenv("TVAI_COOKIE", COOKIE)
    monkeypatch.setenv("MODELZOO_TOPAZ_URL", cdn.url)
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "user"))


class Cdn(FaultyServer):
    """Serves what `publish` was told to those who send the cookie and say who they are."""

    def __init__(self) -> None:
        super().__init__()
        self.cookie = COOKIE

    def publish(self, name: str, size: int = 3000, *steps: Step) -> bytes:
        """Have a file of this size; before it is served well, answer with these steps."""
        data = content(name, size)
        self.add(f"/{name}", *(self.guarded(step) for step in (*steps, serve(data))))
        return data

    def publish_all(self, *names: str) -> dict[str, bytes | str]:
        """Have all of these; what the folder has to hold afterwards, as `tests.zoo.tree` tells it."""
        return {name: self.publish(name) for name in names}

    def guarded(self, step: Step) -> Step:
        """The step, for those who may see it."""
        refusal = status(403, body=b"<html>Just a moment...</html>", content_type="text/html")

        def choose(exchange: Exchange) -> None:
            known = exchange.headers.get("cookie") == f"cf_clearance={self.cookie}"
            named = exchange.headers.get("user-agent") == USER_AGENT
            (step if known and named else refusal)(exchange)

        return choose

    def asked(self, method: str = "GET") -> list[str]:
        """The paths of the requests so far, without the slash."""
        return [request.path[1:] for request in self.requests if request.method == method]
