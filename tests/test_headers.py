"""The documents of a repository: written as audmodel writes them, read as by nobody who trusts them."""

from __future__ import annotations

import datetime as dt
import math
from collections import OrderedDict
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.errors import CatalogError, InvalidValueError
from modelzoo.registry.headers import (
    MAX_VALUES,
    Header,
    dump_alias,
    dump_aliases,
    dump_header,
    dump_meta,
    parse_alias,
    parse_aliases,
    parse_document,
    parse_header,
    parse_meta,
)
from modelzoo.registry.identifiers import Uid
from modelzoo.registry.layout import (
    alias_key,
    alias_of,
    aliases_key,
    archive_key,
    digest_key,
    header_key,
    header_of,
    meta_key,
    require_names,
)

UID = Uid("d4e9c65b", "3.0.0")

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT | st.binary()
    | st.dates() | st.datetimes()
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(TEXT | st.integers(), inner)
        | st.sets(TEXT)
    ),
    max_leaves=10,
)  # fmt: skip


class Reference(yaml.Dumper):
    """What audmodel writes with: PyYAML's dumper for everything, and mappings in their order."""


Reference.add_representer(dict, lambda d, value: d.represent_dict(value.items()))


def alike(one: Any, other: Any) -> bool:
    """Equal, and of the same types all through."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        pairs = zip(one.items(), other.items(), strict=False)
        return len(one) == len(other) and all(
            alike(a, b) for p in pairs for a, b in zip(*p, strict=True)
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    return bool(one == other)


@given(st.dictionaries(TEXT, VALUES, max_size=5), TEXT)
def test_headers_are_audmodels_and_come_back(parameters: dict[str, Any], author: str) -> None:
    fields = {
        "author": author,
        "date": dt.date(2026, 11, 28),
        "name": "voxcnn",
        "parameters": parameters,
        "subgroup": "anger.autrainer",
        "version": "1.0.0",
    }
    data = dump_header(Header(**fields))  # type: ignore[arg-type]
    assert data == yaml.dump(fields, Dumper=Reference).encode("ascii")
    header = parse_header(data, "header.yaml")
    assert header == Header(**fields)  # type: ignore[arg-type]
    assert alike(header.parameters, parameters)


@given(st.dictionaries(TEXT, VALUES, max_size=5))
def test_meta_comes_back(meta: dict[str, Any]) -> None:
    data = dump_meta(meta)
    assert data == yaml.dump(meta, Dumper=Reference).encode("ascii")
    assert alike(parse_meta(data, "meta.yaml"), meta)


def test_one_value_in_two_places() -> None:
    shared = [1, 2]
    data = dump_meta({"a": shared, "b": shared})
    assert b"&id001" in data
    assert parse_meta(data, "m") == {"a": [1, 2], "b": [1, 2]}


def test_small_documents() -> None:
    assert dump_meta(None) == b"null\n...\n"
    assert parse_meta(b"null\n...\n", "m") == parse_meta(b"", "m") == {}
    assert dump_meta(OrderedDict(b=1, a=2)) == b"b: 1\na: 2\n"
    assert dump_alias(UID) == b"uid: d4e9c65b-3.0.0\n"
    assert parse_alias(dump_alias(UID), "a") == UID
    assert dump_aliases(["b", "a"]) == b"aliases:\n- a\n- b\n"
    assert parse_aliases(dump_aliases(["b", "a"]), "a") == ["a", "b"]
    assert parse_aliases(b"null", "a") == parse_aliases(b"other: 1", "a") == []
    assert math.isnan(parse_meta(dump_meta({"x": math.nan}), "m")["x"])


HEADER = b"author: me\ndate: 2026-11-28\nname: voxcnn\nparameters: {}\nsubgroup: a.b\nversion: 1.0.0\n"


def test_what_a_header_may_lack() -> None:
    header = parse_header(HEADER.replace(b"author: me\n", b"").replace(b"subgroup: a.b\n", b""), "h")
    assert (header.author, header.subgroup) == (None, "")


_BOMB = b"".join(
    b"k%d: &k%d [%s]\n" % (n, n, b", ".join([b"*k%d" % (n - 1) if n else b"x"] * 10)) for n in range(9)
)
_DEEP_ALIASES = b"".join(
    b"k%d: &k%d [[*k%d]]\n" % (n, n, n - 1) if n else b"k0: &k0 x\n" for n in range(40)
)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"a: !!python/object/apply:os.system ['touch /tmp/x']", "line 1: the tag .*run code"),
        (b"a: 1\nb: !!python/name:os.system ''", "line 2: the tag .*run code"),
        (b"a: !!python/object/new:str [x]", "run code"),
        (b"a: !!python/module:os ''", "run code"),
        (b"a: !!python/complex '1j'", "run code"),
        (b"a: !own x", "run code"),
        (b"- " * 200, "nested deeper"),
        (b"[" * 200, "nested deeper"),
        (b"{a: " * 200, "nested deeper"),
        (_DEEP_ALIASES, "nested deeper"),
        (_BOMB, f"more than {MAX_VALUES} values"),
        (b"&a [*a]", "stands for nothing"),
        (b"a: *b", "stands for nothing"),
        (b"x" * (2 << 20), "is larger"),
        (b"a: [", "is not valid YAML: line"),
        (b"a: 1\n--- \nb: 2", "is not valid YAML"),
        (b"\xff", "is not valid YAML"),
        (b"? [a]\n: b", "is not valid YAML"),
        (b"a: 2026-13-45", "is not valid YAML"),
        (b"a: !!timestamp x", "is not valid YAML"),
        (b"a: !!int x", "is not valid YAML"),
        (b"a: " + b"9" * 5000, "is not valid YAML"),
    ],
)
def test_hostile_documents_are_one_line(data: bytes, problem: str) -> None:
    with pytest.raises(CatalogError, match=problem) as caught:
        parse_document(data, "some.yaml")
    assert str(caught.value).startswith("some.yaml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (HEADER, b"[]", "expected a mapping, got list"),
        (b"author: me", b"author: 1", '"author": expected text, got int'),
        (b"date: 2026-11-28", b"date: 7", '"date": expected a date, got int'),
        (b"name: voxcnn", b"", '"name": expected text, got NoneType'),
        (b"name: voxcnn", b"name: ../../etc", '"name": unsafe name'),
        (b"name: voxcnn", b"name: /etc", "path"),
        (b"subgroup: a.b", b"subgroup: _uid", '"name": unsafe name'),
        (b"subgroup: a.b", b"subgroup: 'a/\\b'", '"name": unsafe name'),
        (b"subgroup: a.b", b"subgroup: [a]", '"subgroup": expected text, got list'),
        (b"parameters: {}", b"parameters: []", '"parameters": expected a mapping, got list'),
        (b"version: 1.0.0", b"version: 1.0", '"version": expected text, got float'),
        (b"version: 1.0.0", b"version: 1/../../2", '"version": is no version'),
    ],
)
def test_headers_that_are_none(old: bytes, new: bytes, problem: str) -> None:
    if problem == "path":  # a leading slash counts for nothing, as for audmodel
        assert parse_header(HEADER.replace(old, new), "h").name == "/etc"
        return
    with pytest.raises(CatalogError, match=problem) as caught:
        parse_header(HEADER.replace(old, new), "h")
    assert "\n" not in str(caught.value)


def test_aliases_that_are_none() -> None:
    for data in (b"uid: production", b"uid: d4e9c65b", b"uid: 1", b"[]", b"uid: d4e9c65b-1/.."):
        with pytest.raises(CatalogError):
            parse_alias(data, "a")
    for data in (b"aliases: x", b"aliases: [1]", b"[]"):
        with pytest.raises(CatalogError):
            parse_aliases(data, "a")


@pytest.mark.parametrize("value", [1j, object(), frozenset([1]), int, type("S", (str,), {})("x")])
def test_values_without_a_plain_form_are_refused(value: object) -> None:
    with pytest.raises(InvalidValueError, match="a value is of type"):
        dump_meta({"a": value})


def test_values_that_could_not_be_read_again_are_refused() -> None:
    deep: Any = []
    for _ in range(100):
        deep = [deep]
    itself: list[Any] = []
    itself.append(itself)
    for value in (deep, itself, "\ud800", "x" * (1 << 20)):
        with pytest.raises(InvalidValueError):
            dump_meta({"a": value})


def test_keys() -> None:
    assert header_key(UID) == "_uid/d4e9c65b/3.0.0/d4e9c65b-3.0.0.header.yaml"
    assert meta_key(UID) == "_uid/d4e9c65b/3.0.0/d4e9c65b-3.0.0.meta.yaml"
    assert aliases_key(UID) == "_uid/d4e9c65b.aliases/3.0.0/d4e9c65b.aliases-3.0.0.yaml"
    assert alias_key("prod") == "_alias/prod/1.0.0/prod-1.0.0.alias.yaml"
    assert digest_key(UID) == "_digest/d4e9c65b/3.0.0/d4e9c65b-3.0.0.json"
    assert archive_key(UID, "cnn", "a.b") == "a/b/cnn/d4e9c65b/3.0.0/d4e9c65b-3.0.0.zip"
    assert archive_key(UID, "cnn") == "cnn/d4e9c65b/3.0.0/d4e9c65b-3.0.0.zip"
    assert archive_key(UID, "my.cnn", "a/b") == "a/b/my.cnn/d4e9c65b/3.0.0/d4e9c65b-3.0.0.zip"


def test_keys_are_read_back() -> None:
    assert header_of(header_key(UID)) == UID
    assert alias_of(alias_key("prod")) == "prod"
    for key in (
        meta_key(UID),
        aliases_key(UID),
        "_uid/d4e9c65b/3.0.0/d4e9c65b-3.0.1.header.yaml",
        "_uid/nothex00/3.0.0/nothex00-3.0.0.header.yaml",
        "_uid/d4e9c65b/x/d4e9c65b-x.header.yaml",
        "x/_uid/d4e9c65b/3.0.0/d4e9c65b-3.0.0.header.yaml",
    ):
        assert header_of(key) is None
        assert alias_of(key) is None
    assert alias_of("_alias/prod/1.0.0/other-1.0.0.alias.yaml") is None


@pytest.mark.parametrize(
    ("name", "subgroup"),
    [
        *(
            (name, "")
            for name in ("", "..", ".", "a/b", "/a", "a\\b", "ä", "_uid", "_alias", "_digest")
        ),
        *(("a", group) for group in ("_uid", "_alias.b", "..", ".", "a..b", "a//b", "/a", "a b", ".a")),
        ("a" * 300, ""),
        ("con", ""),
    ],
)
def test_names_that_nothing_is_published_under(name: str, subgroup: str) -> None:
    with pytest.raises(ValueError, match=r"name|subgroup"):
        require_names(name, subgroup)


def test_names_that_can_be_published() -> None:
    for name, subgroup in (("a", ""), ("my.cnn-1_x", "a.b-c.d_e"), ("a", "a/b"), ("a", "b._uid")):
        require_names(name, subgroup)
