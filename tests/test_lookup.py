"""Lookup tables: in DataFrames and without, in JSON and CSV, and those of old repositories."""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path
from typing import Any

import modelzoo
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.errors import CatalogError
from modelzoo.loading import load
from modelzoo.published import find_published, lookup_table
from modelzoo.registry.headers import Header
from modelzoo.registry.identifiers import Uid, legacy_id
from modelzoo.registry.layout import header_key
from modelzoo.registry.lookup import make_table
from modelzoo.registry.lookup_csv import parse_cell, read_csv, write_csv
from modelzoo.registry.storage import connect
from modelzoo.registry.storage.folder import FolderStorage

from tests.registry import LSTM, MLP, plant

NORMALIZED = {**LSTM, "normalize": True}


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    storage = connect(tmp_path / "repository")
    assert isinstance(storage, FolderStorage)
    return storage


@pytest.fixture
def uids(storage: FolderStorage) -> list[str]:
    return [str(plant(storage, params)) for params in (MLP, LSTM, NORMALIZED)]


def test_parameters_that_a_model_does_not_have_are_none(
    storage: FolderStorage, uids: list[str]
) -> None:
    table = find_published("voxcnn", subgroup="anger.autrainer", version="1.0.0", repository=storage)
    assert sorted(table.ids) == sorted(uids)
    assert table.columns == ("data", "network", "normalize", "sampling_rate")
    assert table[uids[0]] == {**MLP, "normalize": None}
    assert table[uids[2]] == NORMALIZED
    assert len(table) == len(list(table)) == 3
    lines = str(table).splitlines()
    assert lines[0].split() == ["id", *table.columns]
    assert f"{uids[0]}  emodb  mlp      None       16000" in lines


def test_only_what_is_asked_for(storage: FolderStorage, uids: list[str]) -> None:
    plant(storage, MLP, "2.0.0")
    other = plant(storage, {"layers": 3}, name="other", subgroup="")
    assert find_published("other", repository=storage).records() == [{"id": str(other), "layers": 3}]
    assert len(find_published("voxcnn", repository=storage)) == 4
    assert len(find_published(version="1.0.0", repository=storage)) == 4
    assert len(find_published(subgroup="", repository=storage)) == 1
    assert find_published(param="normalize=True", repository=storage).ids == [uids[2]]
    assert len(find_published(param=["sampling_rate>=8000", "network=ls*"], repository=storage)) == 2
    assert len(find_published(param={"network": "mlp"}, repository=storage)) == 2
    assert find_published("nobody", repository=storage).columns == ()


def test_with_pandas_it_is_a_frame(storage: FolderStorage, uids: list[str]) -> None:
    pandas = pytest.importorskip("pandas")
    frame = lookup_table("voxcnn", repository=storage)
    assert isinstance(frame, pandas.DataFrame)
    assert frame.index.name == "id"
    assert sorted(frame.index) == sorted(uids)
    assert frame.loc[uids[2], "normalize"] is True
    assert frame.loc[uids[0], "normalize"] is None


