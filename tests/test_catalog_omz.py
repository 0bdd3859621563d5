"""model.yml: every key of Open Model Zoo's releases, this project's own, and what follows from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from modelzoo.catalog import omz
from modelzoo.catalog.omz.config import ARCHIVE_FORMATS
from modelzoo.checksum import LENGTHS
from modelzoo.errors import CatalogError
from modelzoo.model import (
    FRAMEWORKS,
    KNOWN_PRECISIONS,
    TASK_TYPES,
    Origin,
    RegexReplace,
    UnpackArchive,
)
from modelzoo.variants import Variants

from tests.omz import DATA, ENTRY, HEX, URL, config, ir, load, with_file, with_names, with_step

INT8 = ("FP16-INT8", "FP32-INT8")


def test_every_key(tmp_path: Path) -> None:
    document = config(
        files=[{**ENTRY, "original_source": "https://example.com/where/it/was"}],
        description="First paragraph.\n\nSecond, with PyTorch* & more!",
        framework="pytorch",
        quantizable=True,
        conversion_to_onnx_args=["--model-path=$dl_dir"],
        postprocessing=[{"$type": "unpack_archive", "file": "model.onnx", "format": "zip"}],
        input_info=[{"name": "image", "shape": [1, 3, 224, 224], "layout": "NCHW"}, {"name": "x"}],
        model_info={"free": {"form": [1, None]}},
        version="1.0",
        tags=["a", "b"],
    )
    model = load(tmp_path, document, strict=True)
    assert (model.name, model.id, model.source) == ("m", "m", "here")
    assert (model.subdirectory, model.composite) == ("public/m", None)
    assert model.config_dir == str(tmp_path / "public/m")
    assert model.description == document["description"]
    assert (model.framework, model.task_type) == ("pytorch", "classification")
    assert model.license_url == "https://example.com/LICENSE"
    assert model.precisions == ("FP16", "FP32")
    assert model.quantization_output_precisions == INT8
    assert model.model_optimizer_args == ("--input_model=$dl_dir/model.onnx",)
    assert model.conversion_to_onnx_args == ("--model-path=$dl_dir",)
    assert model.postprocessing == (UnpackArchive("model.onnx", "zip"),)
    assert model.input_info == (
        {"name": "image", "shape": [1, 3, 224, 224], "layout": "NCHW"},
        {"name": "x"},
    )
    assert model.model_info == {"free": {"form": [1, None]}}
    assert (model.version, model.tags) == ("1.0", ("a", "b"))
    (file,) = model.files
    assert (file.name, file.size, file.variant) == ("model.onnx", len(DATA), None)
    assert (str(file.checksum), file.origins[0].url) == (f"sha384:{HEX['sha384']}", URL)


def test_defaults(tmp_path: Path) -> None:
    model = load(tmp_path, ir("FP16/m.xml", "FP16/m.bin"), strict=True)
    assert model.model_optimizer_args is None
    assert model.conversion_to_onnx_args is None
    assert (model.quantization_output_precisions, model.postprocessing, model.tags) == ((), (), ())
    assert (model.version, model.input_info, model.model_info) == (None, (), {})


@pytest.mark.parametrize(
    ("changes", "algorithm"),
    [
        ({"checksum": None, "sha256": HEX["sha256"]}, "sha256"),
        ({"checksum": None, "sha256": HEX["sha256"].upper()}, "sha256"),
        ({"checksum": HEX["sha384"]}, "sha384"),
        *(({"checksum": {"$type": name, "value": HEX[name]}}, name) for name in LENGTHS),
    ],
)
def test_checksums(tmp_path: Path, changes: dict[str, Any], algorithm: str) -> None:
    checksum = load(tmp_path, with_file(**changes)).files[0].checksum
    assert str(checksum) == f"{algorithm}:{HEX[algorithm]}"


@pytest.mark.parametrize(
    ("source", "urls"),
    [
        (URL, [URL]),
        ({"$type": "http", "url": URL}, [URL]),
        ({"$type": "google_drive", "id": "1aB_-"}, ["gdrive://1aB_-"]),
        ("file:///opt/x", ["file:///opt/x"]),
        (
            [URL, {"$type": "google_drive", "id": "x"}, "m.bin"],
            [URL, "gdrive://x", "/public/m/m.bin"],
        ),
        ("m.bin", ["/public/m/m.bin"]),
        ({"$type": "http", "url": "m.bin"}, ["/public/m/m.bin"]),
        ("./a/b/../m.bin", ["/public/m/a/m.bin"]),
        ("../other/m.bin", ["/public/other/m.bin"]),
        ("../../m.bin", ["/m.bin"]),
        ("my%20model.bin?v=1", ["/public/m/my%20model.bin?v=1"]),
    ],
)
def test_sources(tmp_path: Path, source: Any, urls: list[str]) -> None:
    origins = load(tmp_path, with_file(source=source)).files[0].origins
    here, there = tmp_path.as_uri(), "https://mirror.example/zoo"
    assert [origin.url for origin in origins] == [here + u if u[0] == "/" else u for u in urls]
    moved = [Origin(origin.written, f"{there}/public/m/").url for origin in origins]
    assert moved == [there + u if u[0] == "/" else u for u in urls]


@pytest.mark.parametrize("size", [0, 1, 2**31, 2**53, 2**70])
def test_sizes(tmp_path: Path, size: int) -> None:
    assert load(tmp_path, with_file(size=size)).files[0].size == size


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (with_step("regex_replace"), RegexReplace("model.onnx", "a", "b", 0)),
        (with_step("regex_replace", count=2), RegexReplace("model.onnx", "a", "b", 2)),
        (with_step("regex_replace", pattern=r"\.(x)"), RegexReplace("model.onnx", r"\.(x)", "b")),
        (with_step("regex_replace", pattern="[[a]"), RegexReplace("model.onnx", "[[a]", "b")),
        *(
            (with_step("unpack_archive", format=f), UnpackArchive("model.onnx", f))
            for f in ARCHIVE_FORMATS
        ),
        (with_step("unpack_archive", file="came/out.tar"), UnpackArchive("came/out.tar", "zip")),
    ],
)
def test_postprocessing(tmp_path: Path, document: Any, expected: Any) -> None:
    assert load(tmp_path, document).postprocessing == (expected,)


PYTORCH = {"framework": "pytorch", "conversion_to_onnx_args": ["--x"]}


@pytest.mark.parametrize(
    ("document", "precisions"),
    [
        (config(), ("FP16", "FP32")),
        (config(**PYTORCH), ("FP16", "FP32")),
        (config(quantized="INT8"), INT8),
        (config(framework="dldt"), ("FP16", "FP32")),
        (with_names("FP16-INT8/m.xml"), ("FP16", "FP32")),
        (ir(), ()),
        (ir("FP32/m.bin", "FP32/m.xml"), ("FP32",)),
        (ir("FP32/m.bin", "FP32/m.xml", "FP16/m.xml", "FP16/m.bin"), ("FP16", "FP32")),
        (ir(*(f"{p}/m.{e}" for p in KNOWN_PRECISIONS for e in ("xml", "bin"))), KNOWN_PRECISIONS),
        (ir("FP16/m.xml", "FP16/m.bin", "FP16/m.json", "vocab.txt", "data/x"), ("FP16",)),
        (ir("FP16/deeper/m.xml", "FP64/m.xml", "fp16/m.xml", "m.xml"), ()),
    ],
)
def test_precisions(tmp_path: Path, document: Any, precisions: tuple[str, ...]) -> None:
    assert load(tmp_path, document, strict=True).precisions == precisions


def test_files_outside_precision_folders_always_belong(tmp_path: Path) -> None:
    names = [
        "FP16/m.xml",
        "FP16/m.bin",
        "FP32/m.xml",
        "FP32/m.bin",
        "FP16/sub/x",
        "INT8/y",
        "vocab.txt",
    ]
    model = load(tmp_path, ir(*names))
    for variants, wanted in (
        (Variants(), names),
        (Variants(frozenset({"FP32"})), names[2:]),
        (Variants(frozenset({"FP16-INT8"})), names[4:]),
        (Variants(backend="onnx16", gpu="RTX30"), names),
    ):
        assert [f.name for f in variants.files_of(model)] == wanted
    assert [f.variant for f in model.files] == ["FP16", "FP16", "FP32", "FP32", None, None, None]


@pytest.mark.parametrize("task", TASK_TYPES)
def test_known_task_types(tmp_path: Path, task: str) -> None:
    assert load(tmp_path, config(task_type=task), strict=True).task_type == task


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_known_frameworks(tmp_path: Path, framework: str) -> None:
    needs_onnx = framework in ("pytorch", "caffe2")
    document = config(framework=framework, conversion_to_onnx_args=["--x"] if needs_onnx else None)
    assert load(tmp_path, document, strict=True).framework == framework


@pytest.mark.parametrize(
    ("document", "key", "problem"),
    [
        (config(task_type="mind_reading"), "task_type", 'unknown value "mind_reading"'),
        (config(framework="paddle"), "framework", 'unknown value "paddle"'),
        (config(**{**PYTORCH, "framework": "jax"}), "framework", 'unknown value "jax"'),
        (config(framework="x", model_optimizer_args=None), "framework", 'unknown value "x"'),
        (config(licence="x"), "licence", "is not a known key"),
        (with_file(mode="x"), "files[0].mode", "is not a known key"),
    ],
)
def test_what_a_later_release_may_add(tmp_path: Path, document: Any, key: str, problem: str) -> None:
    """It is a warning in a catalog of somebody else, and a mistake in ours."""
    warnings: list[str] = []
    load(tmp_path, document, warnings=warnings)
    assert warnings == [f'{tmp_path}/public/m/model.yml: model "m": "{key}": {problem}']
    with pytest.raises(CatalogError) as caught:
        load(tmp_path, document, strict=True)
    assert str(caught.value) == warnings[0]


def test_a_file_of_a_later_release(tmp_path: Path) -> None:
    """The shape of a file of 2022.3, with comments, flow lists and its way to write text."""
    document = f"""# Copyright
