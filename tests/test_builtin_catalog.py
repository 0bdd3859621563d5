"""The built-in sources, and which sources are active when."""

from __future__ import annotations

from pathlib import Path

import modelzoo
import pytest
from modelzoo.catalog import active_sources, builtin_tree, load_catalog
from modelzoo.checksum import file_checksum
from modelzoo.errors import CatalogError, SelectionError
from modelzoo.files.paths import clash
from modelzoo.model import Model

from tests.conftest import ROOT, tool
from tests.omz import config
from tests.zoo import add_model


@pytest.fixture(scope="module")
def builtin() -> list[Model]:
    """The models of the built-in sources; a warning about ours is a failure."""
    return load_catalog(active_sources(environ={}), pytest.fail)


def test_sixty_models_and_the_demo(builtin: list[Model]) -> None:
    count = {top: [m for m in builtin if m.subdirectory.startswith(top)] for top in ("public", "intel")}
    assert {top: len(models) for top, models in count.items()} == {"public": 22, "intel": 38}
    demo = [model for model in builtin if model.source == "demo"]
    assert len(demo) >= 6
    assert all(model.name.startswith("prob-") for model in demo)
    assert all(model.subdirectory == f"demo/{model.name}" for model in demo)
    assert len(builtin) == 60 + len(demo)
    assert [model.id for model in builtin] == [model.name for model in builtin]
    assert [model.source for model in builtin] == ["builtin"] * 60 + ["demo"] * len(demo)


def test_every_file_can_be_verified(builtin: list[Model]) -> None:
    for model in builtin:
        assert model.files, model.name
        for file in model.files:
            assert file.size, (model.name, file.name)
            assert file.checksum, (model.name, file.name)
            assert file.checksum.type == "sha384"
            assert file.origins
            scheme = "file:" if model.source == "demo" else "https:"
            assert all(origin.url.startswith(scheme) for origin in file.origins)
    destinations = [f"{model.subdirectory}/{file.name}" for model in builtin for file in model.files]
    assert clash(destinations) is None


def test_every_model_says_what_it_is(builtin: list[Model]) -> None:
    for model in builtin:
        assert len(model.description) > 40, model.name
        assert model.description == model.description.strip()
        assert model.license_url.startswith("https://")
        assert model.precisions, model.name
        assert model.input_info, model.name
        assert all(set(info) == {"name", "shape", "layout"} for info in model.input_info)
    assert len({model.description for model in builtin}) == len(builtin)


def test_the_demo_carries_its_files(builtin: list[Model]) -> None:
    tree = builtin_tree()
    for model in (model for model in builtin if model.source == "demo"):
        assert model.license_url
        assert model.version
        assert "demo" in model.tags
        for file in model.files:
            path = tree / model.subdirectory / file.name
            assert path.stat().st_size == file.size
            assert file_checksum(path, "sha384") == file.checksum
            assert [origin.url for origin in file.origins] == [path.as_uri()]


