"""One contract for every catalog format: what `modelzoo.catalog.formats()` finds is tested here."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from modelzoo.catalog import Source, formats, load_catalog
from modelzoo.checksum import LENGTHS
from modelzoo.description import describe
from modelzoo.errors import CatalogError
from modelzoo.files.paths import clash, safe_path
from modelzoo.model import Model, ModelFile
from modelzoo.registry.layout import header_key
from modelzoo.registry.storage import connect

from tests.registry import LSTM, MLP, plant
from tests.remote import files_of, managed, write
from tests.topaz import AMQ, PROB, add_topaz
from tests.zoo import add_model, content, file_entry, model_config, tree


class Example(NamedTuple):
    """What a format's builder makes: a tree that loads, and the way to break one model of it."""

    names: list[str]
    """The models, in the order in which they have to come."""
    damage: Callable[[Path], str]
    """Puts something wrong into the tree at this path; returns the name of the model it hits."""
    place: str = "."
    """Where in the folder it is, when a source of this format is a file."""


def _omz(root: Path) -> Example:
    for name in ("public/zebra", "public/ant", "intel/cat/cat-tail", "intel/cat/cat-head"):
        data = content(name, 100)
        entry = file_entry("FP16/model.bin", data, ["model.bin", "https://example.com/model.bin"])
        folder = add_model(root, name, model_config([entry, file_entry("m.txt", data, "m.txt")]))
        (folder / "model.bin").write_bytes(data)
        (folder / "accuracy-check.yml").write_text("[broken, but nobody's business")
    (root / "intel/cat/composite-model.yml").write_text("stages_order: [cat-head, cat-tail]\n")

    def damage(path: Path) -> str:
        config = path / "public/ant/model.yml"
        config.write_text(config.read_text().replace("size: 100", "size: -1", 1))
        return "ant"

    return Example(["cat-head", "cat-tail", "ant", "zebra"], damage)


def _fiftyone(root: Path) -> Example:
    url = "https://example.com/model.bin"
    models = [managed("zebra", "z/w.bin", url, version="1.9"), managed("ant", "ant.zip", url)]
    models += [
        managed("zebra", "z/w.bin", "w.bin", version=1.10),
        managed("a/b", "b", "b", license=None),
    ]
    write(root, files_of("me/mine", *models))

    def damage(path: Path) -> str:
        write(path, files_of("me/mine", *models[:3], managed("a/b", "../b", url)))
        return "a/b"

    return Example(["zebra@1.9", "ant", "zebra@1.1", "a/b"], damage)


def _topaz(root: Path) -> Example:
    add_topaz(root, PROB, AMQ)

    def damage(path: Path) -> str:
        config = path / "amq-13.json"
        config.write_text(config.read_text().replace("672", "-672"))
        return "amq-13"

    return Example(["amq-13", "prob-3"], damage)


def _urls(root: Path) -> Example:
    source = root / "models.yml"
    lines = ["models:"]
    for name in ("zebra", "ant"):
        url = f"https://example.com/{name}"
        lines.append(f"- {{name: {name}, files: [{{name: a.bin, size: 100, source: {url}}}]}}")
    source.write_text("\n".join(lines) + "\n")

    def damage(path: Path) -> str:
        text = source.read_text()
        source.write_text(text.replace("https://example.com/ant", "nowhere"))
        return "ant"

    return Example(["zebra", "ant"], damage, "models.yml")


def _audmodel(root: Path) -> Example:
    storage = connect(root)
    uids = [
        plant(storage, MLP, name="zebra", files={"z": b"z"}),
        plant(storage, LSTM, "1.9.0", name="ant"),
        plant(storage, LSTM, "1.10.0", name="ant", alias="production"),
    ]

    def damage(path: Path) -> str:
        header = path / header_key(uids[1])
        header.write_text(header.read_text().replace("name: ant", "name: ../ant"))
        return str(uids[1])

    return Example([str(uids[1]), str(uids[2]), str(uids[0])], damage)


BUILDERS: dict[str, Callable[[Path], Example]] = {
    "omz": _omz,
    "fiftyone": _fiftyone,
    "topaz": _topaz,
    "urls": _urls,
    "audmodel": _audmodel,
}