def test_without_pandas_it_is_light(
    storage: FolderStorage, uids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert lookup_table("voxcnn", repository=storage) == find_published("voxcnn", repository=storage)


def test_a_broken_header_is_left_out_and_told(storage: FolderStorage, uids: list[str]) -> None:
    path = storage.root / header_key(Uid(uids[1][:8], "1.0.0"))
    path.write_text(path.read_text() + "x: !!python/name:os.system ''\n")
    with pytest.warns(UserWarning, match="could run code"):
        table = find_published(repository=storage)
    assert sorted(table.ids) == sorted([uids[0], uids[2]])


class Counting(FolderStorage):
    """Counts what is read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: list[str] = []

    def read(self, key: str, limit: int = 4 << 20) -> bytes:
        self.reads.append(key)
        return super().read(key, limit)


def test_headers_are_read_once(storage: FolderStorage, uids: list[str]) -> None:
    odd = plant(storage, {"shape": (1, (2, 3)), "when": dt.date(2026, 1, 1), "set": {1}})
    counting = Counting(storage.root)
    first = find_published(repository=counting)
    assert len(counting.reads) == 4
    assert find_published(repository=counting) == first
    assert first[str(odd)]["shape"] == (1, (2, 3))
    assert first[str(odd)]["when"] == dt.date(2026, 1, 1)
    assert len(counting.reads) == 4
    path = storage.root / header_key(odd)
    path.write_text(path.read_text().replace("hobbes", "calvin!"))
    new = plant(storage, {"new": 1})
    (storage.root / header_key(Uid(uids[0][:8], "1.0.0"))).unlink()
    assert sorted(find_published(repository=counting).ids) == sorted([*uids[1:], str(odd), str(new)])
    assert counting.reads[4:] == [header_key(odd), header_key(new)] or counting.reads[4:] == [
        header_key(new),
        header_key(odd),
    ]


def test_what_is_kept_may_be_damaged(
    storage: FolderStorage, uids: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "kept"))
    expected = find_published(repository=storage)
    (kept,) = (tmp_path / "kept").rglob("*.index")
    data = kept.read_bytes()
    for damage in (b"", b"\x93", data[:-9], data.replace(b"0.", b"9.", 1), b"\0" * 100):
        kept.write_bytes(damage)
        assert find_published(repository=storage) == expected
    monkeypatch.setenv("MODELZOO_INDEX", "off")
    kept.unlink()
    assert find_published(repository=storage) == expected
    assert not kept.exists()


CSV = (
    b"id,data,layers,normalize,rate,sampling\r\n"
    b"11111111-2222-3333-4444-555555555555,emodb,,True,0.5,16000\r\n"
    b"66666666-2222-3333-4444-555555555555,\"a, b\",3,False,1.0,\r\n"
)  # fmt: skip


def old_repository(storage: FolderStorage, uid: str) -> None:
    base = "com/audeering/models/anger/autrainer/voxcnn"
    storage.write(f"{base}/lookup/1.0.0/lookup-1.0.0.csv", CSV)
    made = plant(connect(storage.root.parent / "other"), MLP)
    zipped = next((storage.root.parent / "other").rglob(f"{made}.zip"))
    storage.write(f"{base}/{uid}/1.0.0/{uid}-1.0.0.zip", zipped.read_bytes())


def test_old_repositories_are_read_loaded_and_exported(storage: FolderStorage, tmp_path: Path) -> None:
    uid = "11111111-2222-3333-4444-555555555555"
    old_repository(storage, uid)
    table = find_published("voxcnn", subgroup="anger.autrainer", version="1.0.0", repository=storage)
    assert table[uid] == {
        "data": "emodb", "layers": None, "normalize": True, "rate": 0.5, "sampling": 16000,
    }  # fmt: skip
    assert table.to_csv().encode() == CSV
    folder = load(uid, tmp_path / "cache", repository=storage)
    assert (folder / "network.txt").is_file()
    assert folder == tmp_path / "cache" / uid / "1.0.0"
    assert load(uid, tmp_path / "cache", repository=[], offline=True) == folder
    (model,) = modelzoo.find(uid, sources=storage.root)
    assert model.subdirectory == f"anger/autrainer/voxcnn/1.0.0/{uid}"
    assert [m.id for m in modelzoo.find("voxcnn", param="rate>=0.5", sources=storage.root)] == table.ids
    new = plant(storage, {"x": 1}, "2.0.0")
    assert str(new) in find_published("voxcnn", repository=storage).ids


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "first column id"),
        (b"name,a\r\nx,1\r\n", "first column id"),
        (b"id,a\r\nx\r\n", "line 2: expected 2 cells, got 1"),
        (b"\xff", "is not valid CSV"),
        (b'id,a\r\nx,"', "is not valid CSV"),
    ],
)
def test_lookup_files_that_are_none(storage: FolderStorage, data: bytes, problem: str) -> None:
    with pytest.raises(CatalogError, match=problem):
        read_csv(data, "lookup.csv")
    storage.write("com/audeering/models/voxcnn/lookup/1.0.0/lookup-1.0.0.csv", data)
    with pytest.warns(UserWarning, match=problem):
        assert len(find_published(repository=storage)) == 0


CELLS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(
        lambda text: isinstance(parse_cell(text), str)
    )
)


@given(st.dictionaries(st.text("abcdef"), CELLS, max_size=5))
def test_lookup_files_come_back(parameters: dict[str, Any]) -> None:
    uid = legacy_id("m", {}, "1.0.0")
    text = write_csv(list(parameters), {uid: list(parameters.values())})
    found = read_csv(text.encode(), "lookup.csv")
    assert found == {uid: {key: v for key, v in parameters.items() if v is not None}}


def test_tables_have_a_stable_order() -> None:
    def header(version: str, day: int) -> Header:
        return Header(author="a", date=dt.date(2026, 1, day), name="m", parameters={}, version=version)

    headers = {
        Uid("00000003", "1.10.0"): header("1.10.0", 1),
        Uid("00000002", "1.9.0"): header("1.9.0", 2),
        Uid("00000001", "1.9.0"): header("1.9.0", 1),
    }
    assert make_table(headers).ids == ["00000001-1.9.0", "00000002-1.9.0", "00000003-1.10.0"]


def test_records_are_plain(storage: FolderStorage, uids: list[str]) -> None:
    records = find_published(repository=storage).records()
    assert json.loads(json.dumps(records)) == records
