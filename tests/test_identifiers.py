"""The ids of a registry's models, held against audmodel's formulas and what its releases printed."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.errors import InvalidValueError
from modelzoo.registry.identifiers import (
    Uid,
    is_alias,
    is_model_id,
    legacy_id,
    require_alias,
    require_version,
    short_id,
    split_uid,
)
from modelzoo.versions import release_key

CNN = {"model": "cnn10", "data": "emodb", "feature": "melspec", "sampling_rate": 16000}

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=8,
)


def test_what_audmodel_documents() -> None:
    assert short_id("torch", CNN, "audmodel.dummy.cnn") == "d4e9c65b"
    legacy = legacy_id("test", CNN, "1.0.0", "audmodel.dummy.cnn")
    assert legacy == "65206614-dbb7-d61a-b00c-153db7b525c0"
    assert str(Uid("d4e9c65b", "3.0.0")) == "d4e9c65b-3.0.0"
    assert str(Uid(legacy, "1.0.0")) == legacy


@given(st.text(), st.dictionaries(st.text(), VALUES, max_size=4), st.none() | st.text())
def test_short_ids_are_the_end_of_an_md5(
    name: str, parameters: dict[str, Any], subgroup: str | None
) -> None:
    items = ", ".join(f"{key!r}: {parameters[key]!r}" for key in sorted(parameters))
    text = f"{subgroup or ''}.{name}{{{items}}}"
    expected = hashlib.md5(text.encode("utf-8")).hexdigest()[24:]
    assert short_id(name, parameters, subgroup) == expected
    assert is_model_id(expected)
    shuffled = list(parameters.items())
    random.shuffle(shuffled)
    assert short_id(name, dict(shuffled), subgroup) == expected


def test_values_that_are_equal_but_not_alike_make_other_models() -> None:
    ids = {short_id("m", {"a": value}) for value in (1, 1.0, True, "1", (1,), [1])}
    assert len(ids) == 6
    assert short_id("m", {"a": {"x": 1, "y": 2}}) != short_id("m", {"a": {"y": 2, "x": 1}})


def test_legacy_ids_depend_on_the_order_and_the_repository() -> None:
    other = dict(reversed(CNN.items()))
    ids = {
        legacy_id("m", parameters, "1.0.0", subgroup, private)
        for parameters in (CNN, other)
        for subgroup in (None, "g")
        for private in (False, True)
    }
    assert len(ids) == 8
    assert all(split_uid(text) == (text, None) for text in ids)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("d4e9c65b", ("d4e9c65b", None)),
        ("d4e9c65b-3.0.0", ("d4e9c65b", "3.0.0")),
        ("d4e9c65b-1.0.0-rc1", ("d4e9c65b", "1.0.0-rc1")),
        ("65206614-dbb7-d61a-b00c-153db7b525c0", ("65206614-dbb7-d61a-b00c-153db7b525c0", None)),
        (
            "65206614-dbb7-d61a-b00c-153db7b525c0-1.0.0",
            ("65206614-dbb7-d61a-b00c-153db7b525c0", "1.0.0"),
        ),
        ("D4E9C65B", None),
        ("d4e9c65b-", None),
        ("d4e9c65b-v1", None),
        ("d4e9c65", None),
        ("d4e9c65b-1.0.0/..", None),
        ("production", None),
        ("", None),
    ],
)
def test_ids_are_taken_apart(text: str, parts: tuple[str, str | None] | None) -> None:
    assert split_uid(text) == parts


def test_aliases_cannot_be_taken_for_ids_or_for_folders() -> None:
    for alias in ("production", "face", "my-model_1.0", "D4E9C65B", "d4e9c65b-v1", "a" * 100):
        require_alias(alias)
    for text in ("d4e9c65b", "d4e9c65b-1.0.0", "", ".", "..", "a/b", "a b", "ä", "a" * 101, "a\n"):
        assert not is_alias(text)
        with pytest.raises(InvalidValueError, match="is no alias"):
            require_alias(text)
    with pytest.raises(ValueError, match="is no alias"):  # what audmodel raises
        require_alias("d4e9c65b")


def test_versions() -> None:
    for version in ("1.0.0", "0.0.0", "1.10.2-rc.1", "1.0.0-2-gdf29c4a"):
        require_version(version)
    for text in (
        "",
        "1",
        "1.0",
        "v1.0.0",
        "1.0.0/..",
        "1.0.0.0",
        "1.0.0-ä",
        "1.0.0+a",
        "1.0.0-" + 99 * "a",
    ):
        with pytest.raises(ValueError, match="is no version"):
            require_version(text)
    ordered = ["1.9.0-prod", "1.9.0-rc2", "1.9.0-rc10", "1.9.0", "1.10.0-1", "1.10.0", "10.0.0"]
    assert sorted(set(ordered), key=release_key) == ordered


def test_parameters_that_have_no_id() -> None:
    with pytest.raises(InvalidValueError, match="names of parameters"):
        short_id("m", {1: "a", "b": 2})  # type: ignore[dict-item]
    with pytest.raises(InvalidValueError, match="valid Unicode"):
        short_id("m\ud800", {})
