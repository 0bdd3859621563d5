"""Topaz models folders as nobody should find them: every damage is a warning that names the file."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelzoo.catalog import topaz
from modelzoo.catalog.topaz.config import MAX_FILES
from modelzoo.files.json_documents import MAX_BYTES
from modelzoo.files.paths import safe_path

from tests.conftest import tool
from tests.topaz import AMQ, FP32, add_topaz, backend, topaz_model

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n"
HUGE = 12345
"""Stands for a number of more digits than Python converts, which json.dumps could not write."""
GOOD = {"onnx": backend(FP32)}

DAMAGES = {
    b"": "is not valid JSON",
    b"\0" * 100: "is not valid JSON",
    b"{": "is not valid JSON",
    b'{"shortName": "x"} more': "is not valid JSON",
    b'{"shortName": "\xff", "version": 1, "backends": {}}': "is not valid JSON",
    b'{"shortName": NaN}': "is not valid JSON",
    b"<!DOCTYPE html>": "is not valid JSON",
    "{}".encode("utf-16"): "is not valid JSON",
    b"[" * 300_000: "nested too deeply",
    b'{"shortName": "x", "version": 1, "backends": {"onnx": %s}}' % (b"[" * 9000 + b"]" * 9000): "deep",
    LFS: "is a Git LFS pointer",
    b" " * (MAX_BYTES + 1): f"is larger than {MAX_BYTES} bytes",
}
"""Bytes in place of a model -> what the warning says."""

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"shortName": 5}, '"shortName": Expected `str`'),
    ({"shortName": None}, '"shortName": Expected `str`'),
    ({"shortName": ""}, '"shortName": may hold only'),
    ({"shortName": "-o"}, '"shortName": may hold only'),
    ({"shortName": "../x"}, '"shortName": may hold only'),
    ({"shortName": "a:b"}, '"shortName": may hold only'),
    ({"shortName": "a/b"}, '"shortName": may hold only'),
    ({"shortName": "a*"}, '"shortName": may hold only'),
    ({"shortName": "é"}, '"shortName": may hold only'),
    ({"shortName": "x" * 300}, '"shortName": unsafe name'),
    ({"version": True}, '"version": Expected'),
    ({"version": 1.5}, '"version": Expected'),
    ({"version": None}, '"version": Expected'),
    ({"version": ".."}, '"shortName": unsafe name'),
    ({"version": "1/../../x"}, '"shortName": may hold only'),
    ({"backends": []}, '"backends": Expected `object`'),
    ({"backends": {"onnx": None}}, '"backends[...]": Expected `object`'),
    ({"backends": {"onnx": {"scales": {"1": []}}}}, "Expected `object`"),
    ({"backends": {"onnx": {"scales": {"1": {"nets": "x"}}}}}, "Expected `array`"),
    ({"backends": {"onnx": {"scales": {"1": {"blocks": [1, "2"]}}}}}, "Expected `int`"),
    ({"backends": {"onnx": {"scales": {"1": {"blocks": [1.5, 2]}}}}}, "Expected `int`"),
    ({"backends": {"onnx": backend(FP32, blocks=(1, -2))}}, "Expected `int` >= 0"),
    ({"backends": {"onnx": backend(FP32, blocks=(1, 2, 3))}}, "blocks\": expected pairs"),
    ({"backends": {"onnx": backend(FP32, capabilities="all")}}, "Expected `array`"),
    ({"backends": {"../x": backend(FP32)}}, "is no name of a backend"),
    ({"backends": {"a,b": backend(FP32)}}, "is no name of a backend"),
    ({"backends": {"\x1b[2J\n" * 50: backend(FP32)}}, "is no name of a backend"),
    ({"backends": {"onnx": backend("[S].tz", scales=("\x1b[2J\n",))}}, "unsafe name"),
    ({"backends": {"FP16": backend(FP32)}}, "is no name of a backend"),
    ({"backends": {"x" * 99: backend(FP32)}}, "is no name of a backend"),
    ({"backends": {"onnx": backend("/../../x")}}, "unsafe name"),
    ({"backends": {"onnx": backend("a/b")}}, "must not hold a slash"),
    ({"backends": {"onnx": backend("a\\b")}}, "backslash"),
    ({"backends": {"onnx": backend("a:b")}}, "unsafe name"),
    ({"backends": {"onnx": backend("a\x00b")}}, "unsafe name"),
    ({"backends": {"onnx": backend("x.download")}}, "marks files in flight"),
    ({"backends": {"onnx": backend("x.")}}, "unsafe name"),
    ({"backends": {"onnx": backend("x" * 300)}}, "unsafe name"),
    ({"backends": {"onnx": backend("[S].tz", scales=("../1",))}}, "unsafe name"),
    ({"backends": {"onnx": backend("a.tz", "A.tz")}}, "cannot both exist"),
    ({"backends": {"onnx": backend(FP32, blocks=(10**400, 1))}}, "longer than 230 bytes"),
    ({"backends": {"onnx": backend(FP32, blocks=(HUGE, 1))}}, "out of range"),
    ({"version": HUGE}, "out of range"),
    ({"gui": "Proteus"}, '"gui": Expected'),
    ({"displayName": {}}, '"displayName": Expected'),
]  # fmt: skip


def load(folder: Path) -> tuple[list[str], list[str]]:
    """The names of the models, and the warnings."""
    warnings: list[str] = []
    models = topaz.load(folder, "here", warnings.append)
    return [model.name for model in models], warnings


@pytest.mark.parametrize("data", DAMAGES, ids=range(len(DAMAGES)))
def test_a_damaged_file_is_named_and_ends_nothing(tmp_path: Path, data: bytes) -> None:
    add_topaz(tmp_path, AMQ)
    path = tmp_path / "broken-1.json"
    path.write_bytes(data)
    names, (warning,) = load(tmp_path)
    assert names == ["amq-13"]
    assert warning.startswith(f"{path}: ")
    assert DAMAGES[data] in warning
    assert "\n" not in warning
    assert len(warning) < 500


@pytest.mark.parametrize(("change", "problem"), WRONG, ids=range(len(WRONG)))
def test_what_breaks_the_rules_is_named_and_left_out(
    tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    add_topaz(tmp_path, AMQ)
    path = tmp_path / "wrong.json"
    text = json.dumps({**topaz_model("prob", 3, GOOD), **change})
    path.write_text(text.replace(str(HUGE), "9" * 5000))
    names, warnings = load(tmp_path)
    (warning,) = warnings
    assert names == ["amq-13"]
    assert warning.startswith(f"{path}: ")
    assert problem in warning
    assert len(warning) < 800
    assert warning.isprintable()


def test_device_names_are_no_danger_where_they_are_only_a_beginning(tmp_path: Path) -> None:
    add_topaz(tmp_path, topaz_model("CON", 1, {"onnx": backend("CON")}))
    (model,) = topaz.load(tmp_path, "here", pytest.fail)
    assert [file.name for file in model.files] == ["CON-v1-CON"]


@pytest.mark.parametrize(
    "make",
    [
        lambda path: os.mkfifo(path),
        lambda path: path.symlink_to(path.name),
        lambda path: path.symlink_to("nothing"),
        lambda path: path.symlink_to("/dev/zero"),
    ],
    ids=["pipe", "loop", "dangling", "device"],
)
def test_what_is_no_file(tmp_path: Path, make: Callable[[Path], None]) -> None:
    add_topaz(tmp_path, AMQ)
    make(tmp_path / "odd.json")
    names, (warning,) = load(tmp_path)
    assert names == ["amq-13"]
    assert warning.startswith(f"{tmp_path / 'odd.json'}: ")


def test_a_million_entries(tmp_path: Path) -> None:
    add_topaz(tmp_path, AMQ)
    many = {"onnx": backend("x.tz", blocks=[1] * 1_000_000)}
    wide = {"onnx": backend(*(f"[H]-{n}" for n in range(1000)), blocks=range(20_000))}
    keys = {"onnx": backend("[S]-[H]", scales=map(str, range(50_000)))}
    for name, backends in (("many", many), ("wide", wide), ("keys", keys)):
        (tmp_path / f"{name}.json").write_text(json.dumps(topaz_model(name, 1, backends)))
    names, warnings = load(tmp_path)
    assert names == ["amq-13"]
    assert [f"names more than {MAX_FILES} files" in warning for warning in warnings] == [True] * 3


def test_many_files_that_are_no_models(tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / f"{number}.json").write_text("{}")
    assert load(tmp_path) == ([], [f"{tmp_path}: holds no models of Topaz Video AI"])
    assert not topaz.recognises(tmp_path)


def test_all_are_pointers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source of the variable is there; that it has nothing is said, and ends nothing."""
    (tmp_path / "prob-3.json").write_bytes(LFS)
    monkeypatch.setenv("TVAI_MODEL_DIR", str(tmp_path))
    done = tool("info_dumper", "--print_all")
    assert "resnet" in done.stdout
    assert "prob-3.json: is a Git LFS pointer" in done.stderr
    assert "holds no models of Topaz Video AI" in done.stderr


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)  # a disk can be busy
@given(
    st.sampled_from(
        ["shortName", "version", "backends", "gui", "displayName", "onnx", "scales", "nets"]
    ),
    VALUES,
)
def test_any_value_anywhere_is_taken_or_named(key: str, value: object) -> None:
    document: dict[str, Any] = {**topaz_model("prob", 3, {"onnx": backend(FP32)}), "gui": {"name": "P"}}
    places = {
        "onnx": document["backends"],
        "scales": document["backends"]["onnx"],
        "nets": document["backends"]["onnx"]["scales"]["1"],
    }
    places.get(key, document)[key] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.json")
        path.write_text(json.dumps(document))
        warnings: list[str] = []
        for model in topaz.load(Path(folder), "here", warnings.append):
            for file in model.files:
                assert safe_path(file.name).name == file.name
        assert len(warnings) in (0, 2)  # the file, and that there is no model at all
        assert all(w.startswith(f"{Path(folder).resolve()}") for w in warnings)


@settings(deadline=None)  # a disk can be busy
@given(st.binary(max_size=200))
def test_any_bytes_are_taken_or_named(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "m.json").write_bytes(data)
        names, warnings = load(Path(folder))
        assert names == []
        assert len(warnings) in (1, 2)
