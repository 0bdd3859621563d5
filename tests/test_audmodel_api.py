"""audmodel's reading functions under its names, and the cells of its first usage document."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from pathlib import Path
from typing import Any

import modelzoo.audmodel as audmodel
import pytest
from modelzoo.registry.storage import connect

from tests.registry import DAY, FILES, LSTM, MLP, folder_of, plant, publish


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "host" / "models"
    monkeypatch.setattr(
        audmodel.config,
        "REPOSITORIES",
        [audmodel.Repository("models", str(folder.parent), "file-system")],
    )
    monkeypatch.setattr(audmodel.config, "CACHE_ROOT", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def uid(repository: Path, tmp_path: Path) -> str:
    meta = {"emodb": {"version": "1.0.0"}}
    return publish(repository, folder_of(tmp_path / "mlp"), MLP, alias="production", meta=meta)


def test_what_is_known_of_a_model(uid: str, repository: Path) -> None:
    for text in (uid, uid[:8], "production"):
        assert audmodel.name(text) == "voxcnn"
        assert audmodel.subgroup(text) == "anger.autrainer"
        assert audmodel.version(text) == "1.0.0"
        assert audmodel.author(text) == "calvin"
        assert audmodel.date(text) == "2026-11-28"
        assert audmodel.parameters(text) == MLP
        assert audmodel.meta(text) == {"emodb": {"version": "1.0.0"}}
        assert audmodel.exists(text)
        assert audmodel.aliases(text) == ["production"]
    assert audmodel.header(uid) == {
        "author": "calvin",
        "date": DAY,
        "name": "voxcnn",
        "parameters": MLP,
        "subgroup": "anger.autrainer",
        "version": "1.0.0",
    }
    assert list(audmodel.header(uid)) == sorted(audmodel.header(uid))
    assert audmodel.resolve_alias("production") == uid
    assert audmodel.uid("voxcnn", MLP, "1.0.0", subgroup="anger.autrainer") == uid
    assert audmodel.uid("voxcnn", MLP, subgroup="anger.autrainer") == uid[:8]
    assert audmodel.repository(uid) == audmodel.config.REPOSITORIES[0]  # type: ignore[index]


def test_urls(uid: str, repository: Path) -> None:
    short = uid[:8]
    folder = f"{repository}/anger/autrainer/voxcnn"
    assert audmodel.url(uid) == f"{folder}/{short}/1.0.0/{uid}.zip"
    assert audmodel.url(uid, type="header") == f"{repository}/_uid/{short}/1.0.0/{uid}.header.yaml"
    assert audmodel.url(uid, type="meta") == f"{repository}/_uid/{short}/1.0.0/{uid}.meta.yaml"
    for kind in ("model", "header", "meta"):
        assert os.path.isfile(audmodel.url(uid, type=kind))
    with pytest.raises(ValueError, match="'type' has to be one of"):
        audmodel.url(uid, type="archive")


def test_versions(uid: str, repository: Path, tmp_path: Path) -> None:
    for version in ("1.10.0", "1.9.0", "1.9.0-rc1"):
        publish(repository, tmp_path / "mlp", MLP, version)
    expected = ["1.0.0", "1.9.0-rc1", "1.9.0", "1.10.0"]
    for text in (uid, uid[:8], "production"):
        assert audmodel.versions(text) == expected
        assert audmodel.latest_version(text) == "1.10.0"
    assert audmodel.version(uid[:8]) == "1.10.0"


@pytest.mark.parametrize("text", ["00000000", "00000000-1.0.0", "nobody", "x" * 36, "a/../b"])
def test_what_does_not_exist_is_a_runtime_error(text: str, uid: str) -> None:
    assert not audmodel.exists(text)
    assert audmodel.versions(text) == []
    for function in (
        *(audmodel.author, audmodel.date, audmodel.header, audmodel.name, audmodel.parameters),
        *(audmodel.subgroup, audmodel.version, audmodel.latest_version, audmodel.load),
        *(audmodel.meta, audmodel.aliases, audmodel.url, audmodel.repository, audmodel.resolve_alias),
    ):
        with pytest.raises(RuntimeError, match="does not exist"):
            function(text)  # type: ignore[operator]


def test_models_are_kept_where_it_is_told(
    uid: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = str(tmp_path / "cache")
    assert audmodel.default_cache_root() == cache
    folder = audmodel.load(uid)
    assert folder == os.path.join(cache, uid[:8], "1.0.0")
    assert sorted(os.listdir(folder)) == ["bin", "meta.yaml", "network.txt"]
    shutil.rmtree(repository)
    assert audmodel.load(uid) == folder
    assert audmodel.parameters(uid) == MLP
    monkeypatch.setattr(audmodel.config, "AUDMODEL_CACHE_ROOT", "/elsewhere")
    assert audmodel.config.CACHE_ROOT == audmodel.default_cache_root() == "/elsewhere"
    monkeypatch.setenv("AUDMODEL_CACHE_ROOT", cache)
    assert audmodel.load(uid) == folder


def test_a_folder_of_ones_own(uid: str, tmp_path: Path) -> None:
    for option in ("root", "cache_root"):
        folder = audmodel.load(uid, **{option: str(tmp_path / option)})  # type: ignore[arg-type]
        assert folder == str(tmp_path / option / uid[:8] / "1.0.0")


def test_meta_and_aliases_change(uid: str, repository: Path, tmp_path: Path) -> None:
    changed = audmodel.update_meta(uid, {"emodb": {"files": 3}, "more": [1]})
    assert changed == {"emodb": {"version": "1.0.0", "files": 3}, "more": [1]}
    assert audmodel.meta("production") == changed
    assert audmodel.update_meta("production", {"new": 1}, replace=True) == {"new": 1}
    assert audmodel.meta(uid) == {"new": 1}
    other = publish(repository, tmp_path / "mlp", LSTM)
    audmodel.set_alias("production", other)
    audmodel.set_alias("another", other)
    assert audmodel.resolve_alias("production") == other
    assert (audmodel.aliases(uid), audmodel.aliases(other)) == ([], ["another", "production"])
    with pytest.raises(ValueError, match="alias"):
        audmodel.set_alias("00000000", uid)
    with pytest.raises(RuntimeError, match="does not exist"):
        audmodel.set_alias("third", "00000000-1.0.0")


def test_meta_that_audmodel_has_spoilt_in_the_cache(uid: str, tmp_path: Path) -> None:
    """Its update_meta writes one of its functions there, which its own loader would run."""
    kept = tmp_path / "cache" / uid[:8] / "1.0.0.meta.yaml"
    kept.parent.mkdir(parents=True)
    kept.write_text("!!python/name:audmodel.core.api.header ''\n")
    assert audmodel.meta(uid) == {"emodb": {"version": "1.0.0"}}
    assert "emodb" in kept.read_text()


def test_repositories_are_searched_in_order(
    uid: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = plant(connect(tmp_path / "other"), LSTM)
    assert not audmodel.exists(str(other))
    monkeypatch.setattr(audmodel.config, "REPOSITORIES", [str(tmp_path / "other"), str(repository)])
    assert audmodel.exists(str(other))
    assert audmodel.exists(uid)
    assert audmodel.repository(str(other)).name == "other"


def test_kinds_of_repositories() -> None:
    assert audmodel.Repository("bucket", "s3.amazonaws.com", "s3").url == "s3://bucket"
    assert audmodel.Repository("a", "/b", "file-system") == audmodel.Repository(
        "a", "/b", "file-system"
    )
    assert repr(audmodel.Repository("a", "/b", "file-system")) == "Repository('a', '/b', 'file-system')"
    with pytest.raises(ValueError, match="not a registered backend"):
        _ = audmodel.Repository("a", "b", "ftp").url


# The cells of the usage document of audmodel's first releases that a reader sees, as they are written.
CELLS = [
    """
