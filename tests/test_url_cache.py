"""Files without a published checksum, and the notebook that kept them: its flaws must not come back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import modelzoo
import pytest

from tests.notebook import CONFIG, OTHER, WEIGHTS, Notebook, digest
from tests.processes import Downloader
from tests.servers.faulty import (
    FaultyServer,
    Step,
    drop_connection,
    hold_after,
    serve,
    status,
    truncate_after,
)
from tests.zoo import content, tree


@pytest.fixture
def notebook(tmp_path: Path, faulty: FaultyServer) -> Notebook:
    return Notebook(tmp_path, faulty)


def test_local_then_cache_then_origin(notebook: Notebook) -> None:
    notebook.run()
    assert (notebook.origins, notebook.bytes) == (["network", "network"], (CONFIG, WEIGHTS))
    notebook.run()
    assert notebook.origins == ["local", "local"]
    shutil.rmtree(notebook.out)
    notebook.run()
    assert (notebook.origins, notebook.bytes) == (["cache", "cache"], (CONFIG, WEIGHTS))
    assert len(notebook.server.requests) == 2
    notebook.run()
    assert notebook.origins == ["local", "local"]


def test_what_is_told_and_remembered(notebook: Notebook) -> None:
    summary = notebook.run()
    file = summary.models[0].files[1]
    assert (file.checksum, file.verified) == (digest(WEIGHTS), False)
    receipt = json.loads((notebook.out / ".modelzoo/receipts/urls/vqgan.json").read_bytes())
    assert receipt["inputs"][1] == {
        "name": "vqgan.ckpt",
        "size": len(WEIGHTS),
        "checksum": {"type": "sha256", "value": digest(WEIGHTS)[7:]},
        "origin": f"{notebook.server.url}/weights",
        "verified": False,
        "validator": '"w1"',
    }
    note = json.loads(notebook.note("/weights").read_bytes())
    assert note.pop("time")
    assert note == {
        "url": f"{notebook.server.url}/weights",
        "file": "vqgan/vqgan.ckpt",
        "size": len(WEIGHTS),
        "checksum": receipt["inputs"][1]["checksum"],
        "validator": '"w1"',
    }
    value = digest(WEIGHTS)[7:]
    assert (notebook.cache / "1" / value[:2] / value[2:]).read_bytes() == WEIGHTS


GONE: dict[str, tuple[Step, dict[str, Any]]] = {
    "404": (status(404), {}),
    "410": (status(410), {}),
    "500": (status(500), {"num_attempts": 1}),
    "no answer": (drop_connection(), {}),
    "offline": (serve(OTHER), {"offline": True}),
}


@pytest.mark.parametrize("gone", GONE)
def test_the_copy_outlives_its_source(notebook: Notebook, gone: str) -> None:
    notebook.run()
    shutil.rmtree(notebook.out)
    step, options = GONE[gone]
    notebook.server.add("/config", step)
    notebook.server.add("/weights", step)
    notebook.run(**options)
    assert (notebook.origins, notebook.bytes) == (["cache", "cache"], (CONFIG, WEIGHTS))


def test_the_server_itself_is_gone(tmp_path: Path) -> None:
    with FaultyServer() as server:
        notebook = Notebook(tmp_path, server)
        notebook.run()
    shutil.rmtree(notebook.out)
    notebook.run()
    assert notebook.bytes == (CONFIG, WEIGHTS)
    shutil.rmtree(notebook.out)
    shutil.rmtree(notebook.cache)
    error = notebook.fail()
    assert f"{server.url}/config" in str(error)
    assert not list(notebook.local.glob("vqgan.*[!d]"))


# The flaws of the notebook, one by one.


def test_an_interrupted_file_is_not_taken_as_complete(notebook: Notebook) -> None:
    """Neither in place nor in the cache; the next run goes on where it stopped."""
    big = content("big", 3_000_000)
    whole = serve(big, etag='"b1"')
    notebook.server.add("/weights", truncate_after(whole, 2_000_000), whole)
    notebook.fail()
    assert not (notebook.local / "vqgan.ckpt").exists()
    assert not notebook.note("/weights").exists()
    notebook.run()
    assert (notebook.origins, notebook.bytes) == (["local", "network"], (CONFIG, big))
    assert notebook.server.requests[-1].headers["range"] == "bytes=2000000-"


def test_a_killed_run_leaves_nothing_that_is_believed(notebook: Notebook) -> None:
    big, go = content("big", 3_000_000), threading.Event()
    whole = serve(big, etag='"b1"')
    notebook.server.add("/weights", hold_after(whole, 2_000_000, go), whole)
    arguments = [word for file, url in notebook.urls.items() for word in ("--url", f"{file}={url}")]
    arguments += ["--progress_interval=0", "--cache_dir", str(notebook.cache), "-o", str(notebook.out)]
    with Downloader(*arguments, all=False) as run:
        for event in run.events():
            if event["$type"] == "model_file_download_progress" and event["size"] == 2_000_000:
                break
        run.signal(signal.SIGKILL)
        run.wait()
    go.set()
    assert not (notebook.local / "vqgan.ckpt").exists()
    assert not notebook.note("/weights").exists()
    notebook.run()
    assert notebook.bytes == (CONFIG, big)
    assert notebook.server.requests[-1].headers["range"] == "bytes=2000000-"
    assert notebook.note("/weights").exists()


def test_a_file_that_was_cut_afterwards_is_replaced(notebook: Notebook) -> None:
    notebook.run()
    (notebook.local / "vqgan.ckpt").write_bytes(WEIGHTS[:1000])
    notebook.run()
    assert (notebook.origins, notebook.bytes) == (["local", "cache"], (CONFIG, WEIGHTS))
    (notebook.local / "vqgan.ckpt").write_bytes(WEIGHTS[:1000])
    notebook.run(cache_dir=None)
    assert (notebook.origins, notebook.bytes) == (["local", "network"], (CONFIG, WEIGHTS))


def test_a_touched_file_is_looked_at_and_kept(notebook: Notebook) -> None:
    notebook.run(cache_dir=None)
    os.utime(notebook.local / "vqgan.ckpt", (1, 1))
    notebook.run(cache_dir=None)
    assert notebook.origins == ["local", "local"]
    notebook.run(cache_dir=None)
    assert len(notebook.server.requests) == 2


def test_a_wiped_cache_is_primed_from_the_local_files(notebook: Notebook) -> None:
    notebook.run()
    before = tree(notebook.cache)
    shutil.rmtree(notebook.cache)
    notebook.run()
    assert notebook.origins == ["local", "local"]
    after = tree(notebook.cache)
    assert after.keys() == before.keys()
    shutil.rmtree(notebook.out)
    notebook.run(offline=True)
    assert (notebook.origins, notebook.bytes) == (["cache", "cache"], (CONFIG, WEIGHTS))
    assert len(notebook.server.requests) == 2


def test_a_cache_that_comes_later_is_primed_too(notebook: Notebook) -> None:
    notebook.run(cache_dir=None)
    notebook.run()
    shutil.rmtree(notebook.out)
    notebook.run(offline=True)
    assert notebook.bytes == (CONFIG, WEIGHTS)


def test_edited_files_do_not_prime_the_cache(notebook: Notebook) -> None:
    """Not even those whose size and time a receipt vouches for."""
    notebook.run(cache_dir=None)
    path = notebook.local / "vqgan.ckpt"
    stat = path.stat()
    path.write_bytes(bytes(len(WEIGHTS)))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    notebook.run()
    assert not notebook.note("/weights").exists()
    assert [p for p in notebook.cache.rglob("*") if p.is_file() and p.stat().st_size > 1000] == []


def test_one_missing_file_fetches_that_one(notebook: Notebook) -> None:
    notebook.run(cache_dir=None)
    (notebook.local / "vqgan.yaml").unlink()
    notebook.run(cache_dir=None)
    assert notebook.origins == ["network", "local"]
    paths = [request.path for request in notebook.server.requests]
    assert paths == ["/config", "/weights", "/config"]


@pytest.mark.parametrize("cached", [True, False])
def test_the_same_name_with_another_url_is_another_file(notebook: Notebook, cached: bool) -> None:
    options = {} if cached else {"cache_dir": None}
    notebook.run(**options)
    notebook.server.add("/other", serve(OTHER))
    notebook.urls["vqgan/vqgan.ckpt"] = f"{notebook.server.url}/other"
    notebook.run(**options)
    assert (notebook.origins, notebook.bytes) == (["local", "network"], (CONFIG, OTHER))
    notebook.run(**options)
    assert notebook.origins == ["local", "local"]
    notebook.urls["vqgan/vqgan.ckpt"] = f"{notebook.server.url}/weights"
    notebook.run(**options)
    assert notebook.origins == ["local", "cache" if cached else "network"]
    assert notebook.bytes == (CONFIG, WEIGHTS)


def test_the_old_file_stays_until_the_other_one_is_whole(notebook: Notebook) -> None:
    notebook.run()
    notebook.server.add("/other", truncate_after(serve(OTHER), 1000))
    notebook.urls["vqgan/vqgan.ckpt"] = f"{notebook.server.url}/other"
    notebook.fail()
    assert notebook.bytes == (CONFIG, WEIGHTS)


@pytest.mark.parametrize(
    "name",
    ["../up/a", "..", "a/../../up", "/etc/a", "a//b", "a/", "c:/x", "a\\b/c", "a/.modelzoo/../x"],
)
def test_no_name_leaves_the_folders(notebook: Notebook, name: str) -> None:
    notebook.urls = {name: f"{notebook.server.url}/config"}
    with pytest.raises(modelzoo.CatalogError):
        notebook.models()
