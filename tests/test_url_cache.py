"""Files without a published checksum, and the notebook that kept them: its flaws must not come back."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import modelzoo
import pytest
from modelzoo.cache import Cache
from modelzoo.events import Event, ModelFileDownloadEnd, Notice
from modelzoo.model import Model
from modelzoo.outcome import Summary

from tests.servers.faulty import (
    FaultyServer,
    Step,
    drop_connection,
    hold_after,
    html_page,
    serve,
    status,
    truncate_after,
)
from tests.zoo import content, tree

CONFIG, WEIGHTS = b"model:\n  base_learning_rate: 4.5e-06\n", content("vqgan", 300_000)
OTHER = content("vqgan of today", 310_000)


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Notebook:
    """The notebook's folders, and its model on a server."""

    def __init__(self, root: Path, server: FaultyServer) -> None:
        self.server = server
        self.out, self.cache = root / "models", root / "cache"
        self.local = self.out / "vqgan"
        server.add("/config", serve(CONFIG, etag='"c1"'))
        server.add("/weights", serve(WEIGHTS, etag='"w1"'))
        self.urls = {
            "vqgan/vqgan.yaml": f"{server.url}/config",
            "vqgan/vqgan.ckpt": f"{server.url}/weights",
        }
        self.events: list[Event] = []

    def models(self) -> list[Model]:
        return modelzoo.from_urls(self.urls)

    def run(self, **options: Any) -> Summary:
        """Download; the events are those of this run."""
        self.events = []
        options = {"cache_dir": self.cache, "report": self.events.append, **options}
        return modelzoo.download(self.models(), self.out, **options)

    def fail(self, **options: Any) -> modelzoo.DownloadFailed:
        with pytest.raises(modelzoo.DownloadFailed) as caught:
            self.run(**options)
        return caught.value

    @property
    def origins(self) -> list[str | None]:
        """Where the config and the weights came from."""
        ends = [e for e in self.events if isinstance(e, ModelFileDownloadEnd)]
        return [e.origin for name in ("yaml", "ckpt") for e in ends if e.model_file.endswith(name)]

    @property
    def notices(self) -> str:
        return "\n".join(event.message for event in self.events if isinstance(event, Notice))

    @property
    def bytes(self) -> tuple[bytes, bytes]:
        return (self.local / "vqgan.yaml").read_bytes(), (self.local / "vqgan.ckpt").read_bytes()

    def note(self, path: str) -> Path:
        return Cache(self.cache).notes.path(f"{self.server.url}{path}")


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


# What else can happen to a cache.


def _garbage(note: Path) -> None:
    note.write_bytes(b'{"url": [')


def _empty(note: Path) -> None:
    note.write_bytes(b"")


def _folder(note: Path) -> None:
    note.unlink()
    note.mkdir()


def _pipe(note: Path) -> None:
    note.unlink()
    os.mkfifo(note)


def _changed(**members: Any) -> Callable[[Path], None]:
    def change(note: Path) -> None:
        note.write_text(json.dumps(json.loads(note.read_bytes()) | members))

    return change


BROKEN_NOTES: dict[str, Callable[[Path], None]] = {
    "garbage": _garbage,
    "empty": _empty,
    "folder": _folder,
    "pipe": _pipe,
    "deep": lambda note: note.write_text("[" * 10_000) and None,
    "huge": lambda note: note.write_bytes(b" " * 10_000_000) and None,
    "climbing": _changed(checksum={"type": "sha256", "value": "../../../../secret"}),
    "algorithm": _changed(checksum={"type": "rot13", "value": "00" * 32}),
    "another url": _changed(url="http://127.0.0.1:1/weights"),
    "size": _changed(size=-1),
    "list": lambda note: note.write_text("[]") and None,
}


@pytest.mark.parametrize("damage", BROKEN_NOTES)
def test_a_broken_note_is_none(notebook: Notebook, tmp_path: Path, damage: str) -> None:
    notebook.run()
    shutil.rmtree(notebook.out)
    (tmp_path / "secret").write_bytes(b"secret")
    BROKEN_NOTES[damage](notebook.note("/weights"))
    notebook.run()
    assert (notebook.origins, notebook.bytes) == (["cache", "network"], (CONFIG, WEIGHTS))
    if damage != "folder":  # which can only be removed by hand
        shutil.rmtree(notebook.out)
        notebook.run()
        assert notebook.origins == ["cache", "cache"]


