"""FiftyOne's functions: what they answer beyond the examples of the docs, and how they refuse."""

from __future__ import annotations

import inspect
from pathlib import Path

import modelzoo
import pytest
from modelzoo import fiftyone as foz
from modelzoo.errors import ModelZooError, SelectionError, UsageError

from tests.remote import entry, files_of, managed, write
from tests.zoo import add_local_model


@pytest.fixture(autouse=True)
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two sources that share a model, and one that nobody can read."""
    monkeypatch.setenv("FIFTYONE_MODEL_ZOO_DIR", str(tmp_path / "zoo"))
    (tmp_path / "w").write_text("weights")
    url = (tmp_path / "w").as_uri()
    one = [
        managed("clip.pt", "clip.pt", url, version=v, license="MIT, Apache-2.0", tags=["a", "b"])
        for v in ("1.9", "1.10")
    ]
    two = [entry("clip.pt", "w"), managed("only", "o", url, tags=["a"], license="GPL"), entry("hub")]
    for name, models in (("me/one", one), ("two", two)):
        modelzoo.register_source(str(write(tmp_path / name, files_of(name, *models))))
    return tmp_path / "zoo"


def test_lists() -> None:
    everything = ["clip.pt@1.10", "clip.pt@1.9", "hub", "only", "two:clip.pt"]
    for name in everything:
        assert foz.get_zoo_model(name).id == name
    assert foz.list_zoo_models() == everything
    assert foz.list_zoo_models(tags="a") == ["clip.pt@1.10", "clip.pt@1.9", "only"]
    assert foz.list_zoo_models(tags=["a", "b"]) == ["clip.pt@1.10", "clip.pt@1.9"]
    assert foz.list_zoo_models(tags=["a", "c"]) == []
    assert foz.list_zoo_models(license="MIT") == ["clip.pt@1.10", "clip.pt@1.9"]
    assert foz.list_zoo_models(license=["GPL", "Apache-2.0"]) == ["clip.pt@1.10", "clip.pt@1.9", "only"]
    assert foz.list_zoo_models(source="two") == ["clip.pt", "hub", "only"]
    assert foz.list_zoo_models(source=foz.list_zoo_model_sources()[0]) == everything[:2]
    assert foz.list_zoo_models(source="unknown/source") == []


def test_names(zoo: Path) -> None:
    assert foz.get_zoo_model("me/one:clip.pt").version == "1.10"
    assert foz.get_zoo_model("clip@1.9.pt").id == "clip.pt@1.9"
    with pytest.raises(SelectionError, match=r"me/one:clip\.pt, two:clip\.pt"):
        foz.get_zoo_model("clip.pt")
    with pytest.raises(SelectionError, match="several models"):
        foz.get_zoo_model("clip.pt@1*")
    with pytest.raises(SelectionError, match="only"):
        foz.get_zoo_model("onyl")
    path = foz.download_zoo_model("clip.pt@1.9")[1]
    assert path == str(zoo / "me/one/clip-v1.9.pt")
    assert list(foz.list_downloaded_zoo_models()) == ["clip.pt@1.9"]
    assert not foz.is_zoo_model_downloaded("me/one:clip.pt")
    assert not foz.is_zoo_model_downloaded("hub")


def test_a_download_that_is_there_is_not_repeated_unless_told(zoo: Path, tmp_path: Path) -> None:
    foz.download_zoo_model("only")
    (tmp_path / "w").write_text("changed")
    foz.download_zoo_model("only")
    assert (zoo / "two/o").read_text() == "weights"
    foz.download_zoo_model("only", overwrite=True)
    assert (zoo / "two/o").read_text() == "changed"
    for damage in ("", "chan"):
        (zoo / "two/o").write_text(damage)
        assert not foz.is_zoo_model_downloaded("only")
        with pytest.raises(ModelZooError, match="only is not downloaded"):
            foz.find_zoo_model("only")
        foz.download_zoo_model("only")
        assert (zoo / "two/o").read_text() == "changed"


def test_loading(zoo: Path) -> None:
    with pytest.raises(ModelZooError, match="only is not downloaded"):
        foz.load_zoo_model("only", download_if_necessary=False, trust_remote_code=True)
    assert foz.load_zoo_model("only", size=3).what == [
        "only",
        str(zoo / "two/o"),
        {"size": 3},
        "weights",
    ]
    old = foz.load_zoo_model("me/one:clip.pt@1.9", trust_remote_code=True)
    assert old.what[:2] == ["clip@1.9.pt", str(zoo / "me/one/clip-v1.9.pt")]


def test_a_source_and_a_model_at_once(zoo: Path, tmp_path: Path) -> None:
    new = write(tmp_path / "new", files_of("new", managed("only", "o", (tmp_path / "w").as_uri())))
    for _ in range(2):
        model, path = foz.download_zoo_model(str(new), model_name="only")
        assert (model.source, path) == ("new", str(zoo / "new/o"))
    assert foz.load_zoo_model(str(new), "only", trust_remote_code=True).what[1] == path
    foz.register_zoo_model_source(str(new), overwrite=True)
    with pytest.raises(UsageError):
        foz.download_zoo_model("no reference", "only")


def test_a_source_that_cannot_be_read_is_left_out(zoo: Path) -> None:
    write(zoo, {"broken/manifest.json": "{"})
    with pytest.warns(UserWarning, match="broken is left out"):
        assert "only" in foz.list_zoo_models()


def test_other_formats_are_not_loaded(tmp_path: Path) -> None:
    add_local_model(tmp_path / "omz", "net", {"w": b"w"})
    (model,) = modelzoo.find("net", sources=[tmp_path / "omz"])
    with pytest.raises(ModelZooError, match="is not of a source that could load it"):
        modelzoo.load_model(model)


def test_the_parameters_are_fiftyones() -> None:
    expected = {
        "download_zoo_model": ["name_or_url", "model_name", "overwrite"],
        "load_zoo_model": ["name_or_url", "model_name", "download_if_necessary", "ensure_requirements"],
        "list_zoo_models": ["tags", "source", "license"],
        "register_zoo_model_source": ["url_or_gh_repo", "overwrite"],
        "delete_zoo_model_source": ["url_or_gh_repo"],
        "ensure_zoo_model_requirements": ["name", "error_level"],
    }
    for name, parameters in expected.items():
        assert list(inspect.signature(getattr(foz, name)).parameters)[: len(parameters)] == parameters
