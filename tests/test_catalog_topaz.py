"""Topaz's format: which files a folder names, also by another reading, and what is passed over."""

from __future__ import annotations

import codecs
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelzoo.catalog import topaz
from modelzoo.errors import SelectionError, UsageError
from modelzoo.model import Model
from modelzoo.variants import Variants, backends_of

from tests.topaz import AMQ, ENGINE, FP32, PROB, add_topaz, backend, topaz_model

CODES = {"RTX20": "705", "RTX30": "806", "RTX40": "809"}
RUNTIMES = {"Windows": "8500", "Linux": "8517"}


def load(folder: Path, warnings: list[str] | None = None) -> list[Model]:
    """The models; warnings fail the test unless they are collected."""
    return topaz.load(folder, "here", pytest.fail if warnings is None else warnings.append)


def one(folder: Path, document: Mapping[str, Any]) -> Model:
    (model,) = load(add_topaz(folder, document))
    return model


def names(model: Model, **wanted: Any) -> list[str]:
    return [file.name for file in Variants(**wanted).files_of(model)]


def test_the_files_of_each_backend(tmp_path: Path) -> None:
    model = one(tmp_path, PROB)
    assert names(model, backend="onnx") == [
        "prob-v3-fgnet-fp32-256x352-1x-ox.tz",
        "prob-v3-fgnet-fp32-256x352-2x-ox.tz",
        "prob-v3-fgnet-fp32-576x672-1x-ox.tz",
        "prob-v3-fgnet-fp32-576x672-2x-ox.tz",
    ]
    shared = ["prob-v3-fgnet-fp16-576x672-1x-ox.tz"]
    assert names(model, backend="onnx16") == names(model, backend="tensorrt-off") == shared
    for gpu, system, code in (("RTX20", "Windows", "8500-705"), ("RTX30", "Linux", "8517-806")):
        engine = [f"prob-v3-fgnet-fp16-576x672-1x-rt{code}.tz"]
        assert names(model, backend="tensorrt", gpu=gpu, system=system) == engine
    assert names(model, backend="tensorrt", gpu="RTX40", system="Linux") == []
    assert names(model, backend="tensorrt", gpu="RTX20", system="macOS") == []
    with pytest.raises(UsageError, match=r"depend on the GPU.*--gpu or TVAI_GPU_FAMILY"):
        names(model, backend="tensorrt")
    assert backends_of([model]) == ["onnx", "onnx16", "tensorrt", "tensorrt-off"]
    assert {f.name: f.variant for f in model.files}[shared[0]] == "onnx16,tensorrt-off"


def test_what_a_model_says_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TVAI_MODEL_DATA_DIR", "/where/they/go")
    model = one(tmp_path, PROB)
    assert (model.id, model.name, model.version) == ("prob-3", "prob-3", "3")
    assert model.description == "Proteus: Enhances. For all."
    assert (model.subdirectory, model.home) == ("", "/where/they/go")
    assert (model.retries.attempts, model.retries.cubic) == (5, True)
    file = model.files[0]
    assert file.origins[0].url == f"https://veai-models.topazlabs.com/{file.name}"
    assert (file.size, file.checksum) == (None, None)


@pytest.mark.parametrize(
    ("extra", "description"),
    [
        ({}, "prob"),
        ({"displayName": "Proteus"}, "Proteus"),
        ({"gui": {}, "displayName": "Proteus"}, "Proteus"),
        ({"gui": {"desc": "Good"}, "displayName": None}, "prob: Good"),
        ({"gui": {"name": "P", "desc": ""}, "displayName": "Q"}, "P"),
        ({"gui": None, "unknown": [1, {"x": None}]}, "prob"),
    ],
)
def test_names_for_people(tmp_path: Path, extra: dict[str, Any], description: str) -> None:
    document = topaz_model("prob", 3, {"onnx": backend(FP32)}, **extra)
    assert one(tmp_path, document).description == description


def test_sixteen_bits_weigh_half(tmp_path: Path) -> None:
    backends = {name: backend(f"{name}.tz") for name in ("onnx", "onnx16", "openvino8")}
    model = one(tmp_path, topaz_model("m", 1, backends))
    assert {f.variant: f.estimate for f in model.files} == {
        "onnx": 91 << 20, "onnx16": 91 << 19, "openvino8": 91 << 20,
    }  # fmt: skip


@pytest.mark.parametrize(
    "backends",
    [
        {},
        {"onnx": {}},
        {"onnx": {"scales": {}}},
        {"onnx": {"scales": {"1": {"nets": [FP32]}}}},
        {"onnx": {"scales": {"1": {"nets": [FP32], "blocks": []}}}},
        {"onnx": {"scales": {"1": {"nets": [], "blocks": [1, 2]}}}},
        {"tensorrt": backend(ENGINE, capabilities=[900])},
    ],
)
def test_a_model_without_files_is_not_listed(tmp_path: Path, backends: dict[str, Any]) -> None:
    assert load(add_topaz(tmp_path, topaz_model("m", 1, backends))) == []


def test_one_file_named_twice_counts_once(tmp_path: Path) -> None:
    document = topaz_model("m", 1, {"onnx": backend("x.tz", "x.tz", blocks=(1, 2, 3, 4), scales="124")})
    assert [file.name for file in one(tmp_path, document).files] == ["m-v1-x.tz"]


