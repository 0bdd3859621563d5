"""What a second run does: nothing that has been done, and everything that has changed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import modelzoo
import pytest
from modelzoo.events import Event, ModelDownloadBegin, ModelFileDownloadEnd, ModelPostprocessingBegin
from modelzoo.model import Model, ModelFile, Origin

from tests.archives import NET, add_patched_model
from tests.conftest import TOOLS, tool
from tests.servers import faulty as f
from tests.servers.faulty import FaultyServer
from tests.servers.nginx import Nginx
from tests.zoo import add_model, content, file_entry, make_zoo, model_config, tree, wrong_files

A, B = content("a", 4000), content("b", 4000)


class Run:
    """A catalog, a server, an output folder; `requests` are those of the last download alone."""

    def __init__(self, root: Path, server: FaultyServer) -> None:
        self.root, self.zoo, self.out, self.server = root, root / "zoo", root / "out", server
        self.requests: list[str] = []

    def serve(self, files: dict[str, bytes]) -> str:
        """Serve files; returns the URL to put before their names."""
        for name, data in files.items():
            self.server.add(f"/{name}", f.serve(data))
        return f"{self.server.url}/"

    def declare(self, name: str, files: dict[str, bytes], **config: Any) -> None:
        """Serve a model's files and put it into the catalog."""
        url = self.serve(files)
        entries = [file_entry(file, data, url + file) for file, data in files.items()]
        add_model(self.zoo, name, model_config(entries, **config))

    def __call__(self, models: Sequence[Model] = (), **options: Any) -> list[Event]:
        """Download everything; returns the events."""
        events: list[Event] = []
        before = len(self.server.requests)
        try:
            chosen = models or modelzoo.find(sources=[self.zoo])
            modelzoo.download(chosen, self.out, **{"report": events.append, **options})
        finally:
            self.requests = sorted(r.path.lstrip("/") for r in self.server.requests[before:])
        return events


@pytest.fixture
def run(tmp_path: Path, faulty: FaultyServer) -> Run:
    return Run(tmp_path, faulty)


def ends(events: list[Event]) -> dict[str, tuple[str | None, bool]]:
    """Of each file, where it came from and whether it is proven."""
    found = (event for event in events if isinstance(event, ModelFileDownloadEnd))
    return {event.model_file: (event.origin, event.verified) for event in found}


def postprocessed(events: list[Event]) -> bool:
    return any(isinstance(event, ModelPostprocessingBegin) for event in events)


def test_nothing_is_asked_for_or_written_again(nginx: Nginx, tmp_path: Path) -> None:
    expected = make_zoo(tmp_path / "zoo", nginx.root, nginx.url, models=5, files=4, size=5000)
    out = tmp_path / "out"
    command = ["--all", "--source", tmp_path / "zoo", "-o", out, "-j4", "--progress_format=json"]
    tool("downloader", *command)
    assert len(nginx.wait_for(20)) == 20
    nginx.reset_log()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    events = [json.loads(line) for line in tool("downloader", *command).stdout.splitlines()]
    assert nginx.requests() == []
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert not wrong_files(out, expected)
    assert [e["origin"] for e in events if e["$type"] == "model_file_download_end"] == ["local"] * 20
    assert events[-1]["bytes_local"] == 20 * 5000
    assert events[-1]["bytes_network"] == 0


HEAVY = {"requests", "urllib3", "rich", "filelock", "concurrent", "tarfile", "subprocess", "hashlib"}


@pytest.mark.parametrize("options", [["--progress_format=json"], ["--cache_dir=cache"]], ids=str)
def test_a_finished_tree_needs_nothing_that_moves_bytes(
    nginx: Nginx, tmp_path: Path, options: list[str]
) -> None:
    make_zoo(tmp_path / "zoo", nginx.root, nginx.url, models=2, files=2, size=5000)
    command = [sys.executable, "-X", "importtime", TOOLS / "downloader.py", "--all"]
    command += ["--source", tmp_path / "zoo", "-o", tmp_path / "out", *options]
    times = [
        subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
        for _ in range(2)
    ]
    first, second = ({line.split("|")[-1].strip() for line in t.stderr.splitlines()} for t in times)
    assert {"urllib3", "hashlib"} <= first
    assert not {"requests", "filelock", "html.parser"} & first
    assert not HEAVY & second


