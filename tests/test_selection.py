"""Which models are meant: patterns, lists, conditions, and the errors that help to mend them."""

from __future__ import annotations

import fnmatch
import itertools
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.errors import Reason, SelectionError
from modelzoo.model import Model
from modelzoo.selection import Filters, idle_exclusions, near_names, select, split_patterns

EMPTY = Model(
    id="",
    name="",
    source="",
    subdirectory="",
    description="",
    framework="onnx",
    task_type="classification",
    license_url="https://example.com/MIT",
    files=(),
)


def model(name: str, source: str = "zoo", **fields: object) -> Model:
    values = {**{f: getattr(EMPTY, f) for f in Model.__struct_fields__}, "id": name, "name": name}
    return Model(**{**values, "source": source, **fields})


def catalog(*models: Model) -> list[Model]:
    """The models with the ids that a catalog gives them."""
    count = Counter(m.name for m in models)
    ids = [m.name if count[m.name] == 1 else f"{m.source}:{m.name}" for m in models]
    return [
        model(**{f: getattr(m, f) for f in Model.__struct_fields__} | {"id": i})
        for m, i in zip(models, ids, strict=True)
    ]


ZOO = catalog(
    model("face-detection-0200", task_type="detection", framework="dldt", tags=("vision", "small")),
    model("face-detection-0202", task_type="detection", framework="dldt", tags=("vision",)),
    model("action-encoder", composite="action", task_type="action_recognition", framework="dldt"),
    model("action-decoder", composite="action", task_type="action_recognition", framework="dldt"),
    model("mtcnn-p", framework="caffe", license_url="https://example.com/Apache-2.0"),
    model("Speech", version="1.2", tags=("audio",)),
    model("prob-wine", "mine"),
    model("prob-wine", "demo", version="1.0"),
    model("prob-digits", "demo"),
    model("action", "mine"),
)


def ids(models: Sequence[Model]) -> str:
    return " ".join(m.id for m in models)


def pick(*patterns: str, **conditions: str) -> str:
    """The ids of what is selected, in order."""
    narrow = {name: split_patterns(value) for name, value in conditions.items()}
    return ids(select(ZOO, Filters(patterns=patterns or None, **narrow)))


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([], ids(ZOO)),
        (["mtcnn-p"], "mtcnn-p"),
        (["mtcnn-p", "face-*"], "mtcnn-p face-detection-0200 face-detection-0202"),
        (["face-*-0202", "face-*", "*0200"], "face-detection-0202 face-detection-0200"),
        (["*", "mtcnn-p"], ids(ZOO)),
        (["mtcnn-p", "mtcnn-p"], "mtcnn-p"),
        (["face-detection-020?"], "face-detection-0200 face-detection-0202"),
        (["face-detection-020[!0]"], "face-detection-0202"),
        (["[Ss]peech"], "Speech"),
        (["zoo:action"], "action-encoder action-decoder"),
        (["mine:action"], "action"),
        (["action-*"], "action-encoder action-decoder"),
        (["act*n"], "action-encoder action-decoder action"),
        (["action-decoder", "zoo:action"], "action-decoder action-encoder"),
        (["prob-*"], "mine:prob-wine demo:prob-wine prob-digits"),
        (["demo:*"], "demo:prob-wine prob-digits"),
        (["demo:prob-wine"], "demo:prob-wine"),
        (["*:prob-wine"], "mine:prob-wine demo:prob-wine"),
        (["Speech@1.2"], "Speech"),
        (["zoo:Speech@1.2"], "Speech"),
        (["Speech@1.*"], "Speech"),
        (["prob-wine@1.0"], "demo:prob-wine"),
        (["*@*"], "Speech demo:prob-wine"),
    ],
)
def test_patterns(patterns: list[str], expected: str) -> None:
    assert pick(*patterns) == expected


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"tasks": "detection"}, "face-detection-0200 face-detection-0202"),
        ({"tasks": "detection,action_*", "exclude": "*-0200,action-*"}, "face-detection-0202"),
        ({"frameworks": "caffe"}, "mtcnn-p"),
        ({"licenses": "*Apache*"}, "mtcnn-p"),
        ({"licenses": "https://example.com/Apache-2.0"}, "mtcnn-p"),
        ({"tags": "vision"}, "face-detection-0200 face-detection-0202"),
        ({"tags": "small,audio"}, "face-detection-0200 Speech"),
        ({"tags": "small", "tasks": "detection", "frameworks": "dldt"}, "face-detection-0200"),
        ({"exclude": "face-*,*action*,mine:*,Speech@*"}, "mtcnn-p demo:prob-wine prob-digits"),
        ({"exclude": "zoo:action,mine:*,demo:*", "frameworks": "onnx"}, "Speech"),
        ({"exclude": "nothing-of-that-name", "tags": "audio"}, "Speech"),
    ],
)
def test_conditions(conditions: dict[str, str], expected: str) -> None:
    assert pick(**conditions) == expected


def test_conditions_narrow_patterns_down() -> None:
    assert pick("prob-*", "face-*", tags="vision", exclude="*0202") == "face-detection-0200"
    assert pick("Speech", "face-*", tags="audio,small") == "Speech face-detection-0200"


def test_no_patterns_are_no_models() -> None:
    assert select(ZOO, Filters(patterns=())) == []


