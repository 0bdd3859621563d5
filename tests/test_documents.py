"""YAML from outside: plain documents load as they are, everything else ends in one clear error."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from modelzoo.errors import CatalogError
from modelzoo.files import documents
from modelzoo.files.documents import MAX_BYTES, MAX_DEPTH, parse_yaml, read_yaml

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
)
# Everything that opens, closes or separates something in YAML, to be repeated at length.
TOKENS = [
    "- ",
    "? ",
    ": ",
    "a: ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "\n",
    "\r",
    "\x85",
    "\u2028",
    " ",
    "  ",
    "a",
    "# ",
]
TOKENS += ["---", "|", ">", "'", '"', "\t", "<<: ", "...", "%", "@", "~"]


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def depth(value: Any) -> int:
    """How many collections there are inside each other at most."""
    rest, deepest = [(value, 0)], 0
    while rest:
        here, level = rest.pop()
        deepest = max(deepest, level)
        if isinstance(here, dict | list):
            inner = here.values() if isinstance(here, dict) else here
            deepest = max(deepest, level + 1)
            rest += [(value, level + 1) for value in inner]
    return deepest


@given(VALUES, st.sampled_from([None, True, False]))
def test_what_another_tool_writes_is_read(value: Any, flow: bool | None) -> None:
    text = yaml.dump(value, Dumper=_NoAliases, default_flow_style=flow)
    assert parse_yaml(text.encode()) == value


WORDS = ["a: 1\n", "<<: {b: 2}", "<<", "=", "? [k]\n: v\n", "{c: d}", "0x1F", "0x_", "1_0", "1:30"]
WORDS += [".inf", "yes", "~", "2024-01-01", "9.5e3", "'q'", '"q"', "--- ", "\n...\n", "%YAML 1.1\n"]
WORDS += ["k: ", "  - x\n"]


@given(st.lists(st.sampled_from(WORDS + TOKENS), max_size=12).map("".join))
def test_the_short_way_gives_what_the_loader_gives(text: str) -> None:
    def outcome(load: Callable[[], Any]) -> str:
        try:
            return repr(load())
        except (yaml.YAMLError, ValueError) as error:
            return f"{type(error)} {error}"

    loader = outcome(lambda: yaml.load(text, Loader=documents._Loader))
    assert outcome(lambda: documents._load(text)) == loader


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("d: R&D *and* C++ & more!", "R&D *and* C++ & more!", id="plain"),
        pytest.param("d: 'it''s *here* & !now'", "it's *here* & !now", id="single quotes"),
        pytest.param('d: "&a *b !c"', "&a *b !c", id="double quotes"),
        pytest.param(
            "d: >-\n  PyTorch* framework,\n  see &amp; and\n  !important *\n", None, id="folded"
        ),
        pytest.param("d: |\n  * one\n  & two\n  ! three\n", "* one\n& two\n! three\n", id="literal"),
        pytest.param("d: https://x/y?a=1&b=2!*", "https://x/y?a=1&b=2!*", id="URL"),
        pytest.param("d: x # & a comment *!", "x", id="comment"),
        pytest.param("d: x" + " " * 500, "x", id="many spaces"),
        pytest.param("d: " + "-" * 500, "-" * 500, id="a rule of dashes"),
        pytest.param("d: " + "x[{" * 200, "x[{" * 200, id="brackets in plain text"),
        pytest.param("d: 2021-04-01", "2021-04-01", id="a date is text"),
        pytest.param("d: 2021-13-45T99:00:00Z", "2021-13-45T99:00:00Z", id="so is a wrong one"),
        pytest.param("\ufeffd: x", "x", id="byte order mark"),
        pytest.param("d: x\r\n", "x", id="Windows line end"),
        pytest.param("---\nd: x\n...\n", "x", id="document markers"),
        pytest.param("d: Zürich 模型 😀", "Zürich 模型 😀", id="any script"),
    ],
)
def test_ordinary_descriptions_load(text: str, expected: str | None) -> None:
    folded = "PyTorch* framework, see &amp; and !important *"
    assert parse_yaml(text.encode()) == {"d": folded if expected is None else expected}


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(25)
)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"a: [1, 2\n", "is not valid YAML: line 2: did not find expected"),
        (b"a: 'open\n", "is not valid YAML: line"),
        (b"a: b: c\n", "is not valid YAML: line 1: mapping values are not allowed"),
        (b"a: 1\n b: 2\n", "is not valid YAML: line 2"),
        (b"a: 1\n\tb: 2\n", "is not valid YAML: line 2: found a tab"),
        (b"%YAML 9.9\n---\na: 1\n", "is not valid YAML: line 1: found incompatible"),
        (b"a: 1\n---\nb: 1\n", "is not valid YAML: line 2: but found another document"),
        (b"? [a]\n: b\n", "is not valid YAML: line 1: found unhashable key"),
        (b"a: =\n", "is not valid YAML: line 1: could not determine a constructor"),
        (b"<<: 5\n", "is not valid YAML: line 1: expected a mapping"),
        (b'a: "\\ud800"\n', "is not valid YAML: line 1"),
        (b"a: x\x00y\n", "is not valid YAML: unacceptable character"),
        (b"a: \x1b[31m\n", "is not valid YAML: unacceptable character"),
        (b"a: 0x_\n", "is not valid YAML: invalid literal"),
        (b"a: " + b"9" * 5000, "is not valid YAML: Exceeds the limit"),
        (bytes(range(256)), "is not valid YAML: 'utf-8' codec"),
        ("a: 1\n".encode("utf-16"), "is not valid YAML: 'utf-8' codec"),
        ("a: é\n".encode("latin-1"), "is not valid YAML: 'utf-8' codec"),
        (b"\x80\x04K\x01.", "is not valid YAML: 'utf-8' codec"),
        (b"a: &x 1\n", "line 1: anchors are not allowed"),
        (b"b: 1\na: *x\n", "line 2: aliases are not allowed"),
        (b"a: &x\n  - *x\n", "line 1: anchors are not allowed"),
        (LAUGHS.encode(), "line 1: anchors are not allowed"),
        (b"a: !!binary aGk=\n", "line 1: tags are not allowed, found tag:yaml.org,2002:binary"),
        (b"a: !!set {x}\n", "line 1: tags are not allowed"),
        (b"a: ! x\n", "line 1: tags are not allowed"),
        (b"a:\n- !!python/object/apply:os.system [id]\n", "line 2: tags are not allowed"),
        (b"%TAG ! tag:x,2000:\n---\na: !y z\n", "line 3: tags are not allowed, found tag:x,2000:y"),
        (b"#" * (MAX_BYTES + 1), f"is larger than {MAX_BYTES} bytes"),
    ],
)
def test_refused(data: bytes, problem: str) -> None:
    with pytest.raises(CatalogError) as caught:
        parse_yaml(data)
    assert caught.value.problem.startswith(problem)
    assert "\n" not in caught.value.problem


DEEP = 100_000
DEEP_DOCUMENTS = {
    "open brackets": "a: " + "[" * DEEP,
    "closed brackets": "a: " + "[" * DEEP + "]" * DEEP,
    "open braces": "{a: " * DEEP,
    "pairs in brackets": "[a: " * DEEP,
    "dashes": "- " * DEEP + "x",
    "question marks": "? " * DEEP,
    "colons": ": " * DEEP,
    "mixed": "- ? " * (DEEP // 2) + "x",
    "after a carriage return": "# c\r" + "- " * DEEP + "x",
    "after a next-line character": "# c\x85" + "- " * DEEP + "x",
    "after a line separator": "# c\u2028" + "- " * DEEP + "x",
    "after a document marker": "---\n" + "- " * DEEP,
    "indentation": "".join(f"{' ' * level}a:\n" for level in range(1400)),
    "indented lists": "".join(f"{' ' * level}-\n" for level in range(1400)),
    "few brackets a line": "a: [\n" * DEEP,
}
CHILD = """
import sys
from modelzoo.files.documents import parse_yaml
from modelzoo.errors import CatalogError
try:
    parse_yaml(sys.stdin.buffer.read())
