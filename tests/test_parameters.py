"""Parameters as people write them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.errors import InvalidValueError
from modelzoo.parameters import all_hold, parse_condition, parse_parameter, parse_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("16000", 16000),
        ("-3", -3),
        ("1e-4", 1e-4),
        ("1.", 1.0),
        ("inf", float("inf")),
        ("True", True),
        ("false", False),
        ("None", None),
        ("null", None),
        ("no", "no"),
        ("lstm", "lstm"),
        ("", ""),
        ("1.0.0", "1.0.0"),
        ("2026-11-28", "2026-11-28"),
        ('"16000"', "16000"),
        ("'it''s'", "its"),
        (r"'a\tb'", "a\tb"),
        ("[]", []),
        ("[emodb, 'msp, all', 3, True]", ["emodb", "msp, all", 3, True]),
        ("[1, 2.5, 'a']", [1, 2.5, "a"]),
        ("['a', ['b', 1]]", ["a", ["b", 1]]),
        ("LinearSVC(C=0.1)", "LinearSVC(C=0.1)"),
        ("{'a': 1}", "{'a': 1}"),
        ("0x10", "0x10"),
    ],
)
def test_values(text: str, value: Any) -> None:
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


@given(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=50))
def test_what_is_printed_is_read_again(value: Any) -> None:
    found = parse_value(repr(value))
    assert found == value
    assert type(found) is type(value)


@given(st.text())
def test_no_text_is_more_than_refused(text: str) -> None:
    for read in (parse_value, parse_parameter, parse_condition):
        try:
            read(text)
        except InvalidValueError as error:
            assert "\n" not in str(error)  # noqa: PT017 - most texts are none


@pytest.mark.parametrize("text", ["[a,,b]", "[" * 5000 + "]", "x" * 10_001, "[[a], b]"])
def test_values_that_are_refused(text: str) -> None:
    with pytest.raises(InvalidValueError):
        parse_value(text)


def test_parameters() -> None:
    assert parse_parameter("rate=16000") == ("rate", 16000)
    assert parse_parameter("a = b=c") == ("a", "b=c")
    for text in ("rate", "=1", " =1"):
        with pytest.raises(ValueError, match="NAME=VALUE"):
            parse_parameter(text)


MODEL = {
    "data": "emodb",
    "rate": 16000,
    "lr": 1e-3,
    "normalize": True,
    "sets": ("a", "b"),
    "none": None,
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("data=emodb", True),
        ("data==emodb", True),
        ("data=emo*", True),
        ("data!=emodb", False),
        ("data!=msp", True),
        ("rate=16000", True),
        ("rate=16000.0", True),
        ("rate>=16000", True),
        ("rate>16000", False),
        ("rate<1e5", True),
        ("rate<=8000", False),
        ("rate>a", False),
        ("rate='16000'", False),
        ("lr<0.01", True),
        ("normalize=True", True),
        ("normalize=1", False),
        ("normalize!=False", True),
        ("normalize>=0", False),
        ("sets=[a, b]", True),
        ("sets=[b, a]", False),
        ("none=None", True),
        ("missing=None", True),
        ("missing!=None", False),
        ("missing>=1", False),
        ("missing=1", False),
        ("data>=emo", True),
        ("data<emo", False),
    ],
)
def test_conditions(text: str, holds: bool) -> None:
    assert parse_condition(text).holds(MODEL) is holds


def test_several_conditions_hold_together() -> None:
    conditions = [parse_condition("rate>=8000"), parse_condition("data=emodb")]
    assert all_hold(conditions, MODEL)
    assert not all_hold(conditions, {**MODEL, "rate": 4000})
    assert str(conditions[0]) == "rate>=8000"


def test_text_that_looks_like_a_number_is_found_without_quotes() -> None:
    assert parse_condition("rate=16000").holds({"rate": "16000"})


@pytest.mark.parametrize("text", ["rate", "=1", "rate>=True", "rate<[1]", "rate>None"])
def test_conditions_that_are_none(text: str) -> None:
    with pytest.raises(InvalidValueError):
        parse_condition(text)
