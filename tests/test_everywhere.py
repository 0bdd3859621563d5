"""The commands of the README that bring models from everywhere, as a new user would type them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, TOOLS
from tests.remote import CODE, WEIGHTS, GitHub, entry, files_of
from tests.servers.faulty import FaultyServer, serve
from tests.topaz import AMQ, FP16, ONNX16, PROB, Cdn, add_topaz, backend, settle
from tests.zoo import content

README = (ROOT / "README.md").read_text()
COMMANDS = re.search(r"come in the same way.*?```sh\n(.*?)```", README, re.S)
CLIP = "voxel51/clip-vit-base32-torch"


def test_the_commands_run(
    faulty: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_of("voxel51/openai-clip", entry(CLIP, "clip.pt"), code=False)
    files |= {"__init__.py": CODE, "weights.py": WEIGHTS}
    net = content("net", 3000)
    faulty.add("/net.onnx", serve(net))
    monkeypatch.setenv("MODELZOO_ZOO_DIR", str(tmp_path / "zoo"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert COMMANDS
    script = COMMANDS[1].replace("https://example.com", faulty.url)
    script = re.sub(r"^\./", f"{sys.executable} {TOOLS}/", script, flags=re.M)
    with Cdn() as cdn, FaultyServer() as api:
        settle(tmp_path, cdn, monkeypatch)
        amq = {**AMQ, "backends": {**AMQ["backends"], "onnx16": backend(FP16)}}
        add_topaz(tmp_path / "json", PROB, amq)
        topaz = {name: cdn.publish(name) for name in (ONNX16, ONNX16.replace("prob-v3", "amq-v13"))}
        GitHub(api, faulty).push("voxel51/openai-clip", files)
        monkeypatch.setenv("MODELZOO_GITHUB_API_URL", api.url)
        shell = ["sh", "-e", "-c", script]
        done = subprocess.run(shell, cwd=tmp_path, env=os.environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    models = tmp_path / "models"
    assert {name: (models / name).read_bytes() for name in topaz} == topaz
    assert (models / "my-net/net.onnx").read_bytes() == net
    assert any(path.is_file() for path in (tmp_path / "model-cache").rglob("*"))
    assert (tmp_path / "zoo/voxel51/openai-clip/clip.pt").read_text() == f"weights of {CLIP}"
    listed = [line.split()[0] for line in done.stdout[done.stdout.index("MODEL ") :].splitlines()]
    assert {"amq-13", "prob-3", "my-net"} <= {*listed}
