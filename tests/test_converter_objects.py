"""Conversions of models in object storage, on this machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from modelzoo.registry.storage.objects import ObjectsStorage
from modelzoo.stores import Settings

from tests.conftest import ROOT, TOOLS, tool
from tests.programs import Programs, make_tree
from tests.servers import steps
from tests.servers.faulty import FaultyServer
from tests.servers.s3 import S3, objects, put, s3_server
from tests.test_converter import headings
from tests.zoo import files_of


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@pytest.fixture
def stored(s3: S3, tmp_path: Path) -> str:
    """The URL of a folder with the files of three models."""
    make_tree(tmp_path, "a", "b-warns", "c-fails", quantizable=True)
    url = f"{s3.bucket()}/team a"
    put(f"{url}/dl", files_of(tmp_path / "dl"))
    return url


def options(programs: Programs, root: Path, source: str | Path, target: str | Path) -> list[Any]:
    return ["--source", root / "zoo", "--mo", programs.mo, "--all", "-d", source, "-o", target]


def mirrored(home: Path) -> list[str]:
    """The names of all files that were fetched, or made, here."""
    return sorted(p.name for p in home.rglob("*") if p.is_file() and ".modelzoo" not in p.parts)


def test_as_from_folders(
    programs: Programs, stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tool("converter", *options(programs, tmp_path, tmp_path / "dl", tmp_path / "ir"), check=1)
    ran = len(programs.names())
    there = options(programs, tmp_path, f"{stored}/dl", f"{stored}/ir/")
    done = tool("converter", *there, check=1)
    for folder in ("dl", "ir"):
        here.stdout = here.stdout.replace(str(tmp_path / folder), f"{stored}/{folder}")
    assert (done.stdout, done.stderr) == (here.stdout, here.stderr)
    assert done.stdout.endswith("FAILED:\nc-fails\n")
    results = [name for name in files_of(tmp_path / "ir") if ".modelzoo" not in name]
    records = [f".modelzoo/conversions/zoo/{name}.json" for name in ("a", "b-warns")]
    assert [name for name in objects(f"{stored}/ir") if "conversions" not in name] == results
    assert [name for name in objects(f"{stored}/ir") if name not in results] == records
    assert programs.names()[ran:] == programs.names()[:ran]
    assert not list(tmp_path.rglob("staging"))

    # On another machine what is up to date is seen without fetching it.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    ran = len(programs.names())
    done = tool("converter", *there, check=1)
    assert done.stdout.count("(up to date)") == 4
    assert programs.names()[ran:] == ["c-fails"]
    assert mirrored(tmp_path / "elsewhere/modelzoo/mirrors") == ["model.onnx"]


def test_what_is_not_up_to_date(programs: Programs, s3: S3, stored: str, tmp_path: Path) -> None:
    there = [*options(programs, tmp_path, f"{stored}/dl", f"{stored}/dl")[:4], "--name", "a"]
    there += ["-d", f"{stored}/dl"]
    tool("converter", *there)
    for name, data, redone in (
        ("public/a/model.onnx", b"another", 2),
        ("public/a/new.txt", b"of no meaning, but who knows", 2),
        ("public/a/FP16/a.bin", b"overwritten", 1),
        ("public/a/FP16", b"", 0),  # as some tools mark folders
    ):
        put(f"{stored}/dl", {name: data})
        ran = len(programs.names())
        assert tool("converter", *there).stdout.count("(up to date)") == 2 - redone
        assert len(programs.names()) - ran == redone
    s3.asked.clear()
    tool("converter", *there)
    assert {line.partition(" ")[0] for line in s3.asked} == {"GET"}
    fetched = [line for line in s3.asked if "/team a/" in line]
    assert [line.rpartition("/")[2] for line in fetched] == ["a.json"]


def test_an_interrupted_upload_leaves_no_xml(
    programs: Programs, s3: S3, stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = [*options(programs, tmp_path, f"{stored}/dl", f"{stored}/ir"), "--name", "a"]
    there.remove("--all")
    tool("converter", *there)
    monkeypatch.setattr(s3, "held", "/a.xml")
    s3.reached.clear()
    command = [sys.executable, TOOLS / "converter.py", *there, "--force"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        assert s3.reached.wait(30)
        process.terminate()
        assert process.wait(20) == 130, "though the storage does not answer"
    assert objects(f"{stored}/ir/public/a/FP16") == ["a.bin"]
    monkeypatch.setattr(s3, "held", "")
    ran = len(programs.names())
    assert tool("converter", *there).stdout.count("(up to date)") == 1
    assert programs.names()[ran:] == ["a"]
    assert objects(f"{stored}/ir/public/a") == [
        f"FP{n}/a.{e}" for n in (16, 32) for e in ("bin", "xml")
    ]


def test_quantizations(programs: Programs, stored: str, tmp_path: Path) -> None:
    for precision in ("FP16", "FP32"):
        put(f"{stored}/dl/public/a", {f"{precision}/a.{end}": b"IR" for end in ("xml", "bin")})
    (tmp_path / "images").mkdir()
    command = ["--source", tmp_path / "zoo", "--pot", programs.pot, "--name", "a"]
    command += ["--dataset_dir", tmp_path / "images", "--model_dir", f"{stored}/dl"]
    done = tool("quantizer", *command)
    assert f"Creating {stored}/dl/public/a/FP16-INT8/pot-config.json..." in done.stdout
    assert f"Moving quantized model to {stored}/dl/public/a/FP32-INT8..." in done.stdout
    (run, _) = programs.runs()
    assert run["config"]["model"]["model"] == f"{run['environ']['MODELS_DIR']}/FP16/a.xml"
    made = objects(f"{stored}/dl/public/a/FP16-INT8")
    assert made == ["a.bin", "a.xml", "pot-config.json"]
    assert tool("quantizer", *command).stdout.count("(up to date)") == 2
    assert headings(tool("quantizer", *command, "--dry_run").stdout)[0].startswith("(DRY RUN) ")


def test_a_real_model(s3: S3, tmp_path: Path) -> None:
    name, url = "prob-breast-cancer-logistic", s3.bucket()
    folder = f"demo/{name}"
    model = next((ROOT / "models" / folder).glob("*.onnx"))
    put(url, {f"{folder}/{model.name}": model.read_bytes()})
    tool("converter", "--name", name, "-d", url, "--precisions=FP16")
    for end in ("xml", "bin"):
        stored = ObjectsStorage(f"{url}/{folder}/FP16", Settings())
        (tmp_path / f"{name}.{end}").write_bytes(stored.read(f"{name}.{end}"))
    import openvino

    assert openvino.Core().read_model(tmp_path / f"{name}.xml").get_friendly_name() == name


def test_storages_that_cannot_be_reached(
    programs: Programs, s3: S3, stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for source, target in (("s3://nowhere/x", tmp_path / "ir"), (f"{stored}/dl", "s3://nowhere/x")):
        there = options(programs, tmp_path, source, target)
        done = tool("converter", *there, check=1)
        assert done.stdout == "FAILED:\na\nb-warns\nc-fails\n"
        assert done.stderr.startswith("a: s3://nowhere/x/public/a: no such bucket\n")
        assert done.stderr.count("\n") == 3
    with FaultyServer() as server:
        server.default = steps.status(403)
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        done = tool("converter", *options(programs, tmp_path, f"{stored}/dl", tmp_path / "ir"), check=1)
    assert "the service refuses: are there credentials" in done.stderr
    assert programs.runs() == []


def test_dry_runs_ask_nobody(programs: Programs, s3: S3, tmp_path: Path) -> None:
    make_tree(tmp_path, "a")
    s3.asked.clear()
    done = tool("converter", *options(programs, tmp_path, "s3://b/dl", tmp_path / "ir"), "--dry_run")
    assert "--input_model=s3://b/dl/public/a/model.onnx" in done.stdout
    assert s3.asked == []
