"""Versions: which one is the latest, and by which names each of them is reached."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.errors import SelectionError
from modelzoo.model import Model
from modelzoo.selection import Filters, select
from modelzoo.versions import base_name, fiftyone_name, version_key, versioned_filename, versioned_name


def model(name: str, version: str | None = None, source: str = "s") -> Model:
    called = versioned_name(name, version) if version else f"{name}@"
    return Model(
        id=called,
        name=called,
        source=source,
        version=version,
        subdirectory=source,
        description="",
        framework="",
        task_type="",
        license_url="",
        files=(),
    )


@pytest.mark.parametrize(
    "order",
    [
        [None, "1.9", "1.10"],
        ["1.0.dev1", "1.0a1", "1.0rc1", "1.0", "1.0.post1", "1.1"],
        ["v1.9", "v1.10", "2"],
        ["2024.1", "2024.12"],
        ["alpha", "beta"],
        ["1.x", "1.2-weird-9", "1.2-weird-10"],
        [None, "latest", "0"],
        ["99999999999999999999999999x", "100"],
    ],
    ids=str,
)
def test_order(order: list[str | None]) -> None:
    for shuffled in itertools.permutations(order):
        assert sorted(shuffled, key=version_key) == order


@given(st.lists(st.none() | st.text(max_size=12), max_size=6))
def test_all_texts_can_be_compared(versions: list[str | None]) -> None:
    backwards = list(reversed(versions))
    assert sorted(versions, key=version_key) == sorted(backwards, key=version_key)


@given(name=st.text("abc./-1", min_size=1), version=st.text("0123456789.ab", min_size=1))
def test_names_are_taken_apart_again(name: str, version: str) -> None:
    assert base_name(versioned_name(name, version), version) == name
    assert fiftyone_name(name, version).count("@") == 1


def test_how_fiftyone_writes_them() -> None:
    assert fiftyone_name("clip.pt", "2.0") == "clip@2.0.pt"
    assert fiftyone_name("a/clip", "2.0") == "a/clip@2.0"
    assert versioned_filename("clip.pt", "2.0") == "clip-v2.0.pt"
    assert versioned_filename("sub.dir/clip", "2.0") == "sub.dir/clip-v2.0"
    assert versioned_filename("x.tar.gz", "1") == "x.tar-v1.gz"
    assert versioned_filename("clip.pt", None) == "clip.pt"


CLIPS = [model("clip.pt", "1.10"), model("clip.pt", "1.9"), model("clip.pt"), model("other", "3")]


@pytest.mark.parametrize(
    ("pattern", "ids"),
    [
        ("clip.pt", ["clip.pt@1.10"]),
        ("s:clip.pt", ["clip.pt@1.10"]),
        ("clip.pt@1.9", ["clip.pt@1.9"]),
        ("clip@1.9.pt", ["clip.pt@1.9"]),
        ("s:clip.pt@1.9", ["clip.pt@1.9"]),
        ("s:clip@1.9.pt", ["clip.pt@1.9"]),
        ("clip.pt@", ["clip.pt@"]),
        ("other", ["other@3"]),
        ("clip*", ["clip.pt@1.10", "clip.pt@1.9", "clip.pt@"]),
        ("*@1.9*", ["clip.pt@1.9"]),
    ],
)
def test_what_a_name_means(pattern: str, ids: list[str]) -> None:
    assert [m.id for m in select(CLIPS, Filters(patterns=(pattern,)))] == ids


def test_every_listed_name_selects_exactly_that_model() -> None:
    for one in CLIPS:
        assert select(CLIPS, Filters(patterns=(one.id,))) == [one]


def test_without_a_name_all_versions_are_meant() -> None:
    assert select(CLIPS, Filters()) == CLIPS
    assert [m.id for m in select(CLIPS, Filters(exclude=("clip.pt",)))] == ["other@3"]
    left = select(CLIPS, Filters(exclude=("clip.pt@1.10",)))
    assert [m.id for m in left] == ["clip.pt@1.9", "clip.pt@", "other@3"]


def test_a_name_of_two_sources_is_an_error_in_any_version() -> None:
    models = [*CLIPS, model("clip.pt", "0.1", "t")]
    for name in ("clip.pt",):
        with pytest.raises(SelectionError, match="several sources") as caught:
            select(models, Filters(patterns=(name,)))
        assert caught.value.near == (f"s:{name}", f"t:{name}")
    assert [m.source for m in select(models, Filters(patterns=("t:clip.pt",)))] == ["t"]
    with pytest.raises(SelectionError, match="No matching"):
        select(models, Filters(patterns=("clip.pt@9",)))
