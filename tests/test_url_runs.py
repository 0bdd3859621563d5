"""Files without a published checksum in runs of all kinds: many processes, links, mirrors."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from modelzoo.concurrency import processors
from modelzoo.events import ModelFileDownloadBegin, ModelFileDownloadProgress
from modelzoo.installation.inputs import Input
from modelzoo.model import ModelFile, Origin

from tests.notebook import CONFIG, OTHER, WEIGHTS, Notebook
from tests.processes import Downloader
from tests.servers.faulty import FaultyServer, serve
from tests.servers.nginx import Nginx
from tests.zoo import content, wrong_files


@pytest.fixture
def notebook(tmp_path: Path, faulty: FaultyServer) -> Notebook:
    return Notebook(tmp_path, faulty)


@pytest.mark.skipif(sys.platform != "linux" or processors() < 2, reason="one process does all the work")
def test_processes_that_share_a_run_share_what_urls_gave(nginx: Nginx, tmp_path: Path) -> None:
    expected = {f"m{n}/a.bin": content(f"{n}", 500) for n in range(300)}
    lines = []
    for name, data in expected.items():
        path = nginx.root / name
        path.parent.mkdir()
        path.write_bytes(data)
        lines.append(f"{name}={nginx.url}/{name}#size=500\n")
    (tmp_path / "list.txt").write_text("".join(lines))
    command = ["--source", tmp_path / "list.txt", "-o", tmp_path / "out", "-j8"]
    command += ["--cache_dir", tmp_path / "cache"]
    for more in [], ["--offline"]:
        with Downloader(*command, *more) as run:
            run.until("model_file_download_end")
            pid = run.process.pid
            assert Path(f"/proc/{pid}/task/{pid}/children").read_text().count(" ") > 1
            assert list(run.events())[-1]["files"] == len(expected)
            assert (run.wait(), run.errors()) == (0, "")
        receipts = tmp_path / "out" / ".modelzoo"
        assert len(list(receipts.rglob("*.json"))) == len(expected)
        shutil.rmtree(receipts)
        assert wrong_files(tmp_path / "out", expected) == []
        shutil.rmtree(tmp_path / "out")
    assert len(list((tmp_path / "cache" / "urls").iterdir())) == len(expected)
    assert len(nginx.wait_for(len(expected))) == len(expected)


def test_links(notebook: Notebook) -> None:
    """The cache and the output are one file, also where the cache comes later."""
    notebook.run(cache_link="hardlink")
    entries = [path for path in (notebook.cache / "1").rglob("*") if path.is_file()]
    for name in ("vqgan.yaml", "vqgan.ckpt"):
        assert [entry.samefile(notebook.local / name) for entry in entries].count(True) == 1
    shutil.rmtree(notebook.cache)
    notebook.run(cache_link="hardlink")
    assert notebook.origins == ["local", "local"]
    assert (notebook.local / "vqgan.ckpt").stat().st_nlink == 2
    shutil.rmtree(notebook.out)
    notebook.run(cache_link="hardlink", offline=True)
    assert (notebook.origins, notebook.bytes) == (["cache", "cache"], (CONFIG, WEIGHTS))
    assert (notebook.local / "vqgan.ckpt").stat().st_nlink == 2


def test_a_change_at_the_origin_leaves_the_linked_copy_alone(notebook: Notebook) -> None:
    notebook.run(cache_link="hardlink")
    notebook.server.add("/weights", serve(OTHER, etag='"w2"'))
    notebook.run(cache_link="hardlink", refresh=True)
    assert notebook.bytes == (CONFIG, OTHER)
    kept = [path.read_bytes() for path in (notebook.cache / "1").rglob("*") if path.is_file()]
    assert sorted(kept) == sorted([CONFIG, WEIGHTS, OTHER])


@pytest.mark.parametrize("source", ["network", "cache", "local"])
def test_the_size_is_told_before_progress(notebook: Notebook, source: str) -> None:
    if source != "network":
        notebook.run()
    if source == "cache":
        shutil.rmtree(notebook.out)
    notebook.run()
    assert notebook.origins == [source, source]
    begun: dict[str, int] = {}
    for event in notebook.events:
        if isinstance(event, ModelFileDownloadBegin):
            begun[event.model_file] = event.size
        if isinstance(event, ModelFileDownloadProgress):
            assert event.size <= begun[event.model_file]
    assert begun == {"vqgan.yaml": len(CONFIG), "vqgan.ckpt": len(WEIGHTS)}


@pytest.mark.parametrize(
    ("written", "base", "same"),
    [
        ("https://a.example/x.bin", "", True),
        ("https://b.example/x.bin", "", False),
        ("https://a.example/y/x.bin", "", False),
        ("x.bin", "https://b.example/z/", True),
        ("x.bin", "file:///zoo/m/model.yml", True),
        ("y.bin", "https://a.example/", False),
        ("n/x.bin", "https://a.example/", False),
    ],
)
def test_the_url_says_what_a_file_is(written: str, base: str, same: bool) -> None:
    """As far as the catalog writes it: what that is relative to may be another place."""
    came = Input("f", 9, None, "https://a.example/x.bin", verified=False)
    file = ModelFile("f", None, None, (Origin("https://c.example/f"), Origin(written, base)))
    assert came.answers(file) == same
