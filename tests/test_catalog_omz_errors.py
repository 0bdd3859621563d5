"""model.yml that is wrong or hostile: every error leads to the file, the model and the key."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.description import describe
from modelzoo.errors import CatalogError
from modelzoo.model import Model

from tests.omz import ENTRY, HEX, MODEL, URL, config, ir, load, with_file, with_names, with_step


def refused(root: Path, document: Any, key: str, problem: str) -> None:
    """The config does not load, and the error leads to the key."""
    with pytest.raises(CatalogError) as caught:
        load(root, document, warnings=[])
    error = caught.value
    assert (error.file, error.model) == (str(root / MODEL / "model.yml"), "m")
    assert error.key == key
    assert problem in error.problem
    where = f'{error.file}: model "m": ' + (f'"{key}": ' if key else "")
    assert str(error) == where + error.problem
    assert str(error).isprintable()


LEAVES = "leads out of the catalog"
UNSAFE = "leads to an unsafe path"


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("../../../secret", LEAVES),
        ("a/../../../../secret", LEAVES),
        ("/etc/passwd", LEAVES),
        ("//evil.example/m.bin", LEAVES),
        ("///etc/passwd", LEAVES),
        ("%2e%2e/%2e%2e/%2e%2e/secret", UNSAFE),
        ("..%2f..%2f..%2fsecret", UNSAFE),
        ("..%5c..%5c..%5csecret", UNSAFE),
        ("..\\..\\..\\secret", UNSAFE),
        ("a%00b", UNSAFE),
        (".", UNSAFE),
        ("?query", UNSAFE),
        ("#fragment", UNSAFE),
        ("CON", UNSAFE),
        ("http://[bad/x", "cannot be used: Invalid IPv6 URL"),
        ("//[bad/x", "cannot be used: Invalid IPv6 URL"),
        ("ftp://me:S3CRET@h/x", '"ftp://h/x" cannot be used: no store for URLs of scheme "ftp"'),
        ({"$type": "http", "url": "c:/models/x"}, 'no store for URLs of scheme "c", known are az, '),
        ([URL, "htp://h/x"], 'no store for URLs of scheme "htp"'),
        ("", "expected a URL"),
        ([], "expected at least one source"),
        ([[URL]], "expected a URL"),
        (None, "is required"),
        (5, "expected a URL"),
        ({"url": URL}, "known $type"),
        ({"$type": "ftp", "url": URL}, "known $type"),
        ({"$type": "http"}, "known $type"),
        ({"$type": "http", "url": 5}, "known $type"),
        ({"$type": "google_drive", "id": "../x"}, "known $type"),
        ({"$type": "google_drive", "id": "ид"}, "known $type"),
        ({"$type": "google_drive", "id": 5}, "known $type"),
        ([URL, "../../../secret"], LEAVES),
    ],
)
def test_sources(tmp_path: Path, source: Any, problem: str) -> None:
    refused(tmp_path, with_file(source=source), "files[0].source", problem)


def test_a_catalog_beside_this_one_is_outside_of_it(tmp_path: Path) -> None:
    document = with_file(source="../../../zoo2/m.bin")
    refused(tmp_path / "zoo", document, "files[0].source", LEAVES)


def steps(kind: str, key: str, value: Any, problem: str) -> tuple[Any, str, str]:
    return with_step(kind, **{key: value}), f"postprocessing[0].{key}", problem


@pytest.mark.parametrize(
    ("document", "key", "problem"),
    [
        steps("regex_replace", "$type", "run_script", "Invalid value 'run_script'"),
        steps("regex_replace", "pattern", None, "Expected `str`, got `null`"),
        steps("regex_replace", "pattern", "(open", "is not a regular expression: missing )"),
        steps("regex_replace", "pattern", "(" * 5000, "is not a regular expression"),
        steps("regex_replace", "pattern", "a{99999999999}", "is not a regular expression"),
        steps("regex_replace", "count", -1, "Expected `int` >= 0"),
        steps("regex_replace", "file", "../x", "must not have a part '..'"),
        steps("unpack_archive", "file", "/x", "must not be absolute"),
        steps("unpack_archive", "file", None, "Expected `str`, got `null`"),
        steps(
            "unpack_archive",
            "format",
            "rar",
            'expected one of zip, tar, gztar, bztar, xztar, got "rar"',
        ),
        (config(postprocessing=[{"file": "x"}]), "postprocessing[0].$type", "is required"),
        (config(postprocessing=[{"$type": "regex_replace"}]), "postprocessing[0].file", "is required"),
    ],
)
def test_postprocessing(tmp_path: Path, document: Any, key: str, problem: str) -> None:
    refused(tmp_path, document, key, problem)


@pytest.mark.parametrize("key", ["description", "framework", "task_type", "license", "files"])
@pytest.mark.parametrize(("value", "problem"), [(None, "is required"), (5, "got `int`")])
def test_required(tmp_path: Path, key: str, value: Any, problem: str) -> None:
    refused(tmp_path, config(**{key: value}), key, problem)


NO_MO = {"model_optimizer_args": None}
PYTORCH = {"framework": "pytorch", "conversion_to_onnx_args": ["--x"]}


def inputs(**changes: Any) -> dict[str, Any]:
    return config(input_info=[{"name": "x", **changes}])


@pytest.mark.parametrize(
    ("document", "key", "problem"),
    [
        ("", "", "expected a mapping"),
        ("[a, b]", "", "expected a mapping"),
        ("just text", "", "expected a mapping"),
        ("{1: 2}", "", "Expected `str`"),
        (config(name="m"), "name", "is not allowed: the folder's path says it"),
        (config(subdirectory="x"), "subdirectory", "is not allowed: the folder's path says it"),
        (config(version=1.5), "version", "Expected `str | null`, got `float`"),
        (config(tags="a"), "tags", "Expected `array`, got `str`"),
        (config(tags=["a", 1]), "tags[1]", "Expected `str`, got `int`"),
        (config(quantizable="true"), "quantizable", "Expected `bool`, got `str`"),
        (config(quantized="FP16"), "quantized", 'expected INT8, got "FP16"'),
        (config(license="MIT"), "license", 'expected a URL, got "MIT"'),
        (config(license="javascript:alert(1)"), "license", "expected a URL"),
        (config(input_info=[{"shape": [1]}]), "input_info[0].name", "is required"),
        (inputs(shape=[1, 0.5]), "input_info[0].shape[1]", "got `float`"),
        (inputs(layout=["N"]), "input_info[0].layout", "got `array`"),
        (config(model_info=[1]), "model_info", "Expected `object`, got `array`"),
        (config(model_info={1: 2}), "model_info", "Expected `str`, got `int`"),
        (config(**NO_MO), "model_optimizer_args", "is required with framework onnx"),
        (config(**PYTORCH, **NO_MO), "model_optimizer_args", "is required with framework pytorch"),
        (config(model_optimizer_args=[1]), "model_optimizer_args[0]", "Expected `str`"),
        (config(framework="pytorch"), "conversion_to_onnx_args", "is required with framework pytorch"),
        (config(framework="caffe2"), "conversion_to_onnx_args", "is required with framework caffe2"),
        (config(conversion_to_onnx_args=["x"]), "conversion_to_onnx_args", "is not allowed"),
        (config(files="x"), "files", "Expected `array`, got `str`"),
        (config(files=["x"]), "files[0]", "Expected `object`, got `str`"),
        (config(files=[ENTRY, {}]), "files[1].name", "is required"),
        (with_file(size=None), "files[0].size", "is required"),
        (with_file(size=-1), "files[0].size", "Expected `int` >= 0"),
        (with_file(size=True), "files[0].size", "Expected `int`, got `bool`"),
        (with_file(size=10.0), "files[0].size", "Expected `int`, got `float`"),
        (with_file(size=float("nan")), "files[0].size", "Expected `int`, got `float`"),
        (with_file(size="10"), "files[0].size", "Expected `int`, got `str`"),
        (with_file(name="../m.bin"), "files[0].name", "must not have a part '..'"),
        (with_file(name="/m.bin"), "files[0].name", "must not be absolute"),
        (with_file(name="C:\\m.bin"), "files[0].name", "must not hold a backslash"),
        (with_file(name="aux.bin"), "files[0].name", "is a device on Windows"),
        (with_file(name="a\nb"), "files[0].name", "must not hold control"),
        (with_file(name="m.bin.download"), "files[0].name", "marks files in flight"),
        (with_file(name=5), "files[0].name", "Expected `str`, got `int`"),
        (with_names("model.onnx", "model.onnx"), "files", '"model.onnx" and "model.onnx" cannot'),
        (with_names("m", "m"), "files", '"m" and "m" cannot both exist in one folder'),
        (with_names("m", "M"), "files", '"m" and "M" cannot both exist in one folder'),
        (with_names("m", "m/x"), "files", '"m" and "m/x" cannot both exist in one folder'),
        (with_file(checksum=None), "files[0]", "expected exactly one of checksum and sha256"),
        (with_file(sha256=HEX["sha256"]), "files[0]", "expected exactly one of checksum and sha256"),
        (with_file(checksum=HEX["sha256"]), "files[0].checksum", "expected 96 hex digits of sha384"),
        (with_file(checksum=""), "files[0].checksum", "expected 96 hex digits of sha384, got ''"),
        (with_file(checksum=5), "files[0].checksum", "got `int`"),
        (with_file(checksum={"$type": "crc32"}), "files[0].checksum", "unknown checksum type 'crc32'"),
        (with_file(checksum={"value": "00"}), "files[0].checksum", "unknown checksum type"),
        (with_file(checksum={"$type": "md5"}), "files[0].checksum", "expected 32 hex digits of md5"),
        (with_file(checksum=None, sha256="0"), "files[0].sha256", "expected 64 hex digits of sha256"),
        (with_file(checksum=None, sha256=""), "files[0].sha256", "expected 64 hex digits of sha256"),
        (ir("FP16/m.xml"), "files", "expected FP16/m.bin"),
        (ir("FP16/m.xml", "FP16/m.bin", "FP32/m.bin"), "files", "expected FP32/m.xml"),
        (ir("FP16/other.xml", "FP16/other.bin"), "files", "expected FP16/m.xml"),
    ],
)
def test_keys(tmp_path: Path, document: Any, key: str, problem: str) -> None:
    refused(tmp_path, document, key, problem)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("a/.:1[]()*-é\0\n"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab$"), inner, max_size=2),
    max_leaves=4,
)
EVERYTHING = config(
    files=[{**ENTRY, "sha256": HEX["sha256"]}],
    postprocessing=[
        {"$type": "regex_replace", "file": "x", "pattern": "a", "replacement": "b", "count": 1}
    ],
    input_info=[{"name": "x", "shape": [1], "layout": "N"}],
    model_info={"a": 1},
    conversion_to_onnx_args=["x"],
    quantizable=True,
    quantized="INT8",
    version="1",
    tags=["a"],
)


@given(st.sampled_from(sorted(EVERYTHING)), JSON)
def test_any_value_of_any_key(key: str, value: Any) -> None:
    """It loads, or it is a CatalogError; what loads can be printed."""
    check_loads_or_is_refused(config(**{key: value}))


@given(st.sampled_from(["name", "size", "checksum", "sha256", "source"]), JSON)
def test_any_value_of_any_key_of_a_file(key: str, value: Any) -> None:
    check_loads_or_is_refused(with_file(**{key: value}))


def check_loads_or_is_refused(document: Any) -> None:
    model: Model | None = None
    with tempfile.TemporaryDirectory() as folder, suppress(CatalogError):
        model = load(Path(folder), document, warnings=[])
    assert model is None or describe(model)["name"] == "m"