def refused(message: str, near: str | None, *patterns: str, **conditions: str) -> None:
    """The error says so, and names what may have been meant (None: whatever)."""
    with pytest.raises(SelectionError) as caught:
        pick(*patterns, **conditions)
    error = caught.value
    assert error.message.startswith(message)
    assert error.reason is Reason.NOT_FOUND
    assert near is None or " ".join(error.near) == near
    assert all(name in str(error) for name in error.near)


@pytest.mark.parametrize(
    ("patterns", "near"),
    [
        ("mtcnn", "mtcnn-p"),
        ("mtcnn-p,MTCNN-P", "mtcnn-p"),
        ("face-detecton-0200", None),
        ("prob-digit", "prob-digits"),
        ("wine", "mine:prob-wine demo:prob-wine"),
        ("xyz*", ""),
        ("zoo:prob-wine", None),
        ("Speech@2", "Speech"),
    ],
)
def test_a_pattern_that_matches_nothing(patterns: str, near: str | None) -> None:
    *others, pattern = patterns.split(",")
    refused(f'No matching models: "{pattern}".', near, *others, pattern)


@pytest.mark.parametrize(
    ("name", "names"),
    [("prob-wine", "demo:prob-wine mine:prob-wine"), ("action", "mine:action zoo:action")],
)
def test_a_bare_name_of_several_sources(name: str, names: str) -> None:
    refused(f'"{name}" is declared by several sources; choose one.', names, name)


@pytest.mark.parametrize(
    ("option", "values", "near"),
    [
        ("task", "detecting", "detection"),
        ("task", "detection,x", "action_recognition classification detection"),
        ("framework", "cafe", "caffe"),
        ("license", "MIT", "https://example.com/Apache-2.0 https://example.com/MIT"),
        ("tag", "Vision", "vision"),
    ],
)
def test_a_condition_that_nothing_meets(option: str, values: str, near: str) -> None:
    last = values.split(",")[-1]
    refused(f'No matching models: --{option} "{last}".', near, **{f"{option}s": values})


def test_conditions_that_leave_nothing() -> None:
    refused("No models are left", "", tags="audio", tasks="detection")
    refused("No models are left", "", "mtcnn-p", exclude="mtcnn*")
    refused("No models are left", "", exclude="*")


def test_exclusions_that_exclude_nothing() -> None:
    def doubts(*exclude: str) -> list[str]:
        return list(idle_exclusions(ZOO, Filters(patterns=("Speech",), exclude=exclude), ["left-out"]))

    assert doubts("*", "mtcnn-p", "action", "Speech@1.2", "left-*") == []
    assert doubts("mtcnn-o", "*x") == [
        '--exclude "mtcnn-o" matches no model. Did you mean mtcnn-p?',
        '--exclude "*x" matches no model.',
    ]


def test_near_names_are_few_and_can_be_composites() -> None:
    assert near_names(ZOO, "actio") == ["action"]
    assert len(near_names([model(f"face-{n}") for n in range(50)], "face")) == 3
    assert near_names(ZOO, "x" * 100_000) == []


def test_names_that_look_like_patterns_can_be_selected() -> None:
    odd = catalog(model("m", "s[1]"), model("m", "s1"))
    assert ids(select(odd, Filters(patterns=("s[1]:m",)))) == "s[1]:m s1:m"
    assert ids(select(odd, Filters(patterns=("s1:m",)))) == "s1:m"


NAMES = st.text(st.sampled_from("ab-"), min_size=1, max_size=3)
MODELS = st.lists(
    st.builds(
        lambda name, source, composite, version: model(
            name, source, composite=composite, version=version
        ),
        NAMES,
        st.sampled_from(["s", "t"]),
        st.none() | NAMES,
        st.none() | st.sampled_from(["1", "2"]),
    ),
    unique_by=lambda m: (m.source, m.name),
    max_size=6,
).map(lambda models: catalog(*models))
PATTERNS = st.lists(st.text(st.sampled_from("ab-*?:@s1[]!"), min_size=1, max_size=4), max_size=4)


def names_of(m: Model) -> list[str]:
    names = [m.name, *([m.composite] if m.composite else [])]
    versioned = [f"{m.name}@{m.version}"] if m.version else []
    return [prefix + name for name in names + versioned for prefix in ("", f"{m.source}:")]


@given(MODELS, PATTERNS, st.lists(NAMES | st.just("*a*"), max_size=2))
def test_a_selection_is_an_ordered_part_of_the_catalog(
    models: list[Model], patterns: list[str], exclude: list[str]
) -> None:
    def rank(m: Model) -> tuple[int, int]:
        first = next(n for n, p in enumerate(patterns) if fits(m, p))
        return first, models.index(m)

    def fits(m: Model, pattern: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for name in names_of(m))

    meant = [[m for m in models if fits(m, pattern)] for pattern in patterns]
    wanted = {m.id for found in meant for m in found if not any(fits(m, p) for p in exclude)}
    doubt = any(
        len({m.source for m in found}) > 1 and not set(pattern) & set("*?[")
        for found, pattern in zip(meant, patterns, strict=True)
    )
    filters = Filters(patterns=tuple(patterns), exclude=tuple(exclude))
    if doubt or not all(meant) or (patterns and not wanted):
        with pytest.raises(SelectionError):
            select(models, filters)
    else:
        chosen = select(models, filters)
        assert {m.id for m in chosen} == wanted
        ranks = [rank(m) for m in chosen]
        assert all(a < b for a, b in itertools.pairwise(ranks))


@given(MODELS)
def test_without_patterns_it_is_the_whole_catalog(models: list[Model]) -> None:
    if models:
        assert select(models, Filters()) == models