def short_name(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


@pytest.fixture(params=formats(), ids=short_name)
def module(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    root = tmp_path / "zoo"
    root.mkdir()
    return root


@pytest.fixture
def example(module: Any, zoo: Path) -> Example:
    return BUILDERS[short_name(module)](zoo)


@pytest.fixture
def source(zoo: Path, example: Example) -> Path:
    """The source itself: the folder, or a file in it."""
    return zoo / example.place


def load(module: Any, path: Path) -> list[Model]:
    """The models of a folder that is as it should be: without a warning."""
    models: list[Model] = module.load(path, "here", pytest.fail)
    return models


def test_every_format_has_an_example_here() -> None:
    assert sorted(BUILDERS) == sorted(short_name(module) for module in formats())


def test_only_its_own_format_recognises_a_tree(module: Any, source: Path) -> None:
    assert [other.FORMAT for other in formats() if other.recognises(source)] == [module.FORMAT]


def test_what_is_no_catalog_is_not_recognised(module: Any, zoo: Path, tmp_path: Path) -> None:
    assert not module.recognises(zoo)
    assert not module.recognises(tmp_path / "nothing")
    (zoo / "photos").mkdir()
    for name in ("README.md", "data.yml", "config.json", "photos/1.jpg", ".hidden.yml", "x.yaml"):
        (zoo / name).write_text("name: [value]\n")
    assert not module.recognises(zoo)
    assert not module.recognises(zoo / "README.md")


def test_gives_models_with_safe_names(module: Any, source: Path, example: Example) -> None:
    models = load(module, source)
    assert [model.name for model in models] == example.names
    for model in models:
        assert (model.id, model.source, model.qualified) == (model.name, "here", f"here:{model.name}")
        if model.subdirectory:  # without, the files are beside those of other models
            assert str(safe_path(model.subdirectory)) == model.subdirectory
        assert model.files
        assert clash(file.name for file in model.files) is None
        for file in model.files:
            check_file(file)
    assert clash(model.path_of(file.name) for model in models for file in model.files) is None


def check_file(file: ModelFile) -> None:
    assert str(safe_path(file.name)) == file.name
    assert file.size is None or file.size >= 0
    assert file.checksum is None or len(file.checksum.value) == LENGTHS[file.checksum.type]
    assert file.origins
    assert all(":" in origin.url for origin in file.origins)


def test_models_are_frozen_values(module: Any, source: Path) -> None:
    model = load(module, source)[0]
    for value, field in (
        (model, "name"),
        (model.files[0], "size"),
        (model.files[0].origins[0], "base"),
    ):
        with pytest.raises(AttributeError, match="immutable"):
            setattr(value, field, "other")
    assert isinstance(model.files, tuple)
    assert isinstance(model.tags, tuple)


def test_loads_the_same_every_time(
    module: Any,
    zoo: Path,
    example: Example,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models, place = load(module, source), example.place
    assert load(module, source) == models
    monkeypatch.chdir(zoo.parent)
    assert load(module, Path(zoo.name, place)) == models
    monkeypatch.chdir(zoo)
    assert load(module, Path(place)) == models
    assert load(module, Path("..", "zoo", place)) == models
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(zoo, copy)
    told = [describe(model) for model in models]
    assert [describe(model) for model in load(module, copy / place)] == told
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_goes_through_the_catalog(module: Any, source: Path) -> None:
    both = load_catalog([Source("a", source), Source("b", source)], pytest.fail)
    names = [model.name for model in load(module, source)]
    assert [model.id for model in both] == [f"{s}:{name}" for s in "ab" for name in names]


# Run in a process of its own, for an audit hook cannot be taken away again.
WATCHED = """
import sys
from pathlib import Path
from modelzoo.catalog import formats
name, folder = sys.argv[1:]
module = next(m for m in formats() if m.__name__.endswith("." + name))
module.load(Path(folder), "here", print)  # whatever has to be imported is imported now
seen = []
def hook(event, arguments):
    if event in ("open", "os.listdir", "os.scandir"):
        path = arguments[0]
        if isinstance(path, int) or not str(Path(path).resolve()).startswith(folder):
            seen.append((event, str(path)))
        if event == "open" and (arguments[2] or 0) & 3:  # anything but reading
            seen.append((event, str(path)))
    elif event.startswith(("socket.", "subprocess.", "urllib.", "os.")) and event != "os.walk":
        seen.append((event, str(arguments)))
sys.addaudithook(hook)
module.load(Path(folder), "here", print)
open("/dev/null", "w").close()  # shows that the hook sees
print(seen)
"""


def test_touches_nothing_but_its_folder(module: Any, zoo: Path, source: Path) -> None:
    before = tree(zoo)
    command = [sys.executable, "-c", WATCHED, short_name(module), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{[('open', '/dev/null')] * 2}\n"
    assert tree(zoo) == before


def test_errors_lead_to_the_place(module: Any, zoo: Path, source: Path, example: Example) -> None:
    """Whether they end the run, or are a warning where the folder belongs to somebody else."""
    model = example.damage(zoo)
    said: list[str] = []
    try:
        left = module.load(source, "here", said.append)
    except CatalogError as error:
        said.append(str(error))
        left = []
    assert model not in [other.name for other in left]
    (text,) = said
    file, named, key, problem = text.split(": ", 3)
    assert Path(file).is_file()
    assert Path(file).is_relative_to(zoo)
    assert named == f'model "{model}"'
    assert re.fullmatch('".+"', key)
    assert problem
    assert "\n" not in text


def test_prints_nothing(module: Any, source: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load(module, source)
    assert capfd.readouterr() == ("", "")
