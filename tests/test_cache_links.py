"""`--cache_link hardlink`: the output and the cache are one read-only file, where that can be."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

import modelzoo
import pytest
from modelzoo.cache.entries import Cache
from modelzoo.checksum import Checksum, file_checksum
from modelzoo.transfer import adoption, remembering

from tests.archives import add_patched_model
from tests.conftest import require, tool
from tests.servers import faulty as f
from tests.servers.faulty import FaultyServer
from tests.test_cache import BROKEN, DATA, Place, notices, origins
from tests.zoo import content, tree


class Linked(Place):
    """The same with hard links."""

    def link(self, *models: str, out: str = "out", **options: Any) -> list[Any]:
        """Download with links; returns the events."""
        return self.download(*models, out=out, cache_link="hardlink", **options)

    def output(self, out: str = "out", model: str = "m") -> Path:
        return self.root / out / model / "model.bin"

    def fill(self) -> None:
        """Have an entry as other tools leave it."""
        self.entry.parent.mkdir(parents=True, exist_ok=True)
        self.entry.write_bytes(DATA)

    def stray(self) -> list[Path]:
        """What is left in flight."""
        return list(self.root.rglob("*.download*"))


@pytest.fixture
def place(tmp_path: Path, faulty: FaultyServer) -> Linked:
    return Linked(tmp_path, faulty)


def is_protected(path: Path) -> bool:
    return not path.stat().st_mode & 0o222


def test_a_hit_is_a_link(place: Linked) -> None:
    place.fill()
    assert origins(place.link()) == ["cache"]
    assert place.output().samefile(place.entry)
    assert is_protected(place.entry)
    assert origins(place.link(out="again")) == ["cache"]
    assert place.output("again").samefile(place.entry)
    assert place.server.requests == []
    assert place.stray() == []


def test_a_download_is_linked_into_the_cache(place: Linked) -> None:
    assert origins(place.link()) == ["network"]
    assert place.output().samefile(place.entry)
    assert is_protected(place.entry)
    assert place.stray() == []
    assert origins(place.link()) == ["local"]
    assert origins(place.link(force=True)) == ["cache"]
    assert place.stray() == []


@pytest.mark.parametrize("link", ["copy", "hardlink"])
def test_an_adopted_file_is_read_once(
    place: Linked, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    """Its way into the cache needs no second proof."""
    monkeypatch.setattr(remembering, "_proven_at", lambda *_: pytest.fail("it was read again"))
    place.output().parent.mkdir(parents=True)
    place.output().write_bytes(DATA)
    assert origins(place.download(cache_link=link)) == ["local"]
    assert place.entry.read_bytes() == DATA
    assert place.server.requests == []


def test_an_installed_file_is_read_once(place: Linked, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that comes later is filled by a copy that is hashed on the way."""
    modelzoo.download("m", place.root / "out", sources=[place.zoo])
    monkeypatch.setattr(remembering, "_proven_at", lambda *_: pytest.fail("it was read before"))
    assert origins(place.download()) == ["local"]
    assert place.entry.read_bytes() == DATA
    assert len(place.server.requests) == 1
    assert place.stray() == []


