"""info_dumper.py as a process: what it prints, that it prints it everywhere alike, and how it ends."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from modelzoo.description import describe
from modelzoo.model import ModelFile, Origin

from tests.conftest import ROOT, tool
from tests.omz import DATA, ENTRY, HEX, URL, config, load, with_file
from tests.zoo import add_model

KEYS = [
    *("name", "composite_model_name", "description", "framework", "license_url", "precisions"),
    *("quantization_output_precisions", "subdirectory", "task_type"),
    *("input_info", "version", "source", "size", "files", "tags"),
]


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """A catalog with a composite and two models, one of them with everything that there is."""
    root = tmp_path / "zoo"
    add_model(
        root,
        "public/rich",
        config(
            description="Erster Absatz für Zürich.\n\nZweiter: 模型 😀 </script>",
            files=[
                {**ENTRY, "source": ["sub/model.onnx", {"$type": "google_drive", "id": "1aB"}, URL]}
            ],
            input_info=[{"layout": "NC", "shape": [1, 2], "name": "x"}],
            quantizable=True,
            version="1.0",
            tags=["b", "a"],
        ),
    )
    add_model(root, "public/c/c-2", config())
    add_model(root, "public/c/c-1", config())
    (root / "public/c/composite-model.yml").touch()
    return root


def dump(*arguments: str | Path, **environ: str) -> list[dict[str, Any]]:
    models: list[dict[str, Any]] = json.loads(tool("info_dumper", *arguments, environ=environ).stdout)
    return models


def test_what_is_told_of_a_model(zoo: Path) -> None:
    (model,) = dump("--name", "rich", "--source", zoo)
    assert list(model.items()) == [
        ("name", "rich"),
        ("composite_model_name", None),
        ("description", "Erster Absatz für Zürich.\n\nZweiter: 模型 😀 </script>"),
        ("framework", "onnx"),
        ("license_url", "https://example.com/LICENSE"),
        ("precisions", ["FP16", "FP32"]),
        ("quantization_output_precisions", ["FP16-INT8", "FP32-INT8"]),
        ("subdirectory", "public/rich"),
        ("task_type", "classification"),
        ("input_info", [{"name": "x", "shape": [1, 2], "layout": "NC"}]),
        ("version", "1.0"),
        ("source", "zoo"),
        ("size", len(DATA)),
        ("files", model["files"]),
        ("tags", ["b", "a"]),
    ]
    (file,) = model["files"]
    assert list(file.items()) == [
        ("name", "model.onnx"),
        ("size", len(DATA)),
        ("checksum", f"sha384:{HEX['sha384']}"),
        ("sources", ["sub/model.onnx", "gdrive://1aB", URL]),
    ]


def test_the_keys_of_every_model(zoo: Path) -> None:
    for models in (dump("--all"), dump("--all", "--source", zoo)):
        assert all(list(model) == KEYS for model in models)
        for model in models:
            assert model["precisions"] == sorted(model["precisions"])
            assert model["size"] == sum(file["size"] for file in model["files"])
            assert all(list(file) == ["name", "size", "checksum", "sources"] for file in model["files"])


def test_stages_name_their_composite(zoo: Path) -> None:
    told = {model["name"]: model["composite_model_name"] for model in dump("--all", "--source", zoo)}
    assert told == {"c-1": "c", "c-2": "c", "rich": None}
    assert [model["name"] for model in dump("--name", "rich,c", "--source", zoo)] == [
        "rich",
        "c-1",
        "c-2",
    ]


def test_what_is_not_known_is_null(tmp_path: Path) -> None:
    """No file of this format lacks a size or a checksum, files of others may."""
    model = load(tmp_path, config())
    unknown = msgspec.structs.replace(model, files=(*model.files, ModelFile("x", None, None, ())))
    told = describe(unknown)
    assert told["size"] is None
    assert told["files"][1] == {"name": "x", "size": None, "checksum": None, "sources": []}


def test_passwords_are_not_told(tmp_path: Path) -> None:
    url = "https://user:pass-word@example.com/m?token=to-ken&part=1"
    model = load(tmp_path, with_file(source=[url, "m.bin"]))
    assert [file["sources"] for file in describe(model)["files"]] == [
        ["https://example.com/m?token=***&part=1", "m.bin"]
    ]
    assert model.files[0].origins[0] == Origin(url, (tmp_path / "public/m").as_uri() + "/")


def test_the_bytes_are_those_of_json_dump(zoo: Path) -> None:
    for arguments in (("--all",), ("--all", "--source", zoo), ("--name", "rich", "--source", zoo)):
        done = tool("info_dumper", *arguments)
        assert done.stderr == ""
        assert done.stdout.isascii()
        assert done.stdout == json.dumps(json.loads(done.stdout), indent=4) + "\n"


def checkout(folder: Path) -> Path:
    """The tools and models elsewhere, as another clone has them."""
    for name in ("tools", "models"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    return folder / "tools" / "info_dumper.py"


def test_the_bytes_are_the_same_everywhere(tmp_path: Path) -> None:
    other = checkout(tmp_path / "another clone ü")
    script = ROOT / "tools" / "info_dumper.py"
    ways: list[tuple[list[str | Path], dict[str, str]]] = [
        ([script], {"PYTHONHASHSEED": "0"}),
        ([script], {"PYTHONHASHSEED": "1", "LC_ALL": "C", "PYTHONUTF8": "0", "TZ": "Asia/Tokyo"}),
        (
            [script],
            {"PYTHONIOENCODING": "latin-1", "COLUMNS": "20", "NO_COLOR": "1", "FORCE_COLOR": "1"},
        ),
        (["-P", other] if sys.version_info >= (3, 11) else [other], {}),
        (["-O", "-m", "modelzoo", "info_dumper"], {"CI": "true"}),
    ]
    digests = set()
    for command, environ in ways:
        done = subprocess.run(
            [sys.executable, *map(str, command), "--all"],
            env={**os.environ, **environ},
            cwd=tmp_path,
            capture_output=True,
            check=True,
            timeout=60,
        )
        assert done.stderr == b""
        digests.add(hashlib.sha256(done.stdout).hexdigest())
    assert len(digests) == 1


def test_a_moved_catalog_is_told_alike(zoo: Path, tmp_path: Path) -> None:
    moved = tmp_path / "somewhere" / "else" / "zoo"
    shutil.copytree(zoo, moved)
    one = tool("info_dumper", "--all", "--source", zoo)
    two = tool("info_dumper", "--all", "--source", "../else/zoo", cwd=moved.parent)
    assert one.stdout == two.stdout
    assert str(tmp_path) not in one.stdout


def imported(name: str, *arguments: str) -> set[str]:
    """The modules that a run of a tool imports."""
    done = tool(name, *arguments, environ={"PYTHONPROFILEIMPORTTIME": "1"})
    return set(re.findall(r"^import time:.*\|\s*([\w.]+)$", done.stderr, re.M))


HEAVY = {"requests", "urllib3", "rich", "numpy", "sklearn", "onnxruntime", "obstore", "openvino"}


@pytest.mark.parametrize(
    ("name", "argument"),
    [(n, a) for n in ("info_dumper", "downloader") for a in ("--help", "--version", "--print_all")]
    + [("info_dumper", "--all")],
)
def test_nothing_heavy_is_imported(name: str, argument: str) -> None:
    modules = imported(name, argument)
    assert {"argparse", "msgspec"} <= modules  # the list is read rightly
    assert not modules & HEAVY


def test_print_all_prints_the_names_in_the_catalogs_order(zoo: Path) -> None:
    assert tool("info_dumper", "--print_all", "--source", zoo).stdout == "c-1\nc-2\nrich\n"
    names = [model["name"] for model in dump("--all")]
    for name in ("info_dumper", "downloader"):
        assert tool(name, "--print_all").stdout.split("\n") == [*names, ""]
    assert names[:2] == [
        "age-gender-recognition-retail-0013",
        "bert-small-uncased-whole-word-masking-squad-0002",
    ]
    narrowed = tool(
        "info_dumper", "--print_all", "--task", "detection", "--exclude", "*-00*"
    ).stdout.split()
    assert narrowed == [m["name"] for m in dump("--all", "--task", "detection", "--exclude", "*-00*")]
    assert narrowed


def test_lists_and_conditions(zoo: Path) -> None:
    patterns = zoo / "my.lst"
    patterns.write_text("\ufeff# mine\nrich # all of it\n\n'c-*' and more\n", encoding="utf-8")
    source = ("--source", zoo)
    assert [m["name"] for m in dump("--list", patterns, *source)] == ["rich", "c-1", "c-2"]
    assert [m["name"] for m in dump("--list", patterns, "--tag", "a", "--tag", "b", *source)] == [
        "rich"
    ]
    assert [m["name"] for m in dump("--all", "--exclude", "c-1", "--exclude", "rich", *source)] == [
        "c-2"
    ]
    (zoo / "none.lst").write_text("# nothing\n")
    assert tool("info_dumper", "--list", zoo / "none.lst", *source).stdout == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "status", "problem"),
    [
        ("", 2, "one of the arguments --all --name --list --print_all --url is required"),
        ("--all --name x", 2, "not allowed with argument"),
        ("--print_all --all", 2, "not allowed with argument"),
        ("--name a --list b", 2, "not allowed with argument"),
        ("--al", 2, "arguments"),
        ("--all --output_dir x", 2, "unrecognized arguments: --output_dir x"),
        ("--all -j8", 2, "unrecognized arguments: -j8"),
        ("--all junk", 2, "unrecognized arguments: junk"),
        ("--name", 2, "--name: expected one argument"),
        ("--all=yes", 2, "--all: ignored explicit argument"),
        ("--name ,", 2, "--name: expected at least one pattern"),
        ("--list nothing.lst", 2, "--list: nothing.lst: No such file"),
        ("--list .", 2, "--list: .: Is a directory"),
        ("--list latin.lst", 2, "--list: latin.lst: is not UTF-8 text"),
        ("--list open.lst", 2, "--list: open.lst: line 2: No closing quotation"),
        ("--name nobody", 1, 'No matching models: "nobody".'),
        ("--name prob-digits-cmm", 1, "Did you mean prob-digits-"),
        ("--name prob-digits-cnn,nobody", 1, 'No matching models: "nobody".'),
        ("--list wrong.lst", 1, 'No matching models: "nobody".'),
        ("--all --task mind_reading", 1, 'No matching models: --task "mind_reading".'),
        ("--all --exclude *", 1, "No models are left"),
        ("--all --source nothing", 1, 'No such source: "nothing".'),
        ("--all --source broken", 1, 'broken/m/model.yml: model "m": "files": is required'),
    ],
)
def test_bad_use_is_one_line(tmp_path: Path, arguments: str, status: int, problem: str) -> None:
    (tmp_path / "latin.lst").write_bytes(b"caf\xe9\n")
    (tmp_path / "open.lst").write_text("a\n'b\n")
    (tmp_path / "wrong.lst").write_text("nobody\n")
    add_model(tmp_path / "broken", "m", config(files=None))
    done = tool("info_dumper", *arguments.split(), cwd=tmp_path, check=status)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("info_dumper.py: ")
    assert problem in done.stderr


def test_what_is_new_in_a_catalog_is_a_warning(tmp_path: Path) -> None:
    add_model(tmp_path, "m", config(task_type="mind_reading"))
    done = tool("info_dumper", "--all", "--source", tmp_path)
    assert json.loads(done.stdout)[0]["task_type"] == "mind_reading"
    assert (
        done.stderr
        == f'warning: {tmp_path}/m/model.yml: model "m": "task_type": unknown value "mind_reading"\n'
    )