def test_a_broken_copy_is_fetched_again(notebook: Notebook) -> None:
    notebook.run()
    shutil.rmtree(notebook.out)
    value = digest(WEIGHTS)[7:]
    entry = notebook.cache / "1" / value[:2] / value[2:]
    entry.write_bytes(WEIGHTS[:-1] + b"x")
    notebook.run()
    assert (notebook.origins, notebook.bytes) == (["cache", "network"], (CONFIG, WEIGHTS))
    assert "is broken and was removed" in notebook.notices
    assert entry.read_bytes() == WEIGHTS


def test_a_note_without_its_copy_leads_to_the_origin(notebook: Notebook) -> None:
    notebook.run()
    shutil.rmtree(notebook.out)
    shutil.rmtree(notebook.cache / "1")
    notebook.server.add("/weights", serve(OTHER))
    notebook.run()
    assert (notebook.origins, notebook.bytes) == (["network", "network"], (CONFIG, OTHER))


def test_a_page_is_not_kept(notebook: Notebook) -> None:
    notebook.server.add("/weights", html_page("please sign in"))
    assert notebook.fail().reason == modelzoo.Reason.WRONG_CONTENT
    assert not notebook.note("/weights").exists()


def test_secrets_do_not_reach_the_cache(notebook: Notebook) -> None:
    url = notebook.server.url.replace("//", "//me:S3CRET@")
    notebook.urls = {"m/a.bin": f"{url}/weights?token=S3CRET"}
    notebook.run()
    assert "S3CRET" not in repr(tree(notebook.cache)) + repr(tree(notebook.out))
    shutil.rmtree(notebook.out)
    notebook.urls = {"m/a.bin": f"{notebook.server.url}/weights?token=another"}
    notebook.run(offline=True)


def test_mirrors_share_what_one_of_them_gave(notebook: Notebook) -> None:
    notebook.server.add("/gone", status(404))
    mirrors = [f"{notebook.server.url}/gone", f"{notebook.server.url}/weights"]
    models = modelzoo.from_urls({"m/a.bin": mirrors})
    modelzoo.download(models, notebook.out, cache_dir=notebook.cache)
    shutil.rmtree(notebook.out)
    modelzoo.download(models, notebook.out, cache_dir=notebook.cache, offline=True)
    assert (notebook.out / "m/a.bin").read_bytes() == WEIGHTS


def test_a_cache_that_cannot_be_used_fails_nothing(notebook: Notebook) -> None:
    notebook.cache.write_bytes(b"a file")
    notebook.run()
    assert (notebook.origins, notebook.bytes) == (["network", "network"], (CONFIG, WEIGHTS))
    assert "cache" in notebook.notices
    notebook.run()
    assert notebook.origins == ["local", "local"]


def test_notes_that_cannot_be_written_fail_nothing(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook.cache.mkdir()
    (notebook.cache / "urls").write_bytes(b"a file")
    notebook.server.add("/o/r/resolve/main/a.bin", serve(WEIGHTS, headers={
        "X-Linked-Etag": digest(WEIGHTS)[7:], "X-Linked-Size": str(len(WEIGHTS))
    }))  # fmt: skip
    monkeypatch.setenv("HF_ENDPOINT", notebook.server.url)
    notebook.urls["hub/a.bin"] = "hf://o/r/a.bin"
    notebook.run()
    assert notebook.bytes == (CONFIG, WEIGHTS)
    assert notebook.notices.count("the cache does not remember ") == 3


def test_many_with_one_cache_fetch_once(notebook: Notebook, tmp_path: Path) -> None:
    go = threading.Event()
    notebook.urls = {"m/a.bin": f"{notebook.server.url}/weights"}
    notebook.server.add("/weights", hold_after(serve(WEIGHTS, etag='"w1"'), 1000, go), status(500))
    summaries: list[Summary] = []

    def work(number: int) -> None:
        folder = tmp_path / f"out-{number}"
        summaries.append(modelzoo.download(notebook.models(), folder, cache_dir=notebook.cache))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    notebook.server.wait_for(1)
    go.set()
    for thread in threads:
        thread.join(30)
    assert sorted(s.models[0].files[0].origin or "" for s in summaries) == ["cache", "cache", "network"]
    assert len(notebook.server.requests) == 1
