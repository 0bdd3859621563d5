"""Trees of model.yml and composite-model.yml: order, names, composites, and what cannot be read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from modelzoo.catalog import Source, load_catalog, omz
from modelzoo.errors import CatalogError
from modelzoo.model import Model

from tests.omz import ENTRY, config
from tests.zoo import add_model


def plant(root: Path, *folders: str) -> None:
    """A model in each of these folders, a composite in those that end with a slash."""
    for folder in folders:
        if folder.endswith("/"):
            (root / folder).mkdir(parents=True, exist_ok=True)
            (root / folder / "composite-model.yml").touch()
        else:
            add_model(root, folder, config())


def load(root: Path) -> list[Model]:
    return omz.load(root, "here", pytest.fail)


def refused(root: Path, file: str, model: str, problem: str, key: str = "") -> CatalogError:
    with pytest.raises(CatalogError) as caught:
        load(root)
    error = caught.value
    assert (error.file, error.model, error.key) == (str(root / file), model, key)
    assert problem in error.problem
    assert error.file in str(error)
    return error


@pytest.mark.parametrize(
    ("folders", "order"),
    [
        (["b", "a", "c"], "a b c"),
        (["intel/z", "public/a", "intel/y"], "y z a"),
        (["a/z", "a-b/y", "a.b/x"], "z y x"),
        (["Z", "a", "_", "1", "10", "9"], "1 10 9 Z _ a"),
        (["m", "m/a", "m/z", "deep/er/still/x"], "x a m z"),
        (["p/c-2", "p/c/", "p/c/c-b", "p/c/c-a", "p/b"], "b c-a c-b c-2"),
        ([".git/m", "a/.hidden/m", "a/b"], "b"),
    ],
)
def test_order_of_the_paths_of_the_config_files(tmp_path: Path, folders: list[str], order: str) -> None:
    plant(tmp_path, *folders)
    models = load(tmp_path)
    assert [model.name for model in models] == order.split()
    assert {model.subdirectory for model in models} <= set(folders)
    assert all(model.subdirectory.endswith(model.name) for model in models)


def test_the_tree_itself_can_be_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "m")
    monkeypatch.chdir(tmp_path / "m")
    for path in (tmp_path / "m", Path("."), Path("../m"), Path("../../" + tmp_path.name, "m")):
        (model,) = load(path)
        assert (model.name, model.subdirectory, model.composite) == ("m", "m", None)


def test_other_ways_to_write_the_path_of_a_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative sources stay inside of the catalog however its path is written."""
    add_model(tmp_path, "zoo/m", config(files=[{**ENTRY, "source": "sub/model.onnx"}]))
    (tmp_path / "link").symlink_to("zoo")
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    for path in ("../zoo", "../zoo/", "../cwd/../zoo", "../link"):
        (model,) = load(Path(path))
        assert model.files[0].origins[0].url == (tmp_path / "zoo/m/sub/model.onnx").as_uri()


@pytest.mark.parametrize(
    ("folder", "problem"),
    [
        ("public/a b", "may hold only 0-9 a-z A-Z . _ -"),
        ("public/ä", "may hold only"),
        ("public/a:b", "may hold only"),
        ("public/*", "may hold only"),
        ("public/a\n", "may hold only"),
        ("public/aux", "is a device on Windows"),
        ("public/m.", "must not end with a dot"),
        ("pub?lic/m", "must not hold any of"),
        ("x\\y/m", "must not hold a backslash"),
        ("m.download", "marks files in flight"),
        ("MODELZ~1/m", "is kept for the tools"),
    ],
)
def test_names_of_folders(tmp_path: Path, folder: str, problem: str) -> None:
    plant(tmp_path, folder)
    refused(tmp_path, f"{folder}/model.yml", folder.rpartition("/")[2], problem)


def test_a_folder_that_is_no_text(tmp_path: Path) -> None:
    plant(tmp_path, os.fsdecode(b"caf\xe9/m"))
    with pytest.raises(CatalogError, match="control or invisible"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("folders", "first", "second"),
    [
        (["a/m", "b/m"], "a/m/model.yml", "b/m/model.yml"),
        (["m", "z/m"], "m/model.yml", "z/m/model.yml"),
        (["a/c/", "b/c/"], "a/c/composite-model.yml", "b/c/composite-model.yml"),
        (["a/c/", "b/c"], "a/c/composite-model.yml", "b/c/model.yml"),
        (["a/c/", "a/c/c-1", "b/c-1"], "a/c/c-1/model.yml", "b/c-1/model.yml"),
    ],
)
def test_two_of_one_name(tmp_path: Path, folders: list[str], first: str, second: str) -> None:
    plant(tmp_path, *folders)
    name = Path(second).parent.name
    refused(tmp_path, second, name, f"is also declared in {tmp_path / first}")


def test_the_same_name_in_two_trees_is_qualified(tmp_path: Path) -> None:
    plant(tmp_path, "a/m", "a/only-a", "b/m", "b/c/", "b/c/c-1")
    sources = [Source(name, tmp_path / name) for name in "ba"]
    models = load_catalog(sources, pytest.fail)
    assert [model.id for model in models] == ["c-1", "b:m", "a:m", "only-a"]
    assert [model.name for model in models] == ["c-1", "m", "m", "only-a"]


COMPOSITE = "a/c/composite-model.yml"