params_mlp = {
    'data': 'emodb',
    'sampling_rate': 16000,
    'network': 'mlp',
}
name = 'voxcnn'
subgroup = 'anger.autrainer'
version = '1.0.0'
""",
    """
uid = audmodel.publish(
    root=root_mlp,
    name=name,
    subgroup=subgroup,
    params=params_mlp,
    version=version,
)
uid
""",
    "audmodel.url(uid)",
    "audmodel.name(uid)",
    "audmodel.parameters(uid)",
    """
model_folder = audmodel.load(uid)
os.listdir(model_folder)
""",
    """
params_lstm = {
    'data': 'emodb',
    'sampling_rate': 16000,
    'network': 'lstm',
}
uid = audmodel.publish(
    root=root_lstm,
    name=name,
    subgroup=subgroup,
    params=params_lstm,
    version=version,
)
uid
""",
    """
audmodel.lookup_table(
    name=name,
    subgroup=subgroup,
    version=version,
)
""",
    """
params_lstm = {
    'data': 'emodb',
    'sampling_rate': 16000,
    'network': 'lstm',
    'normalize': True,
}
audmodel.publish(
    root=root_lstm,
    name=name,
    subgroup=subgroup,
    params=params_lstm,
    version=version,
)
audmodel.lookup_table(
    name=name,
    subgroup=subgroup,
    version=version,
)
""",
    """