def test_other_bytes_of_the_same_document(tmp_path: Path) -> None:
    text = json.dumps(AMQ, indent=4).encode()
    (tmp_path / "a.json").write_bytes(codecs.BOM_UTF8 + text)
    (tmp_path / "._a.json").write_bytes(b"\0\5\26\7 hidden: what macOS notes about it")
    (tmp_path / "b.JSON").write_text(json.dumps(PROB))
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "c.json").write_text(json.dumps(topaz_model("c", 1, {})))
    assert [model.name for model in load(tmp_path)] == ["amq-13", "prob-3"]


def test_two_files_about_one_model(tmp_path: Path) -> None:
    add_topaz(tmp_path, AMQ)
    (tmp_path / "amq-13 (copy).json").write_text(json.dumps(AMQ))
    warnings: list[str] = []
    (model,) = load(tmp_path, warnings)
    assert model.name == "amq-13"
    first, second = tmp_path / "amq-13 (copy).json", tmp_path / "amq-13.json"
    assert warnings == [f'{second}: model "amq-13": is also declared in {first}']


def test_a_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for url, begin in (
        ("http://mirror:8080/topaz", "http://mirror:8080/topaz/"),
        ("https://mirror/", "https://mirror/"),
        ("file:///srv/topaz", "file:///srv/topaz/"),
    ):
        monkeypatch.setenv("MODELZOO_TOPAZ_URL", url)
        document = topaz_model("m", 1, {"onnx": backend("a b#[X]%.tz")})
        (file,) = one(tmp_path, document).files
        assert file.origins[0].url == begin + "m-v1-a%20b%23%5BX%5D%25.tz"
    for url in (
        "mirror",
        "ftp://mirror/",
        "http://",
        "http://[x/",
        "https://mirror/?x=",
        "https://m/#x",
    ):
        monkeypatch.setenv("MODELZOO_TOPAZ_URL", url)
        with pytest.raises(UsageError, match="MODELZOO_TOPAZ_URL: expected a URL of a folder"):
            load(tmp_path)


def test_the_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = tmp_path / "Topaz Labs LLC" / "Topaz Video AI" / "models"
    windows.mkdir(parents=True)
    monkeypatch.setattr("sys.platform", "win32")
    assert topaz.default_folder({"PROGRAMDATA": str(tmp_path)}) == windows
    assert topaz.default_folder({"TVAI_MODEL_DIR": str(tmp_path), "PROGRAMDATA": "x"}) == tmp_path
    for platform, folder in (
        ("linux", "/opt/TopazVideoAIBETA/models"),
        ("darwin", "/Applications/Topaz Video AI.app/Contents/Resources/models"),
    ):
        monkeypatch.setattr("sys.platform", platform)
        monkeypatch.setattr(Path, "is_dir", lambda path: False)
        with pytest.raises(SelectionError, match=folder):
            topaz.default_folder({})
    with pytest.raises(SelectionError, match="TVAI_MODEL_DIR names /nowhere"):
        topaz.default_folder({"TVAI_MODEL_DIR": "/nowhere"})


TEMPLATES = st.lists(
    st.sampled_from(["[H]", "[W]", "[S]", "[R]", "[C]", "x", "-fp16", "0"]), max_size=6
)
SCALES = st.fixed_dictionaries(
    {},
    optional={
        "nets": st.lists(TEMPLATES.map(lambda parts: "".join(parts) + ".tz"), max_size=3),
        "blocks": st.lists(st.tuples(*[st.integers(0, 4096)] * 2), max_size=3).map(
            lambda pairs: [number for pair in pairs for number in pair]
        ),
    },
)
BACKENDS = st.dictionaries(
    st.sampled_from(["onnx", "onnx16", "tensorrt", "tensorrt-off"]),
    st.fixed_dictionaries(
        {},
        optional={
            "scales": st.dictionaries(st.sampled_from("124"), SCALES, max_size=3),
            "capabilities": st.lists(st.sampled_from([705, 806, 809, 1000]), max_size=3),
        },
    ),
)


def expected(document: dict[str, Any], backend: str, gpu: str, system: str) -> set[str]:
    """The files by the words of the specification."""
    part = document["backends"].get(backend, {})
    listed = part.get("capabilities", [])
    if listed and int(CODES[gpu]) not in listed:
        return set()
    found = set()
    for scale, lists in part.get("scales", {}).items():
        sizes = lists.get("blocks", [])
        for place in range(0, len(sizes), 2):
            for net in lists.get("nets", []):
                name = net.replace("[W]", str(sizes[place])).replace("[H]", str(sizes[place + 1]))
                name = name.replace("[S]", scale).replace("[R]", RUNTIMES[system])
                name = name.replace("[C]", CODES[gpu])
                found.add(f"{document['shortName']}-v{document['version']}-{name}")
    return found


@settings(deadline=None)  # a disk can be busy
@given(BACKENDS, st.sampled_from(sorted(CODES)), st.sampled_from(sorted(RUNTIMES)))
def test_names_are_those_of_an_independent_reading(
    backends: dict[str, Any], gpu: str, system: str
) -> None:
    document = topaz_model("prob", 3, backends)
    with tempfile.TemporaryDirectory() as folder:
        models = load(add_topaz(Path(folder), document))
    for name in ("onnx", "onnx16", "tensorrt", "tensorrt-off", "coreml"):
        narrowed = Variants(backend=name, gpu=gpu, system=system).narrowed(models)
        found = [file.name for model in narrowed for file in model.files]
        assert set(found) == expected(document, name, gpu, system)
        assert found == sorted(set(found))