def test_stages(tmp_path: Path) -> None:
    plant(tmp_path, "a/c/", "a/c/c-2", "a/c/c-1", "a/other")
    (tmp_path / COMPOSITE).write_text(
        "description: Two stages.\ntask_type: detection\nframework: dldt\nlicense: https://x\n"
        "stages_order: [c-2, c-1]\n"
    )
    models = load(tmp_path)
    assert [(m.name, m.composite, m.subdirectory) for m in models] == [
        ("c-1", "c", "a/c/c-1"),
        ("c-2", "c", "a/c/c-2"),
        ("other", None, "a/other"),
    ]
    (stage,) = load(tmp_path / "a/c/c-1")
    assert stage.composite is None
    assert [m.composite for m in load(tmp_path / "a/c")] == ["c", "c"]


@pytest.mark.parametrize("text", ["", "# only a comment\n", "{}", "description: x", "later: [key]"])
def test_a_composite_may_say_little(tmp_path: Path, text: str) -> None:
    plant(tmp_path, "a/c/", "a/c/c-1")
    (tmp_path / COMPOSITE).write_text(text)
    assert [(m.name, m.composite) for m in load(tmp_path)] == [("c-1", "c")]


def test_a_composite_without_stages_selects_nothing(tmp_path: Path) -> None:
    plant(tmp_path, "a/c/", "a/c/pictures/m.d/")
    (tmp_path / "a/c/pictures/m.d/composite-model.yml").unlink()
    assert omz.recognises(tmp_path)
    assert load(tmp_path) == []


@pytest.mark.parametrize(
    ("folders", "text", "key", "problem"),
    [
        (["a/c/", "a/c"], "", "", "the folder must not hold model.yml too"),
        (["a/c/", "a/c/c-1/x"], "", "", "stages must be direct children, found {}/a/c/c-1/x"),
        (["a/c/", "a/c/c-1", "a/c/c-1/deep/c-2"], "", "", "stages must be direct children"),
        (["a/c/", "a/c/c-1/", "a/c/c-1/c-1-2"], "", "", "stages must be direct children"),
        (["a/c/", "a/c/1"], "", "", 'expected stage names to start with "c-", got "1"'),
        (["a/c/", "a/c/cc"], "", "", 'expected stage names to start with "c-", got "cc"'),
        (["a/c/", "a/c/c-1"], "stages_order: [c-1, c-2]", "stages_order", "no such stage: c-2"),
        (["a/c/", "a/c/c-1"], "stages_order: c-1", "stages_order", "Expected `array`, got `str`"),
        (["a/c/", "a/c/c-1"], "stages_order: [1]", "stages_order[0]", "Expected `str`, got `int`"),
        (["a/c/", "a/c/c-1"], "[c-1]", "", "Expected `object`, got `array`"),
    ],
)
def test_composites_that_are_refused(
    tmp_path: Path, folders: list[str], text: str, key: str, problem: str
) -> None:
    plant(tmp_path, *folders)
    (tmp_path / COMPOSITE).write_text(text)
    refused(tmp_path, COMPOSITE, "c", problem.format(tmp_path), key)


@pytest.mark.parametrize("name", ["model.yml", "composite-model.yml"])
@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"a: [1\n", "is not valid YAML: line 2"),
        (b"a: &x [*x]", "line 1: anchors are not allowed"),
        (b"- " * 50_000, "is nested deeper than"),
        (b"\xff\xfe", "is not valid YAML: 'utf-8'"),
        (b"#" * (2 << 20), "is larger than"),
    ],
)
def test_documents_that_are_refused(tmp_path: Path, name: str, data: bytes, problem: str) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / name).write_bytes(data)
    refused(tmp_path, f"m/{name}", "m", problem)


@pytest.mark.parametrize("name", ["model.yml", "composite-model.yml"])
def test_config_files_that_are_no_files(tmp_path: Path, name: str) -> None:
    """What is there but cannot be read is never passed over in silence."""
    for kind, problem in (
        ("broken link", "No such file"),
        ("loop", "symbolic links"),
        ("pipe", "regular"),
    ):
        folder = tmp_path / kind / "m"
        folder.mkdir(parents=True)
        if kind == "pipe":
            os.mkfifo(folder / name)
        else:
            (folder / name).symlink_to(name if kind == "loop" else "nothing")
        refused(tmp_path / kind, f"m/{name}", "m", problem)


@contextmanager
def closed(path: Path) -> Iterator[None]:
    """Nobody may read it, and we are not root, who may read everything."""
    user, mode = os.geteuid(), path.stat().st_mode
    path.chmod(0)
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        path.chmod(mode)


def test_what_must_not_be_read() -> None:
    """A model or the whole tree: an error; a folder somewhere in it: a warning."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        plant(root, "zoo/a/n", "zoo/b/m")
        for path in (root, root / "zoo"):
            path.chmod(0o755)
        told: list[str] = []
        with closed(root / "zoo/b/m/model.yml"):
            refused(root / "zoo", "b/m/model.yml", "m", "cannot be read: Permission denied")
        with closed(root / "zoo/b"):
            assert [model.name for model in omz.load(root / "zoo", "here", told.append)] == ["n"]
            with pytest.raises(CatalogError, match="cannot be read: Permission denied"):
                omz.load(root / "zoo", "here", pytest.fail, strict=True)
        assert told == [f"{root}/zoo/b: cannot be read: Permission denied"]
        with closed(root / "zoo"):
            assert not omz.recognises(root / "zoo")
            refused(root / "zoo", "", "", "cannot be read: Permission denied")


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="cannot be read: No such file"):
        load(tmp_path / "nothing")


def test_models_of_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    """A link could lead round in a circle, or out of the catalog."""
    plant(tmp_path, "zoo/m", "elsewhere/x")
    (tmp_path / "zoo/round").symlink_to(tmp_path / "zoo")
    (tmp_path / "zoo/out").symlink_to(tmp_path / "elsewhere")
    assert [model.name for model in load(tmp_path / "zoo")] == ["m"]
