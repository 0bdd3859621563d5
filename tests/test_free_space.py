"""Free space: what a run would need is counted before the first request, and refused with figures."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import modelzoo
import pytest
from modelzoo.errors import Reason, StorageError
from modelzoo.events import Event, Notice
from modelzoo.files import disk
from modelzoo.model import Model, ModelFile, Origin
from modelzoo.run import space
from modelzoo.transfer import acceptance

from tests.archives import make_archive
from tests.servers import faulty as f
from tests.servers.faulty import FaultyServer
from tests.zoo import add_model, content, file_entry, model_config

DATA, OTHER = content("data", 100_000), content("other", 50_000)
SIZE = len(DATA) + len(OTHER)


class Run:
    """One model of two files on disks that have only so much room: `out`, and `cache` in any folder."""

    def __init__(self, root: Path, server: FaultyServer, patch: pytest.MonkeyPatch) -> None:
        self.root, self.server, self._patch = root, server, patch
        self.zoo, self.out, self.cache = root / "zoo", root / "out", root / "cache"
        self.declare({"x.bin": DATA, "y.bin": OTHER})

    def declare(self, files: dict[str, bytes], **config: Any) -> None:
        """Serve a model's files and put it into the catalog."""
        for name, data in files.items():
            self.server.add(f"/{name}", f.serve(data))
        url = self.server.url
        entries = [file_entry(name, data, f"{url}/{name}") for name, data in files.items()]
        add_model(self.zoo, "m", model_config(entries, **config))

    def download(self, free: int, cache_free: int | None = None, **options: Any) -> None:
        """Download with so many bytes free; the cache's disk is another one where that is given."""

        def is_cache(path: Path) -> bool:
            return cache_free is not None and path.is_relative_to(self.cache)

        self.cache.mkdir(exist_ok=True)
        with self._patch.context() as patch:
            patch.setattr(space, "device", is_cache)
            patch.setattr(space, "free_space", lambda path: cache_free if is_cache(path) else free)
            modelzoo.download("m", self.out, sources=[self.zoo], **options)

    def just_enough(self, needed: int, **options: Any) -> None:
        """With one byte less there is an error with the figures and no request; with all it goes."""
        before = len(self.server.requests)
        with pytest.raises(StorageError) as caught:
            self.download(needed - 1, **options)
        assert caught.value.reason == Reason.NO_SPACE
        assert f"{disk.readable(needed)} needed, {disk.readable(needed - 1)} free" in str(caught.value)
        assert "(1 bytes are missing)" in str(caught.value)
        assert len(self.server.requests) == before
        self.download(needed, **options)


