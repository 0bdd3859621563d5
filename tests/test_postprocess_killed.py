"""A run that is killed anywhere in its postprocessing, or cannot note its end, can be repeated."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import modelzoo
import pytest

from tests.archives import NET, add_patched_model
from tests.servers.faulty import FaultyServer, serve
from tests.zoo import tree


class Killed(BaseException):
    """The process ends here; nothing is cleaned up."""


def test_killed_anywhere_and_repeated(
    tmp_path: Path, faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before each single rename and removal; the next run always gives the right result.

    What has got its name is not fetched again, not even an archive that is unpacked already.
    """
    files, expected = add_patched_model(tmp_path / "zoo", f"{faulty.url}/")
    for name, data in files.items():
        faulty.add(f"/{name}", serve(data))
    models = modelzoo.find(sources=[tmp_path / "zoo"])
    left = 0

    def stop_before(function: Callable[..., object]) -> Callable[..., object]:
        def stopping(*arguments: object, **options: object) -> object:
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            return function(*arguments, **options)

        return stopping

    for point in range(1, 1000):
        out = tmp_path / f"out-{point}"
        with monkeypatch.context() as patch:
            for owner, name in ((Path, "replace"), (Path, "unlink"), (os, "replace")):
                patch.setattr(owner, name, stop_before(getattr(owner, name)))
            patch.setattr("shutil.rmtree", lambda *_, **__: None)
            left = point
            try:
                modelzoo.download(models, out)
            except Killed:
                pass
        if left > 0:
            break
        fetched = {path.name for path in (out / "m").iterdir() if path.suffix != ".download"}
        before = len(faulty.requests)
        modelzoo.download(models, out)
        again = {request.path[1:] for request in faulty.requests[before:]}
        assert again <= set(files) - fetched, point
        if "a.txt" in fetched:
            assert not again, point
        assert tree(out / "m") == expected, point
        left_over = [path.name for path in (out / ".modelzoo").rglob("*") if path.is_file()]
        assert set(left_over) <= {"m.json", "zoo-m.download"}, point
    assert 12 < point < 999


@pytest.mark.parametrize("blocked", [".modelzoo/receipts", ".modelzoo/receipts/zoo/m.json/x"])
def test_archives_stay_while_no_receipt_can_be_written(
    tmp_path: Path, faulty: FaultyServer, blocked: str
) -> None:
    """Removed, they would have to be fetched by every run."""
    files, expected = add_patched_model(tmp_path / "zoo", f"{faulty.url}/")
    for name, data in files.items():
        faulty.add(f"/{name}", serve(data))
    out = tmp_path / "out"
    (out / blocked).parent.mkdir(parents=True)
    (out / blocked).write_bytes(b"in the way")
    for _ in range(2):
        modelzoo.download("m", out, sources=[tmp_path / "zoo"])
        assert tree(out / "m") == expected | {"data.zip": files["data.zip"]}
    (out / blocked).unlink()
    if blocked.endswith("x"):
        (out / blocked).parent.rmdir()
    for _ in range(2):
        modelzoo.download("m", out, sources=[tmp_path / "zoo"])
        assert tree(out / "m") == expected
    assert sorted(request.path[1:] for request in faulty.requests) == sorted(files)


KILLED_CHILD = """
import os, signal, sys, modelzoo
from modelzoo.files import archives
write = archives._write
def stop(*arguments):
    write(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
archives._write = stop
modelzoo.download("m", sys.argv[2], sources=[sys.argv[1]])
"""


def test_really_killed(tmp_path: Path) -> None:
    _, expected = add_patched_model(tmp_path / "zoo")
    command = [sys.executable, "-c", KILLED_CHILD, str(tmp_path / "zoo"), str(tmp_path / "out")]
    assert subprocess.run(command, timeout=60).returncode == -signal.SIGKILL
    assert (tmp_path / "out" / ".modelzoo" / "staging" / "zoo-m" / "a.txt").exists()
    assert (tmp_path / "out" / "m" / "net.xml").read_bytes() == NET
    modelzoo.download("m", tmp_path / "out", sources=[tmp_path / "zoo"])
    assert tree(tmp_path / "out" / "m") == expected
    assert [path.name for path in (tmp_path / "out" / ".modelzoo").iterdir()] == ["receipts"]
