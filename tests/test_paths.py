"""The trust boundary for paths: no accepted name leaves a folder, on POSIX or on Windows."""

from __future__ import annotations

import ntpath
import os
import re
import tempfile
import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from modelzoo.errors import Reason, UnsafePathError
from modelzoo.files import paths as paths_module
from modelzoo.files.paths import PARTIAL_SUFFIX, STATE_DIR, clash, folded, safe_path

# What hostile names are made of, mixed with any text.
PIECES = st.sampled_from(
    [
        "..",
        ".",
        "/",
        "//",
        "\\",
        "C:",
        "c:/",
        "~",
        "con",
        "NUL",
        "aux.txt",
        " ",
        "a",
        "b.xml",
        "é",
        "e\u0301",
        "\0",
        "\n",
        "\u200d",
        "\u202e",
        STATE_DIR,
        PARTIAL_SUFFIX,
        "COM¹",
        "lpt1.x",
        "?",
        "*",
        ":",
        "x" * 231,
    ]
)
HOSTILE = st.lists(PIECES | st.text(max_size=3), max_size=6).map("".join)
NAMES = HOSTILE | st.text(st.sampled_from("ab.~é /-1C\u0301"), min_size=1)


def accepted(name: str) -> PurePosixPath | None:
    try:
        return safe_path(name)
    except UnsafePathError:
        return None


def reserved_on_windows(part: str) -> bool:
    if hasattr(ntpath, "isreserved"):  # Python 3.13; the older way warns there
        return bool(ntpath.isreserved(part))
    return PureWindowsPath(part).is_reserved()


NEARLY = ["con", "COM1", "Nul", "lpt1", "a", "B2", "_", "-", ".", "/", ".Download", ".json", "~1", " "]


@given(st.lists(st.sampled_from([*NEARLY, STATE_DIR, "modelz~1", "é"]), max_size=6).map("".join))
def test_a_name_accepted_at_a_glance_keeps_every_rule(name: str) -> None:
    """The rules one by one accept it too, and names as models have them need no more."""
    no_glance = re.compile(r"(?!)")
    if paths_module._PLAIN.fullmatch(name):
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(paths_module, "_PLAIN", no_glance)
            safe_path(name)
    assert paths_module._PLAIN.fullmatch("CLIP-ViT_B-32/v1.0/model.onnx")


@settings(max_examples=600)
@given(NAMES)
@example("a/../../b")
@example("con .txt/x")
@example("a\\..\\..\\b")
def test_no_accepted_name_leaves_its_folder(name: str) -> None:
    if (path := accepted(name)) is None:
        return
    assert os.path.normpath(f"/root/{path}") == f"/root/{name}"
    windows = PureWindowsPath(r"C:\root") / str(path)
    assert ntpath.normpath(str(windows)) == ntpath.join(r"C:\root", *name.split("/"))
    assert not PureWindowsPath(name).drive
    assert not any(reserved_on_windows(part) for part in name.split("/"))


@settings(max_examples=200, deadline=None)
@given(NAMES)
def test_an_accepted_name_can_be_a_file_here(name: str) -> None:
    if (path := accepted(name)) is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"x")
        target.with_name(target.name + PARTIAL_SUFFIX).write_bytes(b"y")
        found = {p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file()}
        assert found == {name, name + PARTIAL_SUFFIX}


@given(NAMES)
def test_an_accepted_name_cannot_forge_a_line(name: str) -> None:
    if accepted(name):
        assert name.isprintable() or not name.isascii()
        assert len(name.splitlines()) == 1


