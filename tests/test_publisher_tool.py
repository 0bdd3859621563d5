"""The publisher as a process: what it prints, kills at any moment, and several at once."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from modelzoo.commands import publisher
from modelzoo.errors import UnknownModelError
from modelzoo.registry.identifiers import short_id
from modelzoo.registry.storage import Storage, connect

from tests.conftest import ROOT, TOOLS, tool
from tests.publishing import FILES, PARAMS, make_folder, models, prove, publish
from tests.servers.buckets import BUCKETS
from tests.zoo import content

NAMED = ["--name", "voxcnn", "--subgroup", "anger.autrainer", "--version", "1.0.0"]
TYPED = ["--param", "data=emodb", "--param", "sampling_rate=16000", "--param", "network=mlp"]
SID = short_id("voxcnn", PARAMS, "anger.autrainer")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "model")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "repository"


def start(root: Path, place: str | Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(TOOLS / "publisher.py"), "publish", str(root), *NAMED, *TYPED]
    return subprocess.Popen(
        [*command, "--repository", str(place), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_id_alone_is_printed(root: Path, place: Path, tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text('{"data": {"emodb": {"version": "1.2.0"}}}')
    more = ["--meta", tmp_path / "meta.json", "--alias", "best", "--author", "Anna"]
    done = tool("publisher", "publish", root, *NAMED, *TYPED, "--repository", place, *more)
    assert done.stdout == f"{SID}-1.0.0\n"
    shown = ["data = 'emodb' (str)", "sampling_rate = 16000 (int)", "network = 'mlp' (str)"]
    assert done.stderr.splitlines()[:3] == shown
    assert [str(uid) for uid in models(connect(place))] == [f"{SID}-1.0.0"]
    again = tool("publisher", "publish", root, *NAMED, *TYPED, "--repository", place, check=1)
    assert again.stdout == ""
    assert again.stderr.endswith(f"publisher.py: {SID}-1.0.0: {place} has this model already\n")


def test_events(root: Path, place: Path) -> None:
    done = tool(
        *("publisher", "publish", root, *NAMED, *TYPED),
        *("--repository", place, "--progress_format=json"),
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["$type"] for event in events[:1] + events[-1:]] == ["publish_begin", "publish_end"]
    assert {event["model"] for event in events} == {f"{SID}-1.0.0"}
    assert (events[-1]["successful"], done.stderr) == (True, "")
    schema = json.loads((ROOT / "docs" / "events.schema.json").read_text())
    for event in events:
        jsonschema.Draft202012Validator(schema).validate(event)


def test_every_kind_of_parameter(root: Path, place: Path) -> None:
    given = ["a=1", "b=1.5", "c=True", "d=None", "e=[x, 2]", 'f="16000"', "g=", "h=x=y"]
    options = [word for text in given for word in ("--param", text)]
    done = tool("publisher", "publish", root, *NAMED, *options, "--repository", place)
    expected = {
        "a": 1,
        "b": 1.5,
        "c": True,
        "d": None,
        "e": ["x", 2],
        "f": "16000",
        "g": "",
        "h": "x=y",
    }
    assert done.stdout == f"{short_id('voxcnn', expected, 'anger.autrainer')}-1.0.0\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "COMMAND"),
        (["publish", ".", "--name", "x"], "--version"),
        (["publish", "nowhere", *NAMED], "nowhere is no folder"),
        (["publish", ".", *NAMED, "--param", "x"], "NAME=VALUE"),
        (["publish", ".", *NAMED, "--param", "x=1", "--param", "x=2"], "twice"),
        (["publish", ".", *NAMED, "--subgroup", "../x"], "is no subgroup"),
        (["publish", ".", *NAMED, "--compression", "10"], "0 to 9"),
        (["publish", ".", *NAMED, "--date", "soon"], "--date"),
        (["publish", ".", *NAMED, "--meta", "none.yaml"], "none.yaml"),
        (["alias", "12345678", "87654321"], "is no alias"),
    ],
    ids=str,
)
def test_usage(arguments: list[str], problem: str, place: Path, tmp_path: Path) -> None:
    environ = {"MODELZOO_REPOSITORY": str(place)}
    done = tool("publisher", *arguments, check=2, cwd=tmp_path, environ=environ)
    assert done.stdout == ""
    assert problem in done.stderr
    assert done.stderr.splitlines()[-1].startswith("publisher.py: error: ")
    assert not place.exists()


def test_aliases_meta_and_versions(
    root: Path,
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def run(*arguments: str | Path) -> str:
        """What the tool prints; in this process, since starting Python takes longer than all else."""
        assert publisher.main([*map(str, arguments)], "publisher.py") == 0
        return capfd.readouterr().out

    monkeypatch.setenv("MODELZOO_REPOSITORY", f"{tmp_path / 'other'}\n{place}\n")
    for version in ("1.10.0", "1.9.0", "1.9.0-rc1"):
        publish(root, place, version)
    uid = f"{SID}-1.9.0"
    assert run("versions", SID).split() == ["1.9.0-rc1", "1.9.0", "1.10.0"]
    assert run("alias", "best", SID) == f"{SID}-1.10.0\n"
    assert run("alias", "best", uid) == run("alias", "best") == f"{uid}\n"
    (tmp_path / "meta.yaml").write_text("a: {b: 1}\n")
    (tmp_path / "more.yaml").write_text("a: {c: 2}\n")
    assert run("meta", "best", tmp_path / "meta.yaml") == "a:\n  b: 1\n"
    printed = run("meta", "best", tmp_path / "more.yaml", "--format=json")
    assert json.loads(printed) == {"a": {"b": 1, "c": 2}}
    assert run("meta", "best", tmp_path / "more.yaml", "--replace") == "a:\n  c: 2\n"
    assert run("meta", uid) == "a:\n  c: 2\n"
    for command in (["alias", "none"], ["alias", "x", "none"], ["meta", "none"], ["versions", "none"]):
        with pytest.raises(UnknownModelError, match="ID 'none'"):
            run(*command)
    assert tool("publisher", "alias", "none", check=1).stderr.startswith(
        "publisher.py: A model with ID"
    )


def test_a_configured_repository(root: Path, place: Path, tmp_path: Path) -> None:
    file = tmp_path / "config" / "modelzoo" / "repositories.yml"
    file.parent.mkdir(parents=True)
    file.write_text(f"repositories:\n  - name: team\n    url: {place}\n  - {tmp_path / 'second'}\n")
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    done = tool("publisher", "publish", root, *NAMED, *TYPED, environ=environ)
    assert tool("publisher", "versions", SID, environ=environ).stdout == "1.0.0\n"
    assert tool("publisher", "versions", SID, "--repository", "team", environ=environ).returncode == 0
    assert str(place) in done.stderr
    file.write_text("repositories:\n  - team\n  - {name: x}\n")
    done = tool("publisher", "versions", SID, environ=environ, check=1)
    assert f"{file}: " in done.stderr


def folder() -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


@pytest.fixture(params=[folder, *BUCKETS], ids=lambda m: m.__name__)
def repository(request: pytest.FixtureRequest, place: Path) -> Iterator[Storage]:
    with request.param() as url:
        yield connect(url or place)


def big(tmp_path: Path) -> Path:
    files = {f"part-{n}.bin": content(f"part {n}", 1 << 20) for n in range(4)}
    return make_folder(tmp_path / "model", files | FILES)


def test_kills(repository: Storage, tmp_path: Path) -> None:
    """Whenever the process is killed: what can be seen is whole, and a second try brings it there."""
    root, random_ = big(tmp_path), random.Random(3)
    begun = time.monotonic()
    url = repository.url
    process = start(root, url, "--progress_format=json", "--alias", "first")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    whole, published = time.monotonic() - begun, 1
    for number in range(3 if repository.url.startswith("/") else 2):
        version = f"2.{number}.0"
        named = ["--version", version, "--alias", "best", "--tmp_dir", str(tmp_path / "tmp")]
        process = start(root, url, *named)
        time.sleep(whole * (0.3 + 0.7 * random_.random()))
        process.kill()
        process.communicate()
        before = [str(uid) for uid in models(repository)]
        done = f"{SID}-{version}" in before
        assert len(before) == published + done
        if not done:
            process = start(root, url, *named)
            out, err = process.communicate(timeout=60)
            assert (process.returncode, out) == (0, f"{SID}-{version}\n"), err
        published += 1
        assert len(models(repository)) == published
        assert not [e.key for e in repository.list() if ".tmp" in e.key or "_claim" in e.key] or done
    assert not list((tmp_path / "tmp").iterdir()) or done


def test_of_two_processes_one_wins(repository: Storage, tmp_path: Path) -> None:
    roots = [big(tmp_path / name) for name in "abc"]
    for number, root in enumerate(roots):
        (root / "whose").write_text(str(number))
    processes = [start(root, repository.url, "--alias", f"by-{n}") for n, root in enumerate(roots)]
    results = [(*process.communicate(timeout=90), process.returncode) for process in processes]
    statuses = [status for _, _, status in results]
    assert sorted(statuses) == [0, 1, 1], results
    (uid,) = models(repository)
    assert prove(repository, uid)["whose"] == str(statuses.index(0)).encode()
    for out, err, status in results:
        assert (out == f"{uid}\n") == (status == 0)
        assert status == 0 or "is being published" in err or "already" in err, err
    aliases = {entry.key.split("/")[1] for entry in repository.list("_alias")}
    assert aliases == {f"by-{statuses.index(0)}"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c(number: signal.Signals, repository: Storage, tmp_path: Path) -> None:
    root = big(tmp_path)
    process = start(root, repository.url, "--progress_format=json", "--alias", "best")
    assert process.stdout is not None
    for line in process.stdout:
        if "uploading" in line or '"packing"' in line:
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("it was faster")
    assert (process.returncode, "interrupted" in err) == (130, True), err
    end = json.loads(out.splitlines()[-1])
    assert (end["$type"], end["reason"]) == ("publish_end", "interrupted")
    assert [entry.key for entry in repository.list()] == []


def test_a_read_only_folder(root: Path, place: Path) -> None:
    place.write_text("no folder at all")
    done = tool("publisher", "publish", root, *NAMED, "--repository", place, check=1)
    assert str(place) in done.stderr
    assert os.path.isfile(place)
