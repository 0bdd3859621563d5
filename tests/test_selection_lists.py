"""Lists as users write them: files of patterns, commas, precisions."""

from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.errors import SelectionError, UsageError
from modelzoo.model import KNOWN_PRECISIONS
from modelzoo.selection import parse_list, parse_precisions, split_patterns


@pytest.mark.parametrize(
    ("text", "patterns"),
    [
        ("", []),
        ("a\nb\n", ["a", "b"]),
        ("a\r\nb\r\n", ["a", "b"]),
        ("\n  \n\t\na", ["a"]),
        ("# comment\na # get all of it\n#b", ["a"]),
        ("mtcnn-p\ndensenet-* # get all DenseNet variants", ["mtcnn-p", "densenet-*"]),
        ("a b c\n  d e", ["a", "d"]),
        ("'a b' c", ["a b"]),
        ('"a # b" c', ["a # b"]),
        ("a\\ b", ["a b"]),
        ("'it'\"'\"'s'", ["it's"]),
        ("''", [""]),
        ("a,b", ["a,b"]),
        ("zoo:a@1.0 x", ["zoo:a@1.0"]),
        ("模型-*", ["模型-*"]),
    ],
)
def test_lists_are_split_as_a_shell_splits(text: str, patterns: list[str]) -> None:
    assert list(parse_list(text)) == patterns


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n'open\nb'", "line 2: No closing quotation"),
        ('a "b', "line 1: No closing quotation"),
        ("a\nb\nc\\", "line 3: No escaped character"),
    ],
)
def test_lists_that_a_shell_could_not_split(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}$"):
        parse_list(text)


ONE_LINE = st.text().filter(lambda text: text.splitlines() == [text])


@given(st.lists(ONE_LINE), st.sampled_from(["", " # x", " more words", "\t"]))
def test_quoted_words_survive(words: list[str], rest: str) -> None:
    assert parse_list("\n".join(shlex.quote(word) + rest for word in words)) == tuple(words)


@given(
    st.lists(
        st.text(st.characters(exclude_characters=","), min_size=1).filter(lambda t: t == t.strip())
    )
)
def test_comma_separated_lists(parts: list[str]) -> None:
    for separator in (",", " , ", ",,"):
        assert split_patterns(separator.join(parts)) == tuple(parts)


def test_precisions() -> None:
    assert parse_precisions(",".join(KNOWN_PRECISIONS)) == frozenset(KNOWN_PRECISIONS)
    assert parse_precisions("FP16, FP16 ,") == {"FP16"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("FP16,FP8", 'Unknown precision "FP8"; known are FP16, '),
        ("fp16", 'Unknown precision "fp16"'),
        ("FP*", 'Unknown precision "FP*"'),
        ("", "No precision given; known are FP16, "),
        (",", "No precision given"),
    ],
)
def test_precisions_that_are_refused(text: str, problem: str) -> None:
    with pytest.raises(SelectionError, match=re.escape(problem)):
        parse_precisions(text)