def test_what_changes_while_it_is_adopted_is_looked_at_again(
    place: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(path: Path, kind: str) -> Checksum:
        found = file_checksum(path, kind)
        path.write_bytes(DATA[::-1])
        return found

    place.output().parent.mkdir(parents=True)
    place.output().write_bytes(DATA)
    os.utime(place.output(), (1, 1))
    monkeypatch.setattr(adoption, "file_checksum", changed)
    done = modelzoo.download("m", place.root / "out", sources=[place.zoo])
    assert done.models[0].files[0].origin == "local"
    monkeypatch.undo()
    assert origins(place.link()) == ["network"]
    assert place.output().read_bytes() == DATA


@pytest.mark.parametrize("cache_link", ["copy", "hardlink"])
def test_an_entry_that_is_pruned_meanwhile(
    cache_link: str, place: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is opened it is a miss, afterwards its bytes are at hand; neither is worth a word."""
    place.fill()
    open_entry = Cache.open

    def open_and_remove(cache: Cache, checksum: Checksum) -> BinaryIO:
        with contextlib.ExitStack() as later:
            later.callback(place.entry.unlink)
            return open_entry(cache, checksum)

    def remove_and_open(cache: Cache, checksum: Checksum) -> BinaryIO:
        place.entry.unlink()
        return open_entry(cache, checksum)

    for out, act, origin in (("a", open_and_remove, "cache"), ("b", remove_and_open, "network")):
        place.fill()
        monkeypatch.setattr(Cache, "open", act)
        events = place.download(out=out, cache_link=cache_link)
        assert (origins(events), notices(events)) == ([origin], "")
        assert place.stray() == []


def test_nothing_is_linked_unless_asked(place: Linked) -> None:
    place.link()
    for out in ("copied", "again"):
        assert origins(place.download(out=out)) == ["cache"]
        assert place.output(out).stat().st_nlink == 1
        assert not is_protected(place.output(out))
        place.output(out).write_bytes(b"edited")
    assert place.entry.read_bytes() == DATA


def test_what_is_forbidden_to_read_stays_so(place: Linked) -> None:
    place.fill()
    place.entry.chmod(0o640)
    place.link()
    assert place.output().stat().st_mode & 0o777 == 0o440


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_edit_is_refused(place: Linked) -> None:
    place.link()
    with pytest.raises(PermissionError):
        place.output().write_bytes(b"edited")


@pytest.mark.parametrize("spoil", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("proven", [False, True])
def test_broken_entries_are_reported_and_replaced(place: Linked, spoil: Any, proven: bool) -> None:
    if proven:
        place.link()
        shutil.rmtree(place.root / "out")
        place.entry.unlink()
    place.entry.parent.mkdir(parents=True, exist_ok=True)
    spoil(place.entry)
    events = place.link()
    assert origins(events) == ["network"]
    assert notices(events).count("the cache's copy of model.bin ") == 1
    assert place.output().samefile(place.entry)
    assert place.stray() == []


def forge(path: Path) -> bytes:
    """Change a file so that its size and time do not show it; returns its bytes."""
    looked, data = path.stat(), content("forged", len(DATA))
    path.chmod(0o644)
    path.write_bytes(data)
    os.utime(path, ns=(looked.st_atime_ns, looked.st_mtime_ns))
    path.chmod(looked.st_mode)
    return data


@pytest.mark.parametrize("how", ["downloaded", "hit"])
def test_a_proven_entry_is_not_read_again(place: Linked, how: str) -> None:
    """Other links come and go, in other runs too, and the proof holds."""
    if how == "hit":
        place.fill()
    place.link()
    place.link(out="other")
    shutil.rmtree(place.root / "out")
    forged = forge(place.entry)
    with pytest.raises(AssertionError):
        place.link(out="again")
    assert place.output("again").read_bytes() == forged


def test_an_edit_of_a_link_is_noticed(place: Linked) -> None:
    place.link()
    place.output().chmod(0o644)
    place.output().write_bytes(DATA[::-1])
    events = place.link(out="again")
    assert origins(events) == ["network"]
    assert "is broken and was removed" in notices(events)
    assert place.output("again").samefile(place.entry)
    assert origins(place.link()) == ["cache"]  # what was edited is replaced, too
    assert place.output().samefile(place.entry)


def test_a_copy_never_relies_on_a_proof(place: Linked) -> None:
    place.link()
    forge(place.entry)
    shutil.rmtree(place.root / "out")
    assert origins(place.download()) == ["network"]


@pytest.mark.parametrize("why", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP])
def test_where_no_links_can_be_made(place: Linked, monkeypatch: pytest.MonkeyPatch, why: int) -> None:
    place.add("other", f.serve(DATA))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(why, os.strerror(why))

    monkeypatch.setattr(os, "link", refuse)
    events = place.link("m", "other")
    assert sorted(map(str, origins(events))) == ["cache", "network"]
    assert (
        notices(events) == f"files are copied where the cache cannot be linked to: {os.strerror(why)}"
    )
    assert origins(place.link("m", out="again")) == ["cache"]
    assert place.entry.stat().st_nlink == 1
    assert place.stray() == []


def test_another_file_system(place: Linked) -> None:
    memory = Path("/dev/shm")
    require(
        memory.is_dir() and memory.stat().st_dev != place.root.stat().st_dev, "a second file system"
    )
    with tempfile.TemporaryDirectory(dir=memory) as elsewhere:
        place.cache = Path(elsewhere, "cache")
        assert notices(place.link()).startswith("files are copied where the cache cannot be linked to")
        assert origins(place.link(out="again")) == ["cache"]
    assert place.output("again").stat().st_nlink == 1
    assert place.stray() == []


def test_an_entry_that_is_a_symbolic_link(place: Linked) -> None:
    place.fill()
    place.entry.replace(place.root / "elsewhere")
    place.entry.symlink_to(place.root / "elsewhere")
    events = place.link()
    assert origins(events) == ["cache"]
    assert notices(events).startswith("files are copied where the cache cannot be linked to")
    assert not place.output().is_symlink()
    assert place.output().stat().st_nlink == 1
    assert place.stray() == []


def test_what_is_patched_is_no_link_any_more(tmp_path: Path, faulty: FaultyServer) -> None:
    files, result = add_patched_model(tmp_path / "zoo", f"{faulty.url}/")
    for name, data in files.items():
        faulty.add(f"/{name}", f.serve(data))
    options = {"sources": [tmp_path / "zoo"], "cache_dir": tmp_path / "cache"}
    for out in ("out", "again"):
        modelzoo.download("m", tmp_path / out, cache_link="hardlink", **options)
        assert tree(tmp_path / out / "m") == result
    assert len(faulty.requests) == len(files)
    entries = [path.read_bytes() for path in tmp_path.glob("cache/1/??/*")]
    assert sorted(entries) == sorted(files.values())


def test_the_command(place: Linked) -> None:
    place.fill()
    options = ["--name", "m", "--source", place.zoo, "--cache_dir", place.cache]
    tool("downloader", *options, "-o", place.root / "out", "--cache_link=hardlink")
    assert place.output().samefile(place.entry)
    environ = {"MODELZOO_CACHE_LINK": "hardlink"}
    tool("downloader", *options, "-o", place.root / "again", environ=environ)
    assert place.output("again").samefile(place.entry)


def test_an_unknown_kind_of_link(place: Linked) -> None:
    with pytest.raises(modelzoo.UsageError, match="expected copy or hardlink, got 'symlink'"):
        place.download(cache_link="symlink")