def test_one_job_tells_of_the_models_in_their_order(run: Run) -> None:
    """Those that need nothing do not come before the others."""
    names = ["a", "b", "c", "d", "e"]
    for name in names:
        run.declare(name, {f"{name}.bin": A})
    run()
    for name in ("b", "c"):
        shutil.rmtree(run.out / name)
    begun = [event.model for event in run() if isinstance(event, ModelDownloadBegin)]
    assert begun == names
    assert run.requests == ["b.bin", "c.bin"]


class Patched(Run):
    """The same with one model that needs all postprocessing, downloaded once."""

    def __init__(self, root: Path, server: FaultyServer) -> None:
        super().__init__(root, server)
        files, self.result = add_patched_model(self.zoo, f"{server.url}/")
        self.serve(files)
        assert postprocessed(self())
        assert self.requests == ["data.zip", "net.xml", "w.bin"]
        self.check()

    def check(self) -> None:
        assert tree(self.out / "m") == self.result


@pytest.fixture
def patched(tmp_path: Path, faulty: FaultyServer) -> Patched:
    return Patched(tmp_path, faulty)


def test_a_postprocessed_model_needs_nothing(patched: Patched) -> None:
    events = patched()
    assert patched.requests == []
    assert not postprocessed(events)
    assert set(ends(events).values()) == {("local", True)}
    assert set(ends(events)) == {"data.zip", "net.xml", "w.bin"}
    patched.check()


@pytest.mark.parametrize("name", ["a.txt", "deep/b.bin", "a.txt.orig"])
def test_what_was_unpacked_is_gone(patched: Patched, name: str) -> None:
    (patched.out / "m" / name).unlink()
    assert postprocessed(patched())
    assert patched.requests == ["data.zip"]
    patched.check()


def test_a_patched_file_is_made_again_from_its_original(patched: Patched) -> None:
    """Neither what was patched nor what was unpacked is patched twice."""
    for name in ("net.xml", "a.txt"):
        (patched.out / "m" / name).write_bytes(b"edited by somebody")
    patched()
    assert patched.requests == ["data.zip"]
    patched.check()
    assert not postprocessed(patched())


@pytest.mark.parametrize("cached", [False, True])
def test_a_postprocessed_model_without_receipt(patched: Patched, cached: bool) -> None:
    options = {"cache_dir": patched.root / "cache"} if cached else {}
    if cached:
        patched(force=True, **options)
    shutil.rmtree(patched.out / ".modelzoo")
    patched(**options)
    assert patched.requests == ([] if cached else ["data.zip"])
    patched.check()


def test_other_steps_are_done_on_the_originals(run: Run) -> None:
    def steps(word: str) -> list[dict[str, str]]:
        return [{"$type": "regex_replace", "file": "net.xml", "pattern": "net", "replacement": word}]

    run.declare("m", {"net.xml": NET, "w.bin": A}, postprocessing=steps("one"))
    run()
    for again in ("without receipt", "with other steps"):
        if again == "without receipt":
            shutil.rmtree(run.out / ".modelzoo")
        else:
            run.declare("m", {"net.xml": NET, "w.bin": A}, postprocessing=steps("two"))
        run()
        assert run.requests == []
        assert (run.out / "m" / "net.xml.orig").read_bytes() == NET
    assert (run.out / "m" / "net.xml").read_bytes() == NET.replace(b"net", b"two")


def test_right_files_are_adopted_and_wrong_ones_replaced(run: Run) -> None:
    run.declare("m", {"right.bin": A, "wrong.bin": B, "short.bin": A + B, "none.bin": B[1:]})
    (run.out / "m").mkdir(parents=True)
    for name, data in {"right.bin": A, "wrong.bin": A, "short.bin": A}.items():
        (run.out / "m" / name).write_bytes(data)
    events = run()
    assert run.requests == ["none.bin", "short.bin", "wrong.bin"]
    assert ends(events)["right.bin"] == ("local", True)
    wanted = {"right.bin": A, "wrong.bin": B, "short.bin": A + B, "none.bin": B[1:]}
    assert tree(run.out / "m") == wanted


@pytest.mark.parametrize("step", [f.status(404), f.serve(A[::-1]), f.serve(B[:99])])
def test_a_wrong_file_stays_until_the_right_one_is_there(run: Run, step: f.Step) -> None:
    run.declare("m", {"x.bin": B})
    (run.out / "m").mkdir(parents=True)
    (run.out / "m" / "x.bin").write_bytes(A)
    run.server.add("/x.bin", step, f.serve(B))
    with pytest.raises(modelzoo.DownloadFailed):
        run()
    assert (run.out / "m" / "x.bin").read_bytes() == A
    run()
    assert tree(run.out / "m") == {"x.bin": B}