description: >-
  The "m" model is pre-trained in PyTorch* format, see <https://example.com/x?a=1&b=2>.

  Its input is "1, 3, 224, 224" in "RGB" order!
task_type: classification
files:
  - name: timm-0.5.4-py3-none-any.whl
    size: 431537
    checksum: {HEX["sha384"]}
    original_source: https://example.com/timm.whl
    source: https://storage.example.com/timm.whl
  - name: models/m.pth
    size: 0
    checksum: {HEX["sha384"]}
    source:
      $type: google_drive
      id: 1aB
postprocessing:
  - $type: unpack_archive
    format: zip
    file: timm-0.5.4-py3-none-any.whl
  - $type: regex_replace
    file: timm/models/layers.py
    pattern: 'from (\\.a|\\.b)'
    replacement: '# \\g<0>'
conversion_to_onnx_args:
  - --model-param=weights=r"$dl_dir/models/m.pth"
input_info:
  - name: image
    shape: [1, 3, 224, 224]
    layout: NCHW
model_optimizer_args:
  - --mean_values=image[123.675,116.28,103.53]
framework: pytorch
quantizable: yes
license: https://example.com/LICENSE
"""
    model = load(tmp_path, document, strict=True)
    assert [file.size for file in model.files] == [431537, 0]
    assert model.quantization_output_precisions == INT8
    assert model.description.split("\n") == [
        'The "m" model is pre-trained in PyTorch* format, see <https://example.com/x?a=1&b=2>.',
        'Its input is "1, 3, 224, 224" in "RGB" order!',
    ]
    assert model.postprocessing[1] == RegexReplace(
        "timm/models/layers.py", r"from (\.a|\.b)", r"# \g<0>"
    )


def test_an_empty_list_of_conversion_arguments_is_none(tmp_path: Path) -> None:
    assert load(tmp_path, config(conversion_to_onnx_args=[])).conversion_to_onnx_args is None


def test_is_read_from_the_tree_only(tmp_path: Path) -> None:
    """What lies beside the files of the format is nobody's business."""
    folder = tmp_path / "public/m"
    folder.mkdir(parents=True)
    for name in ("accuracy-check.yml", "quantization.yml", "README.md", "model.yml.orig"):
        (folder / name).write_text("[not, closed")
    assert load(tmp_path, config()).name == "m"
    assert omz.recognises(tmp_path)
