"""FiftyOne's manifests as catalogs: what models they become, and every kind of damage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.catalog import Source, fiftyone, load_catalog
from modelzoo.catalog.manifest import MAX_BYTES
from modelzoo.errors import CatalogError
from modelzoo.model import DownloadModel, Model, Origin, UnpackArchive

from tests.remote import MANAGER, entry, managed

URL = "https://example.com/w.bin"


def load(folder: Path, *models: Any, **top: Any) -> list[Model]:
    text = json.dumps({"models": list(models), **top})
    (folder / "manifest.json").write_text(text)
    return fiftyone.load(folder, "me/src", pytest.fail)


def one(folder: Path, **fields: Any) -> Model:
    return load(folder, {"base_name": "m", **fields})[0]


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    clip = {
        "base_name": "voxel51/clip-vit-base32-torch",
        "base_filename": "CLIP-ViT-B-32.pt",
        "author": "OpenAI",
        "license": "MIT",
        "source": "https://github.com/openai/CLIP",
        "description": "CLIP text/image encoder",
        "tags": ["classification", "logits", "embeddings", "torch", "clip", "zero-shot"],
        "size_bytes": 353976522,
        "date_added": "2022-04-12 17:49:51",
        "requirements": {
            "packages": ["torch", "torchvision"],
            "cpu": {"support": True},
            "gpu": {"support": True},
        },
        "something_new": [1, 2.5, None],
    }
    model = load(tmp_path, clip, name="voxel51/openai-clip")[0]
    assert (model.id, model.version, model.subdirectory) == (clip["base_name"], None, "me/src")
    assert (model.framework, model.task_type, model.license_url) == ("pytorch", "classification", "MIT")
    assert list(model.tags) == clip["tags"]
    assert model.model_info == clip
    assert model.files == ()
    step = DownloadModel(file="CLIP-ViT-B-32.pt", model=model.id, source="me/src", announced=353976522)
    assert model.postprocessing == (step,)


def test_managers(tmp_path: Path) -> None:
    file = load(tmp_path, managed("m", "w.bin", URL, size_bytes=7))[0].files[0]
    assert (file.name, file.size, file.announced, file.adoptable) == ("w.bin", None, 7, False)
    assert [origin.url for origin in file.origins] == [URL]
    drive = one(
        tmp_path, base_filename="w", manager={"type": MANAGER, "config": {"google_drive_id": "a-B_9"}}
    )
    assert drive.files[0].origins[0].url == "gdrive://a-B_9"
    unnamed = one(
        tmp_path, manager={"type": MANAGER, "config": {"url": "https://h/x/w%20eights.pt?k=1"}}
    )
    assert unnamed.files[0].name == "w eights.pt"
    beside = one(tmp_path, base_filename="w", manager={"type": MANAGER, "config": {"url": "files/w"}})
    assert beside.files[0].origins[0].url == f"{tmp_path.resolve().as_uri()}/files/w"
    for config in ({}, None, {"url": None}):
        nothing = one(tmp_path, base_filename="w", manager={"type": MANAGER, "config": config})
        assert (nothing.files, nothing.postprocessing) == ((), ())
    other = one(tmp_path, base_filename="w", manager={"type": "x.Manager", "config": {"a": 1}})
    assert other.files == ()
    assert other.postprocessing == (DownloadModel("w", "m", "me/src", "x.Manager", {"a": 1}),)
    assert one(tmp_path).postprocessing == ()


@pytest.mark.parametrize(
    ("config", "keep"),
    [
        ({"extract_archive": True, "delete_archive": True}, False),
        ({"extract_archive": True, "delete_archive": False}, True),
        ({"extract_archive": True}, True),
    ],
)
def test_archives(tmp_path: Path, config: dict[str, bool], keep: bool) -> None:
    model = load(tmp_path, managed("m", "w.tar.gz", URL, config=config))[0]
    assert model.postprocessing == (UnpackArchive("w.tar.gz", "gztar", keep, beside_code=True),)
    assert fiftyone.weights(model) == ["w.tar.gz", "w"]


def test_versions(tmp_path: Path) -> None:
    text = '{"models": [%s]}' % ", ".join(  # noqa: UP031 - braces are JSON here
        f'{{"base_name": "c.pt", "base_filename": "w/c.pt", "version": {version}}}'
        for version in ('"2.0"', "1.10", "3", "null", "1e3")
    )
    (tmp_path / "manifest.json").write_text(text)
    models = fiftyone.load(tmp_path, "s", pytest.fail)
    assert [m.version for m in models] == ["2.0", "1.10", "3", None, "1e3"]
    assert [m.name for m in models] == ["c.pt@2.0", "c.pt@1.10", "c.pt@3", "c.pt@", "c.pt@1e3"]
    steps = [m.postprocessing[0] for m in models]
    assert [s.file for s in steps][:2] == ["w/c-v2.0.pt", "w/c-v1.10.pt"]
    assert [s.model for s in steps if isinstance(s, DownloadModel)][:2] == ["c@2.0.pt", "c@1.10.pt"]


def test_two_sources_with_one_model(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        load(tmp_path / name, entry("m", "w"))
    models = load_catalog([Source("a", tmp_path / "a"), Source("x/b", tmp_path / "b")], pytest.fail)
    assert [m.id for m in models] == ["a:m", "x/b:m"]


def with_manager(**config: Any) -> dict[str, Any]:
    return {"base_filename": "w", "manager": {"type": MANAGER, "config": config}}


DAMAGE: list[tuple[dict[str, Any], str]] = [
    ({"base_name": 5}, "models[1].base_name"),
    ({"base_name": None}, "models[1].base_name"),
    ({"base_name": ""}, "models[1].base_name"),
    ({"base_name": "../x"}, "models[1].base_name"),
    ({"base_name": "/x"}, "models[1].base_name"),
    ({"base_name": "a//b"}, "models[1].base_name"),
    ({"base_name": "a\\b"}, "models[1].base_name"),
    ({"base_name": "a:b"}, "models[1].base_name"),
    ({"base_name": "CON"}, "models[1].base_name"),
    ({"base_name": "a@1"}, "models[1].base_name"),
    ({"base_name": "a,b"}, "models[1].base_name"),
    ({"base_name": "a*"}, "models[1].base_name"),
    ({"base_name": "a[b]"}, "models[1].base_name"),
    ({"base_name": "a\nb"}, "models[1].base_name"),
    ({"base_name": "x" * 300}, "models[1].base_name"),
    ({"version": True}, "models[1].version"),
    ({"version": ["1"]}, "models[1].version"),
    ({"version": "1/2"}, "models[1].version"),
    ({"version": ".."}, "models[1].version"),
    ({"version": "1@2"}, "models[1].version"),
    ({"version": "1:2"}, "models[1].version"),
    ({"base_filename": 1}, "models[1].base_filename"),
    ({"base_filename": ""}, "models[1].base_filename"),
    ({"base_filename": "../w"}, "models[1].base_filename"),
    ({"base_filename": "a/../../w"}, "models[1].base_filename"),
    ({"base_filename": "/etc/passwd"}, "models[1].base_filename"),
    ({"base_filename": "C:\\w"}, "models[1].base_filename"),
    ({"base_filename": "nul.txt"}, "models[1].base_filename"),
    ({"base_filename": "w.download"}, "models[1].base_filename"),
    ({"base_filename": "manifest.json"}, "models[1].base_filename"),
    ({"base_filename": "Manifest.JSON"}, "models[1].base_filename"),
    ({"base_filename": "__init__.py"}, "models[1].base_filename"),
    ({"base_filename": ".hidden"}, "models[1].base_filename"),
    ({"base_filename": ".modelzoo/x"}, "models[1].base_filename"),
    ({"base_filename": "GOOD"}, "models[].base_filename"),
    ({"base_filename": "good/x"}, "models[].base_filename"),
    ({"size_bytes": -1}, "models[1].size_bytes"),
    ({"size_bytes": "7"}, "models[1].size_bytes"),
    ({"tags": "torch"}, "models[1].tags"),
    ({"tags": ["a", 1]}, "models[1].tags[1]"),
    ({"author": ["x"]}, "models[1].author"),
    ({"requirements": []}, "models[1].requirements"),
    ({"requirements": {"cpu": True}}, "models[1].requirements.cpu"),
    ({"requirements": {"packages": 3}}, "models[1].requirements.packages"),
    ({"requirements": {"gpu": {"support": "yes"}}}, "models[1].requirements.gpu.support"),
    ({"manager": "x"}, "models[1].manager"),
    ({"manager": {"config": {}}}, "models[1].manager.type"),
    ({"manager": {"type": MANAGER, "config": []}}, "models[1].manager.config"),
    (with_manager(url=5), "models[1].manager.config.url"),
    (with_manager(url="http://[::1"), "models[1].manager.config.url"),
    (with_manager(url="ftp://h/w"), "models[1].manager.config.url"),
    (with_manager(url="https:///w"), "models[1].manager.config.url"),
    (with_manager(url="hf://owner"), "models[1].manager.config.url"),
    (with_manager(url="gdrive://a/b"), "models[1].manager.config.url"),
    (with_manager(url="file://host/w"), "models[1].manager.config.url"),
    (with_manager(url="../up"), "models[1].manager.config.url"),
    (with_manager(url="/etc/passwd"), "models[1].manager.config.url"),
    (with_manager(google_drive_id="../../x"), "models[1].manager.config.google_drive_id"),
    (with_manager(url=URL, extract_archive=True), "models[1].base_filename"),
    ({"manager": {"type": MANAGER, "config": {"google_drive_id": "abc"}}}, "models[1].base_filename"),
    ({"default_deployment_config_dict": 3}, "models[1].default_deployment_config_dict"),
]


@pytest.mark.parametrize(("fields", "key"), DAMAGE, ids=str)
def test_damage_is_refused_with_the_place(tmp_path: Path, fields: dict[str, Any], key: str) -> None:
    with pytest.raises(CatalogError) as caught:
        load(tmp_path, entry("good", "good"), {"base_name": "bad", **fields})
    assert caught.value.key == key, caught.value
    assert caught.value.file == str(tmp_path.resolve() / "manifest.json")
    assert "\n" not in str(caught.value)


def test_one_model_twice_is_refused(tmp_path: Path) -> None:
    for names in (("m", "m"), ("m", "M"), ("m", "m/x")):
        with pytest.raises(CatalogError, match="base_name"):
            load(tmp_path, *(entry(name) for name in names))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is not usable JSON"),
        (b"[]", "is not usable JSON"),
        (b"{", "is not usable JSON"),
        (b'{"models": {}}', 'models": '),
        (b'{"models": [3]}', "models[0]"),
        (b'{"name": "x"}', '"models": is required'),
        (b'{"models": [{"tags": []}]}', '"models[0].base_name": is required'),
        (b'{"models": [], "name": 3}', '"name"'),
        (b'{"models": [], "x": ' + b"[" * 100_000, "is not usable JSON"),
        (b'{"models": [], "x": NaN}', "is not usable JSON"),
        (b'{"models": [{"base_name": "\xff"}]}', "is not usable JSON"),
        (b" " * (MAX_BYTES + 1), "is larger than"),
        (b'{"models": [' + b'{"base_name":"a"},' * 100_000 + b'{"base_name":"a"}]}', "100000 models"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_manifest(tmp_path: Path, data: bytes, problem: str) -> None:
    (tmp_path / "manifest.json").write_bytes(data)
    with pytest.raises(CatalogError) as caught:
        fiftyone.load(tmp_path, "s", pytest.fail)
    assert problem in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(b'\xef\xbb\xbf{"models": [{"base_name": "m"}]}')
    assert [m.name for m in fiftyone.load(tmp_path, "s", pytest.fail)] == ["m"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        "base_name",
        "base_filename",
        "version",
        "tags",
        "size_bytes",
        "requirements",
        "manager",
        "license",
    ]
)


@given(models=st.lists(st.dictionaries(FIELDS, JSON, max_size=4), max_size=3))
def test_anything_is_models_or_a_catalog_error(
    models: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "manifest.json").write_bytes(msgspec.json.encode({"models": models}))
    try:
        found = fiftyone.load(folder, "s", pytest.fail)
    except CatalogError:
        return
    assert len(found) == len(models)


def test_origins_keep_what_was_written(tmp_path: Path) -> None:
    file = load(tmp_path, managed("m", "w", "sub/w"))[0].files[0]
    assert file.origins == (Origin("sub/w", f"{tmp_path.resolve().as_uri()}/"),)