params_lstm = {
    'data': 'emodb',
    'sampling_rate': 8000,
    'network': 'lstm',
}
audmodel.publish(
    root=root_lstm,
    name=name,
    subgroup=subgroup,
    params=params_lstm,
    version=version,
)
audmodel.lookup_table(
    name=name,
    subgroup=subgroup,
    version=version,
)
""",
    "audmodel.default_cache_root()",
]


def run_cell(cell: str, names: dict[str, Any]) -> Any:
    """What a notebook shows: the value of a cell's last expression."""
    import ast

    module = ast.parse(cell)
    last = module.body.pop() if isinstance(module.body[-1], ast.Expr) else None
    exec(compile(module, "cell", "exec"), names)
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)  # type: ignore[attr-defined]


def test_the_cells_of_the_first_usage_document(repository: Path, tmp_path: Path) -> None:
    names: dict[str, Any] = {
        "os": os,
        "audmodel": audmodel,
        "root_mlp": str(folder_of(tmp_path / "mlp", {**FILES, "bin/mlp-weights.pkl": b""})),
        "root_lstm": str(folder_of(tmp_path / "lstm", {"bin/lstm-weights.pkl": b""})),
    }
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        values = [run_cell(cell, names) for cell in CELLS]
    assert shown.getvalue() == ""
    _, mlp, url, name, parameters, files, lstm, both, three, four, cache = values
    assert mlp == f"{audmodel.uid('voxcnn', MLP, subgroup='anger.autrainer')}-1.0.0"
    assert (url, name, parameters) == (audmodel.url(mlp), "voxcnn", MLP)
    assert sorted(files) == ["bin", "meta.yaml", "network.txt"]
    assert cache == str(tmp_path / "cache")
    tables = [table_of(value) for value in (both, three, four)]
    assert tables[0] == {mlp: MLP, lstm: LSTM}
    assert tables[1][mlp] == {**MLP, "normalize": None}
    (normalized,) = tables[1].keys() - tables[0].keys()
    assert tables[1][normalized] == {**LSTM, "normalize": True}
    (slow,) = tables[2].keys() - tables[1].keys()
    assert tables[2][slow] == {**LSTM, "sampling_rate": 8000, "normalize": None}


def table_of(value: Any) -> dict[str, dict[str, Any]]:
    """A lookup table as mappings, whether pandas is installed or not."""
    if hasattr(value, "to_dict"):
        rows: dict[str, dict[str, Any]] = value.to_dict("index")
        return rows
    return {uid: value[uid] for uid in value}