def test_ours_is_the_tree_of_the_checkout() -> None:
    assert builtin_tree().resolve() == ROOT / "models"


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Trees with one model each, the current folder among them."""
    for name in ("a", "b", "deep/a", "c d*", "demo", "home/mine"):
        add_model(tmp_path / name, f"m-{name[0]}", config())
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("a")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.usefixtures("folders")
@pytest.mark.parametrize(
    ("wanted", "environ", "names"),
    [
        ([], {}, "builtin demo"),
        ([], {"MODELZOO_SOURCE": ""}, "builtin demo"),
        ([], {"MODELZOO_SOURCE": " \n "}, "builtin demo"),
        ([], {"TVAI_MODEL_DIR": ""}, "builtin demo"),
        ([], {"TVAI_MODEL_DIR": "empty"}, "builtin topaz"),
        ([], {"TVAI_MODEL_DIR": " "}, "builtin demo"),
        (["topaz", "a"], {"TVAI_MODEL_DIR": "empty"}, "topaz a"),
        (["topaz", "empty"], {"TVAI_MODEL_DIR": "empty"}, "topaz empty"),
        ([], {"MODELZOO_SOURCE": "a"}, "a"),
        ([], {"MODELZOO_SOURCE": "a\n\n  b  \ndemo\n"}, "a b demo"),
        ([], {"MODELZOO_SOURCE": "a", "TVAI_MODEL_DIR": "/opt/models"}, "a"),
        (["a"], {"MODELZOO_SOURCE": "b"}, "a"),
        (["demo"], {"TVAI_MODEL_DIR": "/opt/models"}, "demo"),
        (["builtin"], {}, "builtin"),
        (["demo", "builtin"], {}, "demo builtin"),
        (["b", "a"], {}, "b a"),
        (["a", "deep/a", "./deep/../deep/a"], {}, "a a-2"),
        (["a", "a", "./a", "link", "b/../a/"], {}, "a"),
        (["demo", "./demo"], {}, "demo demo-2"),
        (["link"], {}, "a"),
        (["~/mine"], {}, "mine"),
        (["c d*"], {}, "c-d-"),
        (["/"], {}, "root"),
    ],
)
def test_active_sources(wanted: list[str], environ: dict[str, str], names: str) -> None:
    assert " ".join(source.name for source in active_sources(wanted, environ)) == names


@pytest.mark.usefixtures("folders")
@pytest.mark.parametrize(
    "source", ["", "nothing", "~nobody-of-this-name/x", "x" * 5000, "a\0b", "Demo"]
)
def test_no_such_source(source: str) -> None:
    for wanted, environ in (
        ([source], {}),
        (["a", source], {}),
        ([], {"MODELZOO_SOURCE": f"a\n{source}"}),
    ):
        if wanted or source:
            with pytest.raises(
                SelectionError, match=r"^No such source: .* or builtin or demo or topaz"
            ):
                active_sources(wanted, environ)


def test_a_folder_without_models_is_an_error(folders: Path) -> None:
    with pytest.raises(
        CatalogError,
        match=r"holds no models of a known format \(.*Open Model Zoo tree, Topaz .*, .*URL list",
    ):
        load_catalog(active_sources(["empty"]), pytest.fail)
    done = tool("info_dumper", "--all", "--source", folders / "empty", check=1)
    assert done.stdout == ""
    assert f"{folders}/empty: holds no models" in done.stderr
    done = tool("info_dumper", "--all", "--source", folders / "file", check=1)
    assert f"{folders}/file: holds no models" in done.stderr


def listed(*arguments: str, **environ: str) -> list[str]:
    return tool("info_dumper", "--print_all", *arguments, environ=environ).stdout.split()


def test_the_tools_and_the_api_agree(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = listed()
    assert len([name for name in every if name.startswith("prob-")]) >= 6
    assert modelzoo.list_models() == every
    sixty = listed(TVAI_MODEL_DIR=str(folders))
    assert sixty == every[:60]
    assert listed("--source", "demo", TVAI_MODEL_DIR=str(folders)) == every[60:]
    assert listed("--source", "demo", "--source", "builtin") == every[60:] + every[:60]
    monkeypatch.setenv("MODELZOO_SOURCE", f"{folders}/b\n{folders}/a\n")
    assert listed() == modelzoo.list_models() == ["m-b", "m-a"]
    assert listed("--source", str(folders / "a")) == ["m-a"]
    assert modelzoo.list_models(sources=[folders / "a"]) == ["m-a"]
    assert listed("--source", "builtin") == sixty


@pytest.mark.usefixtures("folders")
def test_one_name_in_several_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELZOO_SOURCE", "a\ndeep/a\nlink\nb")
    add_model(Path("b"), "m-a", config())
    add_model(Path("deep/a"), "m-a", config())
    assert listed() == ["a:m-a", "a-2:m-a", "m-d", "b:m-a", "m-b"]
    done = tool("info_dumper", "--name", "m-a", check=1)
    assert "Did you mean a:m-a, a-2:m-a, b:m-a?" in done.stderr
    assert [model.id for model in modelzoo.find(["a-2:m-a", "*:m-a"])] == ["a-2:m-a", "a:m-a", "b:m-a"]
