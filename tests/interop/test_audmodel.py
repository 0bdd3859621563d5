"""One repository for both: what audmodel publishes these tools read, and the other way round."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import modelzoo
import modelzoo.audmodel as ours
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelzoo.registry.headers import Header, dump_header
from modelzoo.registry.identifiers import Uid, legacy_id, short_id
from modelzoo.registry.layout import aliases_key, digest_key, header_key, meta_key
from modelzoo.registry.opening import open_repository
from modelzoo.registry.storage import connect

from tests.conftest import ROOT, tool
from tests.registry import DAY, FILES, LSTM, MLP, folder_of, publish
from tests.servers.s3 import s3_server

pytestmark = pytest.mark.interop

PYTHON = os.environ.get("AUDMODEL_PYTHON", str(ROOT / "build/interop/audmodel/bin/python"))

SHAPES: dict[str, Any] = {
    "text": "ä ☃ 'quoted' \"twice\"\nand more",
    "looks": "1e-5",
    "empty": "",
    "int": 16000,
    "float": 1e-5,
    "bool": True,
    "none": None,
    "list": ["a", 1, [2, None]],
    "tuple": (1, ("a", 2.5)),
    "dict": {"b": 1, "a": {"x": []}},
    "date": dt.date(2026, 1, 2),
    "long": "word " * 40,
}

PRELUDE = """
import datetime, json, os, sys
import audbackend, audmodel
class Plain(audbackend.backend.Minio):
    def __init__(self, host, repository, **more):
        super().__init__(host, repository, secure=False, **more)