@pytest.mark.parametrize(
    "name",
    [
        "m.onnx",
        "FP16/m.xml",
        "a/b/c/d",
        "a..b",
        "..a",
        ".hidden",
        "model-1.0_x",
        "ünï",
        "モデル.bin",
        "a b",
        "console",
        "com",
        "com10",
        "nulls.txt",
        "a~1",
        "~",
        "download",
        "x.download.bin",
        "x" * 230,
        "sub/.modelzoo",
        "ckpt-0.data-00000-of-00001",
        "a+b=c@d,e;f'g(h)[i]{j}!#$%^&",
    ],
)
def test_names_that_models_have(name: str) -> None:
    assert safe_path(name) == PurePosixPath(name)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("", "1 to 1024 characters"),
        ("a/" * 513, "1 to 1024 characters"),
        ("/etc/passwd", "absolute"),
        ("//host/share", "absolute"),
        ("..", "part '..'"),
        ("a/../b", "part '..'"),
        ("./a", "part '.'"),
        ("a//b", "part ''"),
        ("a/", "part ''"),
        ("..\\a", "backslash"),
        ("a\\b", "backslash"),
        ("C:/a", "any of"),
        ("C:a", "any of"),
        ("a:stream", "any of"),
        ("a?b", "any of"),
        ('a"b', "any of"),
        ("a|b", "any of"),
        ("a\0b", "control"),
        ("a\nb", "control"),
        ("a\x1b[2J", "control"),
        ("a\x85b", "control"),
        ("a\u2028b", "control"),
        ("a\ud800b", "control"),
        ("ab\u202efdp.exe", "invisible"),
        (".model\u200dzoo/receipts/x", "invisible"),
        ("a.", "dot or a space"),
        ("a /b", "dot or a space"),
        ("CON", "device on Windows"),
        ("con.onnx", "device on Windows"),
        ("a/NUL.tar.gz", "device on Windows"),
        ("aux .txt", "device on Windows"),
        ("com1/x", "device on Windows"),
        ("LPT³.bin", "device on Windows"),
        ("conout$", "device on Windows"),
        ("x" * 231, "230 bytes"),
        ("ü" * 116, "230 bytes"),
        (".modelzoo/receipts/x", "kept for the tools"),
        (".MODELZOO", "kept for the tools"),
        ("MODELZ~1/receipts", "kept for the tools"),
        ("m.onnx.download", "in flight"),
        ("m.onnx.DOWNLOAD.json", "in flight"),
        ("m.onnx.download/x", "in flight"),
    ],
)
def test_each_rule(name: str, rule: str) -> None:
    with pytest.raises(UnsafePathError, match="unsafe name") as caught:
        safe_path(name)
    assert rule in caught.value.problem
    assert caught.value.reason is Reason.UNSAFE_PATH


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([], None),
        (["a", "b", "a2", "a.b/a"], None),
        (["a/x", "a/y", "b/x"], None),
        (["FP16/m.xml", "FP16-INT8/m.xml"], None),
        (["m", "m"], ("m", "m")),
        (["a/m.bin", "x", "a/m.bin"], ("a/m.bin", "a/m.bin")),
        (["Model.onnx", "model.ONNX"], ("Model.onnx", "model.ONNX")),
        (["caf\u00e9", "cafe\u0301"], ("caf\u00e9", "cafe\u0301")),
        (["straße", "STRASSE"], ("straße", "STRASSE")),
        (["a", "a/b"], ("a", "a/b")),
        (["x/y/z", "X"], ("X", "x/y/z")),
        (["A/x", "a/y"], None),
    ],
)
def test_clash(paths: list[str], expected: tuple[str, str] | None) -> None:
    assert clash(iter(paths)) == expected


@given(st.lists(st.text("aAbé/.", min_size=1, max_size=5), max_size=6))
def test_clash_is_exactly_two_equal_paths_or_a_file_that_is_a_folder(names: list[str]) -> None:
    paths = [name for name in names if accepted(name)]
    keys = [folded(path) for path in paths]
    parents = {folded(parent) for path in paths for parent in PurePosixPath(path).parents}
    expected = len(set(keys)) < len(keys) or bool(parents & set(keys))
    two = clash(paths)
    assert bool(two) == expected
    assert two is None or set(two) <= set(paths)


@given(st.text())
def test_folded_is_the_same_for_all_spellings(text: str) -> None:
    spellings = [text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)]
    assert len({folded(s) for s in [*spellings, text.casefold(), folded(text)]}) == 1