except CatalogError as error:
    print(error.problem)
"""


@pytest.mark.parametrize("name", DEEP_DOCUMENTS)
def test_depth_cannot_crash_the_process(name: str) -> None:
    data = DEEP_DOCUMENTS[name].encode()
    done = subprocess.run([sys.executable, "-c", CHILD], input=data, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"is nested deeper than" in done.stdout or b"is not valid YAML: line" in done.stdout


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda n: "[" * n + "]" * n, id="brackets"),
        pytest.param(lambda n: "{a: " * n + "1" + "}" * n, id="braces"),
        pytest.param(lambda n: "- " * n + "1", id="dashes"),
        pytest.param(lambda n: "".join(f"{' ' * i}a:\n" for i in range(n)), id="indentation"),
        pytest.param(lambda n: "- " * (n - n // 2) + "[" * (n // 2) + "]" * (n // 2), id="both"),
    ],
)
def test_the_limit_is_exact(make: Any) -> None:
    assert depth(parse_yaml(make(MAX_DEPTH).encode())) == MAX_DEPTH
    with pytest.raises(CatalogError, match=f"is nested deeper than {MAX_DEPTH} levels"):
        parse_yaml(make(MAX_DEPTH + 1).encode())


@settings(max_examples=400)
@given(st.lists(st.tuples(st.sampled_from(TOKENS), st.integers(1, 70)), max_size=8))
def test_nothing_deeper_gets_through(runs: list[tuple[str, int]]) -> None:
    document = "".join(token * times for token, times in runs).encode()
    with suppress(CatalogError):
        assert depth(parse_yaml(document)) <= MAX_DEPTH


@given(
    st.binary() | st.text(st.sampled_from("-?:,[]{}#&*!|>'\"%@` \n\r\tab01.e_x=<~+")).map(str.encode)
)
def test_any_bytes_give_a_value_or_a_catalog_error(data: bytes) -> None:
    problem = ""
    try:
        parse_yaml(data)
    except CatalogError as error:
        problem = error.problem
    assert "\n" not in problem


def test_the_largest_document_that_is_allowed() -> None:
    text = b"a: 1\n"
    assert parse_yaml(text + b"#" * (MAX_BYTES - len(text))) == {"a": 1}


def test_a_huge_file_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "model.yml"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a hole: it takes no space
    with pytest.raises(CatalogError, match=f"^shown: is larger than {MAX_BYTES} bytes$"):
        read_yaml(path, "shown")


def test_errors_carry_the_name_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.yml"
    with pytest.raises(CatalogError, match=r"^shown: cannot be read: No such file"):
        read_yaml(path, "shown")
    path.write_text("a: [")
    with pytest.raises(CatalogError, match=r"^shown: is not valid YAML: line") as caught:
        read_yaml(path, "shown")
    assert caught.value.file == "shown"


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.yml")
    child = CHILD.replace(
        "parse_yaml(sys.stdin.buffer.read())", "read_yaml(Path(sys.argv[1]), 'shown')"
    )
    child = "from pathlib import Path\nfrom modelzoo.files.documents import read_yaml\n" + child
    command = [sys.executable, "-c", child, str(tmp_path / "model.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.stderr) == ("is not a regular file\n", "")
    with pytest.raises(CatalogError, match="is not a regular file"):
        read_yaml(tmp_path, "shown")
