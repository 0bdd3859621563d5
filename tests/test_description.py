"""What info_dumper prints: the bytes of the json module for any model, and no secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.commands import info_dumper
from modelzoo.description import describe, shown
from modelzoo.model import Model, ModelFile, Origin
from modelzoo.web.credentials import mask

TEXT = st.text(st.characters() | st.sampled_from('"\\/\x7f\x00\x1f\n\u2028\ud800😀é<&'), max_size=8)
URLS = st.lists(
    st.sampled_from(["https://", "http:", "//", "user", ":", "@", "h.com", "/", "?", "#", ";", "&"])
    | st.sampled_from(["token", "=", "x", "%3D", "\n", "\x7f", "é", "[", "key", "\\"]),
    max_size=10,
).map("".join)


@given(URLS | TEXT)
def test_the_short_way_hides_as_much(url: str) -> None:
    assert shown(url) == mask(url)


@st.composite
def models(draw: st.DrawFn) -> Model:
    shape = st.lists(st.integers() | st.integers(2**63, 2**65) | TEXT, max_size=3)
    values: dict[str, Any] = {field: draw(TEXT) for field in Model.__struct_fields__[:8]}
    inputs = st.dictionaries(TEXT, shape | TEXT | st.none(), max_size=3)
    files = [
        ModelFile(name, draw(st.none() | st.integers(0)), None, (Origin(draw(TEXT)),))
        for name in draw(st.lists(TEXT, max_size=2))
    ]
    return Model(
        **values,
        files=tuple(files),
        version=draw(st.none() | TEXT),
        tags=tuple(draw(st.lists(TEXT, max_size=2))),
        input_info=tuple(draw(st.lists(inputs, max_size=2))),
    )


@given(st.lists(models(), max_size=4), st.integers(1, 3))
def test_the_bytes_are_those_of_the_json_module(found: list[Model], batch: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(info_dumper, "_BATCH", batch)
        printed = b"".join(info_dumper._document(iter(found)))
    assert printed.decode("ascii") == json.dumps([describe(m) for m in found], indent=4) + "\n"