audmodel.Repository.register("plain-s3", Plain)
place = json.loads(os.environ["PLACE"])
repository = audmodel.Repository(*place)
audmodel.config.REPOSITORIES = [repository]
"""


class Shared:
    """A repository that both programs know, and the folder where both keep models."""

    def __init__(self, url: str, place: tuple[str, str, str], work: Path) -> None:
        self.url, self.cache, self.work = url, work / "cache", work
        self.storage = connect(url)
        self.environ = {"PLACE": json.dumps(place), "AUDMODEL_CACHE_ROOT": str(self.cache)}

    def theirs(self, expression: str, **environ: str) -> Any:
        """What audmodel makes of an expression."""
        script = f"{PRELUDE}\nprint(repr({expression}))"
        environment = {**os.environ, **self.environ, **environ}
        done = subprocess.run(
            [PYTHON, "-c", script], env=environment, capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return eval(done.stdout.splitlines()[-1], {"datetime": dt})

    def they_publish(self, params: dict[str, Any], root: Path, **more: Any) -> str:
        arguments = {
            "version": "1.0.0",
            "subgroup": "anger.autrainer",
            "author": "calvin",
            "date": DAY,
            **more,
        }
        place = f"{str(root)!r}, 'voxcnn', {params!r}, repository=repository"
        uid = self.theirs(f"audmodel.publish({place}, **{arguments!r})")
        assert isinstance(uid, str)
        return uid

    def bytes(self, key: str) -> bytes:
        return self.storage.read(key)


@pytest.fixture(params=["folder", "s3"])
def shared(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shared]:
    monkeypatch.setenv("AUDMODEL_CACHE_ROOT", str(tmp_path / "cache"))
    if request.param == "folder":
        folder = tmp_path / "host" / "models"
        folder.mkdir(parents=True)
        monkeypatch.setattr(ours.config, "REPOSITORIES", [str(folder)])
        yield Shared(str(folder), ("models", str(folder.parent), "file-system"), tmp_path)
        return
    with s3_server() as server:
        url = server.bucket()
        monkeypatch.setattr(ours.config, "REPOSITORIES", [url])
        keys = server.environment
        monkeypatch.setenv("MINIO_ACCESS_KEY", keys["AWS_ACCESS_KEY_ID"])
        monkeypatch.setenv("MINIO_SECRET_KEY", keys["AWS_SECRET_ACCESS_KEY"])
        host = server.url.removeprefix("http://")
        yield Shared(url, (url.removeprefix("s3://"), host, "plain-s3"), tmp_path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {**FILES, ".hidden": b"h", "empty": b"", "a folder/ä.txt": b"\xff" * 70_000}
    return folder_of(tmp_path / "model", files)


def contents(folder: str | Path) -> dict[str, bytes]:
    base = Path(folder)
    return {p.relative_to(base).as_posix(): p.read_bytes() for p in base.rglob("*") if p.is_file()}


def test_what_audmodel_publishes_is_read_here(shared: Shared, root: Path, tmp_path: Path) -> None:
    uid = shared.they_publish(SHAPES, root, alias="production", meta={"a": (1, 2), "b": None})
    plain = shared.they_publish(MLP, root, subgroup=None)
    newer = shared.they_publish(MLP, root, subgroup=None, version="1.10.0")
    assert ours.parameters(uid) == SHAPES
    assert list(ours.parameters(uid)) == list(SHAPES)
    assert ours.header(uid) == shared.theirs(f"dict(audmodel.header({uid!r}))")
    assert ours.meta("production") == {"a": (1, 2), "b": None}
    assert (ours.resolve_alias("production"), ours.aliases(uid)) == (uid, ["production"])
    assert ours.versions(plain) == ["1.0.0", "1.10.0"]
    assert {m.id for m in modelzoo.find(sources=shared.url)} == {uid, plain, newer}
    assert {m.id for m in modelzoo.find("voxcnn", sources=shared.url)} == {uid, newer}
    table = modelzoo.lookup_table("voxcnn", version="1.0.0", subgroup="", repository=shared.url)
    assert table.loc[plain].to_dict() == MLP
    folder = modelzoo.load("production", repository=shared.url)
    assert contents(folder) == contents(root)
    assert modelzoo.verify(output_dir=shared.cache).successful
    out = tmp_path / "out"
    tool("downloader", "--source", shared.url, "--name", newer, "-o", out)
    assert contents(out / "voxcnn" / "1.10.0" / newer) == contents(root)


def test_what_is_published_here_audmodel_reads(shared: Shared, root: Path) -> None:
    meta = {"a": (1, 2), "ä": None}
    uid = publish(shared.url, root, SHAPES, alias="production", meta=meta)
    plain = publish(shared.url, root, MLP, subgroup=None)
    publish(shared.url, root, MLP, "1.10.0", subgroup=None)
    for text in (uid, "production"):
        assert shared.theirs(f"audmodel.parameters({text!r})") == SHAPES
    assert shared.theirs(f"audmodel.header({uid!r})") == ours.header(uid)
    assert shared.theirs(f"audmodel.meta({uid!r})") == meta
    assert shared.theirs(f"audmodel.aliases({uid!r})") == ["production"]
    assert shared.theirs(f"audmodel.versions({plain!r})") == ["1.0.0", "1.10.0"]
    assert shared.theirs(f"audmodel.latest_version({plain[:8]!r})") == "1.10.0"
    assert contents(shared.theirs(f"audmodel.load({uid!r})")) == contents(root)
    assert contents(shared.theirs(f"audmodel.load({plain[:8]!r})")) == contents(root)


def test_both_write_the_same_bytes(shared: Shared, root: Path) -> None:
    theirs = shared.they_publish(SHAPES, root, alias="one", meta={"x": [1]})
    uid = Uid(*theirs.split("-", 1))
    keys = (header_key(uid), meta_key(uid), aliases_key(uid))
    written = [shared.bytes(key) for key in keys]
    for entry in list(shared.storage.list()):
        shared.storage.delete(entry.key)
    mine = publish(shared.url, root, SHAPES, alias="one", meta={"x": [1]})
    assert mine == theirs
    assert [shared.bytes(key) for key in keys] == written
    assert shared.storage.exists(digest_key(uid))


def test_each_refuses_what_the_other_has_published(shared: Shared, root: Path) -> None:
    theirs = shared.they_publish(MLP, root)
    with pytest.raises(RuntimeError, match="has this model already"):
        publish(shared.url, root, MLP)
    mine = publish(shared.url, root, LSTM)
    with pytest.raises(AssertionError, match="exists already"):
        shared.they_publish(LSTM, root)
    assert {m.id for m in modelzoo.find(sources=shared.url)} == {theirs, mine}


def test_aliases_and_meta_change_from_both_sides(shared: Shared, root: Path) -> None:
    theirs, mine = shared.they_publish(MLP, root, alias="prod"), publish(shared.url, root, LSTM)
    ours.set_alias("prod", mine)
    assert shared.theirs("audmodel.resolve_alias('prod')") == mine
    assert shared.theirs(f"audmodel.aliases({theirs!r})") == []
    assert shared.theirs(f"audmodel.aliases({mine!r})") == ["prod"]
    shared.theirs(f"audmodel.set_alias('prod', {theirs!r})")
    assert ours.resolve_alias("prod") == theirs
    assert (ours.aliases(mine), ours.aliases(theirs)) == ([], ["prod"])
    ours.update_meta(theirs, {"a": {"b": 1}})
    assert shared.theirs(f"audmodel.meta({theirs!r})") == {"a": {"b": 1}}
    shared.theirs(f"audmodel.update_meta({theirs!r}, {{'a': {{'c': (2,)}}}})")
    assert ours.meta(theirs) == {"a": {"b": 1, "c": (2,)}}
    assert shared.theirs(f"audmodel.meta({theirs!r})") == {"a": {"b": 1, "c": (2,)}}


def test_both_keep_models_in_one_place(shared: Shared, root: Path) -> None:
    one, two = publish(shared.url, root, MLP), publish(shared.url, root, LSTM)
    folder = shared.theirs(f"audmodel.load({one!r})")
    loaded = modelzoo.load(two, repository=shared.url)
    for entry in list(shared.storage.list()):
        if entry.key.endswith(".zip"):  # nobody can fetch any of them again
            shared.storage.delete(entry.key)
    assert str(modelzoo.load(one, repository=[], offline=True)) == folder
    assert ours.load(one) == folder
    assert shared.theirs(f"audmodel.load({two!r})") == str(loaded)


def test_a_model_that_both_load_at_once(shared: Shared, root: Path) -> None:
    uid = publish(shared.url, root, MLP)
    script = f"{PRELUDE}\nprint(audmodel.load({uid!r}))"
    environment = {**os.environ, **shared.environ}
    with subprocess.Popen(
        [PYTHON, "-W", "ignore", "-c", script], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        folder = modelzoo.load(uid, repository=shared.url)
        assert process.stdout
        assert process.stdout.read().splitlines()[-1] == str(folder)
    assert contents(folder) == contents(root)


def test_what_only_one_can_load(shared: Shared, root: Path) -> None:
    """Their loader would run the code in a header; here it is refused, and so is a changed archive."""
    uid = publish(shared.url, root, MLP)
    key = header_key(Uid(*uid.split("-", 1)))
    header = shared.bytes(key)
    shared.storage.write(key, header + b"x: !!python/object/apply:os.getcwd []\n")
    assert shared.theirs(f"audmodel.name({uid!r})") == "voxcnn"
    with pytest.raises(modelzoo.CatalogError, match="could run code"):
        open_repository(shared.url).header(Uid(*uid.split("-", 1)))
    shared.storage.write(key, header)
    shutil.rmtree(shared.cache)
    archive = ours.url(uid).removeprefix(f"{shared.url}/")
    shared.storage.write(archive, shared.bytes(archive)[:-30] + b"x" * 30)
    with pytest.raises(modelzoo.DownloadFailed):
        modelzoo.load(uid, repository=shared.url, num_attempts=1)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(TEXT, inner, max_size=3)
    ),
    max_leaves=6,
)  # fmt: skip

ANSWERS = """
import datetime, json, sys
import audmodel
from audmodel.core.utils import create_header
from audmodel.core.backend import write_yaml
for line in sys.stdin:
    params = eval(line, {"datetime": datetime})
    write_yaml(sys.argv[1], create_header("", author="a", date=datetime.date(2026, 11, 28), name="n",
        parameters=params, subgroup="s.t", version="1.0.0"))
    ids = audmodel.uid("n", params, subgroup="s.t"), audmodel.legacy_uid("n", params, "1.0.0")
    print(json.dumps([*ids, open(sys.argv[1]).read()]), flush=True)
"""


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """audmodel, which says what it makes of the parameters in a line."""
    path = str(tmp_path_factory.mktemp("headers") / "header.yaml")
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([PYTHON, "-c", ANSWERS, path], **pipes) as process:
        yield process
        process.stdin.close()  # type: ignore[union-attr]


@settings(max_examples=300, deadline=None)
@given(params=st.dictionaries(TEXT, VALUES, max_size=4))
def test_ids_and_headers_of_any_parameters(
    answering: subprocess.Popen[str], params: dict[str, Any]
) -> None:
    assert answering.stdin
    assert answering.stdout
    answering.stdin.write(f"{params!r}\n")
    answering.stdin.flush()
    short, legacy, text = json.loads(answering.stdout.readline())
    assert (short_id("n", params, "s.t"), legacy_id("n", params, "1.0.0")) == (short, legacy)
    header = Header(author="a", date=DAY, name="n", parameters=params, subgroup="s.t", version="1.0.0")
    assert dump_header(header).decode("ascii") == text
