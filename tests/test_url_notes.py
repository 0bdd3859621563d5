"""What a cache remembers of URLs: damage, secrets, mirrors, and many at once."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import modelzoo
import pytest
from modelzoo.cache.entries import Cache
from modelzoo.cache.url_notes import UrlNote, UrlNotes
from modelzoo.files.partial import Partial
from modelzoo.run.outcome import Summary

from tests.notebook import CONFIG, OTHER, WEIGHTS, Notebook, digest
from tests.servers.faulty import FaultyServer, hold_after, html_page, serve, status
from tests.zoo import tree


@pytest.fixture
def notebook(tmp_path: Path, faulty: FaultyServer) -> Notebook:
    return Notebook(tmp_path, faulty)


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


def test_secrets_can_be_all_that_tells_two_files_apart(notebook: Notebook) -> None:
    notebook.server.add("/get?token=1", serve(CONFIG))
    notebook.server.add("/get?token=2", serve(OTHER))
    url = f"{notebook.server.url}/get?token="
    notebook.urls = {"vqgan/vqgan.yaml": f"{url}1", "vqgan/vqgan.ckpt": f"{url}2"}
    for options in ({}, {}, {"offline": True}):
        notebook.run(**options)
        assert notebook.bytes == (CONFIG, OTHER)
        shutil.rmtree(notebook.out)


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
    assert notebook.notices.count("the cache does not remember ") == 1


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


def test_one_that_was_fetched_between_a_look_and_the_turn(
    notebook: Notebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook.urls = {"m/a.bin": f"{notebook.server.url}/weights"}
    notebook.server.add("/weights", serve(WEIGHTS), status(500))
    noted, others = Cache.noted, [tmp_path / "other"]

    def overtaken(cache: Cache, addresses: Iterable[str]) -> UrlNote | None:
        found = noted(cache, addresses)
        here = threading.current_thread()
        while others and here is not threading.main_thread():  # somebody does it all just then
            modelzoo.download(notebook.models(), others.pop(), cache_dir=notebook.cache)
        return found

    monkeypatch.setattr(Cache, "noted", overtaken)
    summary = modelzoo.download(notebook.models(), notebook.out, cache_dir=notebook.cache)
    assert summary.models[0].files[0].origin == "cache"
    assert len(notebook.server.requests) == 1


def test_nobody_has_its_turn_before_the_note_is_written(
    notebook: Notebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook.urls = {"m/a.bin": f"{notebook.server.url}/weights"}
    notebook.server.add("/weights", serve(WEIGHTS), status(500))
    write, reserve_address, asked = UrlNotes.write, Cache.reserve_address, threading.Event()
    origins: list[str | None] = []

    def other() -> None:
        try:
            summary = modelzoo.download(notebook.models(), tmp_path / "b", cache_dir=notebook.cache)
            origins.append(summary.models[0].files[0].origin)
        finally:
            asked.set()

    thread = threading.Thread(target=other)

    def telling(cache: Cache, address: str) -> Partial | None:
        reservation = reserve_address(cache, address)
        if reservation is None:
            asked.set()
        return reservation

    def hesitant(notes: UrlNotes, note: UrlNote) -> None:
        thread.start()
        assert asked.wait(30), "the other one neither waits nor ends"
        write(notes, note)

    monkeypatch.setattr(Cache, "reserve_address", telling)
    monkeypatch.setattr(UrlNotes, "write", hesitant)
    modelzoo.download(notebook.models(), notebook.out, cache_dir=notebook.cache)
    thread.join(30)
    assert origins == ["cache"]
    assert len(notebook.server.requests) == 1


def test_pruning_keeps_what_a_list_of_urls_names(notebook: Notebook, tmp_path: Path) -> None:
    """Nobody may be able to fetch it again; notes go with their entries, and no others."""
    notebook.run()
    one = tmp_path / "one.txt"
    one.write_text(f"vqgan/vqgan.ckpt={notebook.urls['vqgan/vqgan.ckpt']}\n")
    options: dict[str, Any] = {"unused": True, "sources": [one]}
    assert [e.size for e in modelzoo.prune_cache(notebook.cache, dry_run=True, **options).removed] == [
        len(CONFIG)
    ]
    assert notebook.note("/config").exists()
    (notebook.cache / "urls" / "odd.json").write_text("{")
    modelzoo.prune_cache(notebook.cache, **options)
    assert not notebook.note("/config").exists()
    assert (notebook.cache / "urls" / "odd.json").exists()
    shutil.rmtree(notebook.out)
    del notebook.urls["vqgan/vqgan.yaml"]
    notebook.run(offline=True)
    assert notebook.origins == ["cache"]
