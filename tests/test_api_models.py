"""What `download` takes: names and models in any mixture, from catalogs that are read when needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import modelzoo
import msgspec
import pytest

from tests.zoo import add_local_model

PATCH = {"$type": "regex_replace", "file": "a.bin", "pattern": "a", "replacement": "b"}


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """A source with three models, of which one cannot be patched."""
    root = tmp_path / "zoo"
    add_local_model(root, "local", {"a.bin": b"abc"})
    add_local_model(root, "second", {"a.bin": b"x"})
    add_local_model(root, "wrong", {"a.bin": b"x"}, postprocessing=[PATCH])
    return root


def test_models_may_be_given_in_any_way(zoo: Path, tmp_path: Path) -> None:
    (local,) = modelzoo.find("local", sources=[zoo])
    elsewhere = msgspec.structs.replace(local, name="copy", id="copy", subdirectory="sub/copy")
    mixed: list[Any] = [local, "loc*", elsewhere, local, "local"]
    summary = modelzoo.download(mixed, tmp_path / "out", sources=[zoo])
    assert [m.model for m in summary.models] == ["local", "copy"]
    names = ["second", local, "wr*", elsewhere]
    with pytest.raises(modelzoo.DownloadFailed) as caught:
        modelzoo.download(names, tmp_path / "out", sources=zoo)
    assert [m.model for m in caught.value.summary.models] == ["second", "local", "wrong", "copy"]
    assert (tmp_path / "out" / "sub" / "copy" / "a.bin").read_bytes() == b"abc"
    assert modelzoo.download(iter([local]), tmp_path / "out").successful
    assert modelzoo.download([], tmp_path / "none", sources=[zoo]).models == []
    assert modelzoo.download(local, tmp_path / "one").successful
    with pytest.raises(TypeError, match="expected names or models, got 1"):
        modelzoo.download([local, 1], tmp_path / "none")  # type: ignore[list-item]
    assert not (tmp_path / "none").exists()


def test_models_need_no_catalog(zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = modelzoo.find("local", sources=str(zoo))
    monkeypatch.setenv("MODELZOO_SOURCE", "nowhere")
    assert modelzoo.download(models, tmp_path / "out").successful
    with pytest.raises(modelzoo.SelectionError, match="nowhere"):
        modelzoo.download([*models, "local"], tmp_path / "out")


def test_two_models_of_one_name_are_not_mixed_up(zoo: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "zoo"
    add_local_model(other, "local", {"b.bin": b"other"})
    (one,), (two,) = (modelzoo.find("local", sources=root) for root in (zoo, other))
    with pytest.raises(modelzoo.ModelZooError) as caught:
        modelzoo.download([one, two], tmp_path / "out")
    assert str(caught.value) == (
        f"two different models are called zoo:local: {zoo / 'local'} and {other / 'local'}"
    )
    assert not (tmp_path / "out").exists()
    # What a model is called depends on the sources that were active, and makes it no other one.
    (named,) = modelzoo.find("zoo:local", sources=[zoo, other])
    assert named.id == "zoo:local" != one.id
    assert len(modelzoo.download([one, named], tmp_path / "out").models) == 1


def test_warnings_are_about_the_line_of_the_caller(zoo: Path, tmp_path: Path) -> None:
    add_local_model(zoo, "odd", {"a.bin": b"x"}, an_unknown_key=1)
    calls: list[Callable[[], object]] = [
        lambda: modelzoo.list_models(sources=zoo),
        lambda: modelzoo.find("odd", sources=zoo),
        lambda: modelzoo.info("odd", sources=zoo),
        lambda: modelzoo.download("odd", tmp_path / "out", sources=zoo),
    ]
    for call in calls:
        with pytest.warns(UserWarning, match="an_unknown_key") as caught:
            call()
        assert [warning.filename for warning in caught] == [__file__]