@pytest.fixture
def run(tmp_path: Path, faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(tmp_path, faulty, monkeypatch)


def test_the_sum_of_all_files(run: Run) -> None:
    run.just_enough(SIZE)
    assert sorted(path.name for path in (run.out / "m").iterdir()) == ["x.bin", "y.bin"]


def test_links_need_no_space(run: Run) -> None:
    """Neither in the cache nor out of it."""
    run.just_enough(SIZE, cache_dir=run.cache, cache_link="hardlink")
    shutil.rmtree(run.out)
    run.download(0, cache_dir=run.cache, cache_link="hardlink")


def test_no_links_between_two_disks(run: Run) -> None:
    run.download(SIZE, 10**9, cache_dir=run.cache, cache_link="hardlink")
    shutil.rmtree(run.out)
    with pytest.raises(StorageError, match="not enough space in"):
        run.download(SIZE - 1, 10**9, cache_dir=run.cache, cache_link="hardlink")


def test_nothing_starts_when_it_does_not_fit(run: Run) -> None:
    with pytest.raises(StorageError, match="not enough space in"):
        run.download(0)
    assert not run.out.exists()
    assert run.server.requests == []


def test_what_is_there_needs_nothing(run: Run) -> None:
    run.download(SIZE)
    run.download(0)
    (run.out / "m" / "x.bin").touch()  # its receipt is void, but it is still there
    run.download(0)


def test_parts_count(run: Run) -> None:
    (run.out / "m").mkdir(parents=True)
    (run.out / "m" / "x.bin.download").write_bytes(DATA[:60_000])
    run.just_enough(SIZE - 60_000)
    ranges = [request.headers.get("range") for request in run.server.requests]
    assert ranges == ["bytes=60000-", None]


def test_the_cache_counts_on_the_same_disk(run: Run) -> None:
    run.just_enough(2 * SIZE, cache_dir=run.cache)


def test_a_small_disk_of_the_cache_is_only_a_notice(run: Run) -> None:
    """A cache that fails never fails a download; what does fit is kept."""
    events: list[Event] = []
    run.download(SIZE, SIZE - 1, cache_dir=run.cache, report=events.append)
    (notice,) = [event.message for event in events if isinstance(event, Notice)]
    assert notice.startswith(f"the cache will not hold everything: not enough space in {run.cache}")
    assert "(1 bytes are missing)" in notice


def test_what_comes_from_the_cache_is_copied_once(run: Run) -> None:
    run.download(10**9, cache_dir=run.cache)
    run.out.rename(run.root / "elsewhere")
    run.just_enough(SIZE, cache_dir=run.cache)


def test_unpacking_counts(run: Run) -> None:
    archive = make_archive(run.root / "a", "zip", [("in.bin", OTHER)]).read_bytes()
    text = b"text" * 999
    steps = [
        {"$type": "unpack_archive", "file": "a.zip", "format": "zip"},
        {"$type": "regex_replace", "file": "t.xml", "pattern": "^text", "replacement": "T"},
    ]
    run.declare({"a.zip": archive, "t.xml": text, "x.bin": DATA}, postprocessing=steps)
    run.just_enough(len(DATA) + 2 * len(archive) + 2 * len(text))
    run.download(0)


@pytest.mark.parametrize(("free", "fits"), [(len(DATA) - 1, False), (len(DATA), True)])
def test_a_size_that_only_the_response_tells(
    run: Run, free: int, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = ModelFile("x.bin", None, None, (Origin(f"{run.server.url}/x.bin"),))
    about = dict.fromkeys(["description", "framework", "task_type", "license_url"], "x")
    model = Model(id="m", name="m", source="hand", subdirectory="m", files=(file,), **about)
    monkeypatch.setattr(acceptance, "free_space", lambda path: free)
    if fits:
        modelzoo.download([model], run.out)
        assert (run.out / "m" / "x.bin").read_bytes() == DATA
        return
    with pytest.raises(
        modelzoo.DownloadFailed, match=r"97\.7 KiB are still to come, 97\.7 KiB are free"
    ) as e:
        modelzoo.download([model], run.out)
    assert e.value.reason == Reason.NO_SPACE
    assert list((run.out / "m").iterdir()) == []


def test_a_folder_that_cannot_be_asked(run: Run, tmp_path: Path) -> None:
    """An output folder inside a file is an error of ours, not a traceback."""
    run.out.write_bytes(b"in the way")
    with pytest.raises(modelzoo.ModelZooError, match="Not a directory"):
        modelzoo.download("m", run.out / "below", sources=[run.zoo])
    assert run.server.requests == []


def test_disk_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "not" / "there"
    assert disk.existing_parent(deep) == tmp_path
    assert disk.device(deep) == tmp_path.stat().st_dev
    assert disk.free_space(deep) > 0
    (tmp_path / "x").write_bytes(b"123")
    assert [disk.file_size(tmp_path / n) for n in ("x", "y", ".", "x/y", "a\0b")] == [
        3,
        None,
        None,
        None,
        None,
    ]
    monkeypatch.setattr("shutil.disk_usage", lambda path: (tmp_path / "gone").stat())
    with pytest.raises(StorageError, match="No such file"):
        disk.free_space(deep)
