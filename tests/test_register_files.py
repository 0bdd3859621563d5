"""Registering single files of this machine: lists of URLs, and what is no source."""

from __future__ import annotations

from pathlib import Path

import modelzoo
import pytest
from modelzoo.errors import CatalogError, ModelZooError

from tests.zoo import tree


@pytest.fixture(autouse=True)
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELZOO_ZOO_DIR", str(tmp_path / "zoo"))
    return tmp_path / "zoo"


def installed(zoo: Path) -> list[str]:
    """What is in the zoo, without what the tools keep for themselves."""
    return [name for name in tree(zoo) if not name.startswith(".modelzoo")]


@pytest.mark.parametrize("ending", ["txt", "yml"])
def test_a_list_on_this_machine(ending: str, tmp_path: Path, zoo: Path) -> None:
    lists = {
        "txt": "net/a.bin=https://example.com/{}\n",
        "yml": "models:\n- {{name: net, files: [{{name: a.bin, source: 'https://example.com/{}'}}]}}\n",
    }
    file = tmp_path / f"mine.{ending}"
    file.write_text(lists[ending].format("1"))
    (source,) = modelzoo.register_source(str(file))
    assert (source.name, source.format, source.reference) == ("mine", "urls", file.as_uri())
    assert installed(zoo) == ["mine", f"mine/models.{ending}"]
    file.write_text(lists[ending].format("2"))
    modelzoo.refresh_source("mine")
    (model,) = modelzoo.find(sources=["mine"])
    assert (model.id, model.files[0].origins[0].url) == ("net", "https://example.com/2")
    file.write_text("models: [3]" if ending == "yml" else "nonsense")
    with pytest.raises(CatalogError) as caught:
        modelzoo.refresh_source("mine")
    assert str(tmp_path / "zoo") not in str(caught.value)
    assert modelzoo.list_models(sources=["mine"]) == ["net"]


@pytest.mark.parametrize("name", ["notes.yml", "model.bin"])
def test_a_file_that_is_no_source(name: str, tmp_path: Path, zoo: Path) -> None:
    (tmp_path / name).write_text("about: something else\n")
    with pytest.raises(ModelZooError, match="is no folder, archive or list of URLs"):
        modelzoo.register_source(str(tmp_path / name))
    assert installed(zoo) == []