def made(path: str, url: str, size: int | None) -> Model:
    """A model with one file of which no digest is known, as other catalogs have."""
    folder, _, name = path.rpartition("/")
    file = ModelFile(name, size, None, (Origin(url),))
    about = dict.fromkeys(["description", "framework", "task_type", "license_url"], "x")
    id_ = folder.replace("/", "-")
    return Model(id=id_, name=id_, source="hand", subdirectory=folder, files=(file,), **about)


@pytest.mark.parametrize(
    ("size", "present", "requests"),
    [(4000, A, 0), (4000, A[1:], 1), (None, A, 0), (None, b"", 0), (4000, None, 1), (None, None, 1)],
)
def test_unknown_digest(run: Run, size: int | None, present: bytes | None, requests: int) -> None:
    """Where no digest is known, the size decides; the result is marked as what it is."""
    model = made("m/x.bin", run.serve({"x.bin": B}) + "x.bin", size)
    if present is not None:
        (run.out / "m").mkdir(parents=True)
        (run.out / "m" / "x.bin").write_bytes(present)
    assert ends(run([model])) == {"x.bin": ("network" if requests else "local", False)}
    assert len(run.requests) == requests
    assert (run.out / "m" / "x.bin").read_bytes() == (B if requests else present)
    assert ends(run([model])) == {"x.bin": ("local", False)}
    assert run.requests == []


def test_only_what_changed_in_the_catalog_is_fetched(run: Run) -> None:
    run.declare("m", {"x.bin": A, "y.bin": B})
    run()
    run.declare("m", {"x.bin": A, "y.bin": B[::-1], "z.bin": A})
    run()
    assert run.requests == ["y.bin", "z.bin"]
    assert tree(run.out / "m") == {"x.bin": A, "y.bin": B[::-1], "z.bin": A}
    run()
    assert run.requests == []


def test_a_change_of_url_or_checksum_type_alone_fetches_nothing(run: Run) -> None:
    run.declare("m", {"x.bin": A})
    run()
    os.utime(run.out / "m" / "x.bin")
    entry = file_entry("x.bin", A, "https://elsewhere.invalid/x")
    add_model(run.zoo, "m", model_config([entry]))
    run()
    sha512 = {"$type": "sha512", "value": hashlib.sha512(A).hexdigest()}
    add_model(run.zoo, "m", model_config([entry | {"checksum": sha512}]))
    run()
    assert run.requests == []


def test_force(patched: Patched) -> None:
    """What is there is brought again; the original of a patched file is as good as a cached copy."""
    (patched.out / "m" / "w.bin").write_bytes(b"")
    events = patched(force=True)
    assert patched.requests == ["data.zip", "w.bin"]
    assert ends(events)["net.xml"] == ("local", True)
    assert postprocessed(events)
    patched.check()


def test_offline(run: Run) -> None:
    run.declare("m", {"x.bin": A, "y.bin": B})
    cache = run.root / "cache"
    with pytest.raises(modelzoo.DownloadFailed, match="offline"):
        run(offline=True, cache_dir=cache)
    assert run.requests == []
    run(cache_dir=cache)
    assert set(ends(run(offline=True)).values()) == {("local", True)}
    shutil.rmtree(run.out)
    assert set(ends(run(offline=True, cache_dir=cache)).values()) == {("cache", True)}
    assert run.requests == []
    assert tree(run.out / "m") == {"x.bin": A, "y.bin": B}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("public/m/x.bin", "public/M/x.bin"),
        ("public/m1/x.bin", "Public/M1/X.BIN"),
        ("public/größe/x.bin", "public/gro\u0308ße/x.bin"),
        ("public/m/v", "public/m/v/x.bin"),
    ],
)
def test_two_files_for_one_place_end_the_run_before_it_starts(
    run: Run, first: str, second: str
) -> None:
    url = run.serve({"ok.bin": A})
    models = [made(name, url + "ok.bin", 4000) for name in ("public/a/ok.bin", first, second)]
    with pytest.raises(
        modelzoo.ModelZooError, match="two selected files have one destination"
    ) as caught:
        run(models)
    assert first in str(caught.value)
    assert second in str(caught.value)
    assert run.requests == []
    assert not run.out.exists()
