"""One folder for both: what these tools put there FiftyOne uses, and the other way round."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import modelzoo
import pytest
from modelzoo import fiftyone as ours

from tests.conftest import ROOT, tool
from tests.remote import PLAIN_CODE, WEIGHTS, entry, files_of, managed, write, zipped
from tests.servers.faulty import FaultyServer, serve
from tests.zoo import content, tree

pytestmark = pytest.mark.interop

PYTHON = os.environ.get("FIFTYONE_PYTHON", str(ROOT / "build/interop/fiftyone/bin/python"))
DATA = content("weights", 5000)


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of both."""
    folder = tmp_path / "zoo"
    monkeypatch.setenv("FIFTYONE_MODEL_ZOO_DIR", str(folder))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return folder


@pytest.fixture
def source(faulty: FaultyServer) -> Iterator[str]:
    """The URL of an archive that both can register: a manager's model, versions, and one by code."""
    faulty.add("/clip.bin", serve(DATA))
    url, size = f"{faulty.url}/clip.bin", len(DATA)
    files = files_of(
        "acme/zoo",
        managed("acme/clip", "clip.bin", url, version="1.9", size_bytes=size, tags=["torch"]),
        managed("acme/clip", "clip.bin", url, version="1.10", size_bytes=size, license="MIT"),
        entry("acme/coded", "coded.bin", size_bytes=len("weights of acme/coded")),
    )
    files["__init__.py"] = PLAIN_CODE + WEIGHTS
    faulty.add("/source.zip", serve(zipped(files)))
    yield f"{faulty.url}/source.zip"
    assert not faulty.errors


def theirs(code: str) -> Any:
    """What an expression on `foz`, FiftyOne's own zoo, gives."""
    script = f"import json\nimport fiftyone.zoo as foz\nprint(json.dumps({code}))"
    done = subprocess.run([PYTHON, "-c", script], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_fiftyone_uses_what_we_have_put_there(zoo: Path, source: str) -> None:
    ours.register_zoo_model_source(source)
    paths = {
        name: ours.download_zoo_model(name, trust_remote_code=True)[1]
        for name in ("acme/clip", "acme/clip@1.9", "acme/coded")
    }
    assert theirs("foz.list_zoo_model_sources()") == [source]
    names = theirs("[n for n in foz.list_zoo_models() if n.startswith('acme')]")
    assert names == ours.list_zoo_models() == ["acme/clip@1.10", "acme/clip@1.9", "acme/coded"]
    found = theirs("{n: foz.find_zoo_model(n) for n in ('acme/clip', 'acme/clip@1.9', 'acme/coded')}")
    assert found == paths
    assert theirs("sorted(foz.list_downloaded_zoo_models())") == names
    loaded = theirs("foz.load_zoo_model('acme/coded', extra=1).what")
    path = paths["acme/coded"]
    assert loaded == ["acme/coded", path, {"extra": 1}, "weights of acme/coded"]
    assert ours.load_zoo_model("acme/coded", extra=1).what == loaded
    theirs("foz.delete_zoo_model('acme/clip@1.9')")
    assert not ours.is_zoo_model_downloaded("acme/clip@1.9")
    assert ours.is_zoo_model_downloaded("acme/clip")
    theirs(f"foz.delete_zoo_model_source({source!r})")
    assert ours.list_zoo_model_sources() == ours.list_zoo_models() == []
    assert not (zoo / "acme" / "zoo").exists()


def test_we_use_what_fiftyone_has_put_there(zoo: Path, source: str) -> None:
    theirs(f"foz.register_zoo_model_source({source!r})")
    found = theirs("[foz.download_zoo_model(n)[1] for n in ('acme/clip@1.9', 'acme/coded')]")
    assert ours.list_zoo_model_sources() == [source]
    assert ours.list_zoo_models() == ["acme/clip@1.10", "acme/clip@1.9", "acme/coded"]
    assert [ours.find_zoo_model(n) for n in ("acme/clip@1.9", "acme/coded")] == found
    assert sorted(ours.list_downloaded_zoo_models()) == ["acme/clip@1.9", "acme/coded"]
    with pytest.raises(modelzoo.ConsentRequired):
        ours.load_zoo_model("acme/coded")
    loaded = ours.load_zoo_model("acme/coded", trust_remote_code=True)
    assert loaded.what == ["acme/coded", found[1], {}, "weights of acme/coded"]
    summary = modelzoo.download("acme/clip@1.9")
    assert [file.origin for file in summary.models[0].files] == ["local"]
    ours.delete_zoo_model("acme/clip@1.9")
    assert theirs("foz.is_zoo_model_downloaded('acme/clip@1.9')") is False
    ours.delete_zoo_model_source(source)
    assert theirs("foz.list_zoo_model_sources()") == []
    assert not [name for name in tree(zoo) if not name.startswith(".modelzoo")]


def test_what_fiftyone_left_unfinished_does_not_count(zoo: Path, source: str) -> None:
    theirs(f"foz.register_zoo_model_source({source!r})")
    path = zoo / "acme" / "zoo" / "clip-v1.10.bin"
    path.write_bytes(DATA[:100])
    assert theirs("foz.is_zoo_model_downloaded('acme/clip')") is True
    assert not ours.is_zoo_model_downloaded("acme/clip")
    ours.download_zoo_model("acme/clip")
    assert path.read_bytes() == DATA


def test_every_model_of_fiftyones_own_manifests_is_planned(tmp_path: Path, zoo: Path) -> None:
    folder = theirs("__import__('os').path.dirname(foz.__file__)")
    manifests = sorted(Path(folder, "models").glob("manifest-*.json"))
    declared = 0
    for path in manifests:
        name = f"theirs/{path.stem}"
        document = json.loads(path.read_text()) | {"name": name}
        write(tmp_path / path.stem, {"manifest.json": json.dumps(document)})
        ours.register_zoo_model_source(str(tmp_path / path.stem))
        arguments = ["--all", "--source", name, "--dry_run", "--progress_format=json"]
        done = tool("downloader", *arguments, "--trust_remote_code")
        rows = json.loads(done.stdout)["models"]
        names = {row["model"] for row in rows}
        for model in document["models"]:
            version = model.get("version")
            assert model["base_name"] + (f"@{version}" if version else "") in names
            if model.get("base_filename") and (model.get("manager") or {}).get("config"):
                declared += 1
        assert len(rows) == len(document["models"])
    assert len(manifests) >= 3
    assert declared > 150
    names = theirs("foz.list_zoo_models()")
    assert set(ours.list_zoo_models()) >= set(names) - {n for n in names if "@" in n}
