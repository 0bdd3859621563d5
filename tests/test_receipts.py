"""Receipts: what they vouch for is not looked at again, what they cannot prove is never believed."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import modelzoo
import pytest
from modelzoo.clock import Clock
from modelzoo.events import Event, ModelFileDownloadEnd, Notice
from modelzoo.installation import receipts
from modelzoo.installation.receipts import Receipt, Receipts, ReceiptWriter
from modelzoo.model import Model

from tests.archives import add_patched_model
from tests.servers import faulty as f
from tests.servers.faulty import FaultyServer
from tests.zoo import add_model, content, file_entry, model_config, tree

FILES = {
    f"{precision}/m.{suffix}": content(f"{precision}{suffix}", 3000)
    for precision in ("FP16", "FP32")
    for suffix in ("xml", "bin")
}


class Run:
    """A catalog with one model `m` of four files in two precisions, served; and its downloads."""

    def __init__(self, root: Path, server: FaultyServer) -> None:
        self.zoo, self.out, self.server = root / "zoo", root / "out", server
        entries = []
        for name, data in FILES.items():
            server.add(f"/{name}", f.serve(data))
            entries.append(file_entry(name, data, f"{server.url}/{name}"))
        config = model_config(entries, framework="dldt", model_optimizer_args=None)
        add_model(self.zoo, "public/m", config)
        self.path = self.out / "public" / "m" / "FP16" / "m.bin"
        self.receipt = self.out / ".modelzoo" / "receipts" / "zoo" / "m.json"

    def __call__(self, **options: Any) -> list[Event]:
        """Download all; returns the events."""
        events: list[Event] = []
        models = modelzoo.find(sources=[self.zoo])
        modelzoo.download(models, self.out, **{"report": events.append, **options})
        return events

    def requests_of(self, **options: Any) -> list[str]:
        """What another download asks the server for."""
        before = len(self.server.requests)
        self(**options)
        return [request.path for request in self.server.requests[before:]]

    def forge(self, path: Path | None = None) -> bytes:
        """Change an installed file so that its size and time do not show it; returns its bytes.

        Whoever opens the file sees it: so a run that leaves it alone has not opened it.
        """
        path = path or self.path
        stat, data = path.stat(), path.read_bytes()
        forged = bytes(255 - byte for byte in data)
        path.write_bytes(forged)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        return forged


@pytest.fixture
def run(tmp_path: Path, faulty: FaultyServer) -> Run:
    return Run(tmp_path, faulty)


def notices(events: list[Event]) -> str:
    return "\n".join(event.message for event in events if isinstance(event, Notice))


def test_what_is_installed_is_not_opened(run: Run) -> None:
    run()
    before = run.receipt.stat()
    forged = run.forge()
    events = run(jobs=3)
    ends = [event for event in events if isinstance(event, ModelFileDownloadEnd)]
    assert {(end.origin, end.successful, end.size) for end in ends} == {("local", True, 3000)}
    assert run.path.read_bytes() == forged
    assert run.receipt.stat().st_mtime_ns == before.st_mtime_ns
    assert len(run.server.requests) == len(FILES)


def touch(path: Path) -> None:
    os.utime(path, ns=(0, 1))


CHANGES: dict[str, tuple[Callable[[Path], object], int]] = {
    "time": (touch, 0),
    "older bytes": (lambda path: (path.write_bytes(bytes(3000)), touch(path)), 1),
    "shorter": (lambda path: os.truncate(path, 2999), 1),
    "longer": (lambda path: os.truncate(path, 3001), 1),
    "gone": (lambda path: path.unlink(), 1),
    "copied back": (lambda path: (path.replace(f"{path}2"), path.write_bytes(FILES["FP16/m.bin"])), 0),
}


@pytest.mark.parametrize(("change", "requests"), CHANGES.values(), ids=CHANGES)
def test_what_has_changed_is_looked_at_again(
    run: Run, change: Callable[[Path], object], requests: int
) -> None:
    run()
    change(run.path)
    other = run.forge(run.path.with_name("m.xml"))
    assert run.requests_of() == ["/FP16/m.bin"] * requests
    assert run.path.read_bytes() == FILES["FP16/m.bin"]
    forged = run.forge()
    assert run.requests_of() == []
    assert run.path.read_bytes() == forged
    assert run.path.with_name("m.xml").read_bytes() == other


def _with(**changes: Any) -> Callable[[bytes], bytes]:
    return lambda data: json.dumps(json.loads(data) | changes).encode()


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut off": lambda data: data[:-20],
    "not JSON": lambda data: b"\x80\x04" + data,
    "not UTF-8": lambda data: data.replace(b'"zoo"', b'"\xff"'),
    "a list": lambda data: b"[" + data + b"]",
    "deep": lambda data: data[:-1] + b',"x":' + b"[" * 99_999 + b"]" * 99_999 + b"}",
    "huge": lambda data: data + b" " * 20_000,
    "other schema": _with(schema=2),
    "older schema": _with(schema=0),
    "no schema of ours": _with(schema="1"),
    "of another model": _with(model="n"),
    "of another source": _with(source="other"),
    "no outputs": _with(outputs=None),
    "wrong outputs": _with(outputs=[{"path": 5}]),
    "no inputs": _with(inputs=[]),
    "null in a path": lambda data: data.replace(b'"public/m', b'"public/\\u0000m'),
    "other steps": _with(steps="[1]"),
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_damaged_and_foreign_receipts_are_ignored(
    run: Run, damage: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipts, "MAX_BYTES", 10_000)
    run()
    run.forge()
    run.receipt.write_bytes(damage(run.receipt.read_bytes()))
    assert run.requests_of() == ["/FP16/m.bin"]
    assert run.path.read_bytes() == FILES["FP16/m.bin"]
    forged = run.forge()  # and now there is a good one again
    assert run.requests_of() == []
    assert run.path.read_bytes() == forged


@pytest.mark.parametrize(
    ("blocked", "block"),
    [
        (".modelzoo", lambda path: path.write_bytes(b"")),
        (".modelzoo/receipts", lambda path: path.write_bytes(b"")),
        (".modelzoo/receipts/zoo/m.json", lambda path: path.mkdir(parents=True)),
    ],
)
def test_receipts_that_cannot_be_written(
    run: Run, blocked: str, block: Callable[[Path], object]
) -> None:
    place = run.out / blocked
    place.parent.mkdir(parents=True)
    block(place)
    add_model(run.zoo, "public/n", model_config([file_entry("n.bin", b"n", "n.bin")]))
    (run.zoo / "public" / "n" / "n.bin").write_bytes(b"n")
    events = run()
    assert (
        notices(events).count("receipts were not written, the next run looks at the files again") == 1
    )
    assert {p: run.out.joinpath("public/m", p).read_bytes() for p in FILES} == FILES
    assert run.requests_of() == []
    # One model's trouble is not another's.
    assert run.receipt.with_name("n.json").exists() == blocked.endswith("m.json")


def test_pipe_in_place_of_a_receipt(run: Run) -> None:
    run.receipt.parent.mkdir(parents=True)
    os.mkfifo(run.receipt)
    run()
    assert json.loads(run.receipt.read_bytes())["model"] == "m"


def test_receipts_of_two_runs_are_one(run: Run) -> None:
    assert sorted(run.requests_of(precisions="FP16")) == ["/FP16/m.bin", "/FP16/m.xml"]
    assert sorted(run.requests_of(precisions="FP32")) == ["/FP32/m.bin", "/FP32/m.xml"]
    receipt = json.loads(run.receipt.read_bytes())
    assert {i["name"] for i in receipt["inputs"]} == set(FILES)
    assert {o["path"] for o in receipt["outputs"]} == {f"public/m/{name}" for name in FILES}
    forged = run.forge()
    assert run.requests_of() == []
    assert run.path.read_bytes() == forged


def test_what_came_before_a_failure_has_its_receipt(run: Run) -> None:
    run.server.add("/FP32/m.xml", f.status(404), f.serve(FILES["FP32/m.xml"]))
    with pytest.raises(modelzoo.DownloadFailed):
        run()
    forged = run.forge()
    assert run.requests_of() == ["/FP32/m.xml"]
    assert run.path.read_bytes() == forged


def test_no_secret_gets_into_a_receipt(run: Run) -> None:
    url = run.server.url.replace("//", "//user:s3cret@") + "/FP16/m.bin?token=s3cret"
    add_model(run.zoo, "public/m", model_config([file_entry("m.bin", FILES["FP16/m.bin"], url)]))
    run()
    assert b"127.0.0.1" in run.receipt.read_bytes()
    assert b"s3cret" not in run.receipt.read_bytes()


def test_data_is_synced_before_its_receipt(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(handle: int) -> None:
        happened.append(os.readlink(f"/proc/self/fd/{handle}"))
        fsync(handle)

    def noted_replace(source: Any, target: Any) -> None:
        replace(source, target)
        if run.out in Path(target).parents:  # not what is kept of the catalog
            happened.append(str(target))

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    run(jobs=4)
    files = [str(run.out / "public" / "m" / name) for name in FILES]
    synced = happened[len(files) : -1]
    assert sorted(happened[: len(files)]) == sorted(files)  # renamed
    assert sorted(synced) == sorted(files)
    assert happened[-1] == str(run.receipt)


def test_no_receipt_for_what_could_not_be_synced(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(handle: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    assert "Input/output error" in notices(run())
    assert not run.receipt.exists()


class SetClock(Clock):
    """A clock that stands still until it is set."""

    time = 0.0

    def now(self) -> float:
        return self.time


def empty(model: Model) -> Receipt:
    names = {"model": model.name, "source": model.source, "version": None}
    steps = receipts.steps_text(model.postprocessing)
    return Receipt(**names, time="", inputs=(), outputs=(), steps=steps)


def test_batches(run: Run, tmp_path: Path) -> None:
    """Plain files can be looked at again, so their receipts may wait; what was unpacked cannot."""
    add_patched_model(tmp_path / "patched")
    model, patched = modelzoo.find(sources=[run.zoo, tmp_path / "patched"])
    clock, events = SetClock(), list[Event]()
    writer = ReceiptWriter(clock, events.append)

    def add(model: Model) -> list[str]:
        writer.arrived([run.out / "gone"])
        writer.add(Receipts(run.out), model, lambda: empty(model))
        return [name for name in tree(run.out) if name.endswith(".json")]

    assert add(model) == []
    clock.time = receipts.EVERY - 0.1
    assert add(model) == []
    clock.time = receipts.EVERY
    assert add(model) == [".modelzoo/receipts/zoo/m.json"]
    assert len(add(patched)) == 2
    assert Receipts(run.out).load(patched) is not None
    writer.flush()
    assert events == []


def test_a_receipt_never_runs_ahead(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that comes while receipts are made may be in one already: it has to be synced too."""
    (model,) = modelzoo.find(sources=[run.zoo])
    writer, synced = ReceiptWriter(SetClock(), lambda event: None), list[Path]()
    monkeypatch.setattr(receipts, "sync", synced.extend)

    def make() -> Receipt:
        writer.arrived([run.out / "late"])
        return empty(model)

    writer.arrived([run.out / "early"])
    writer.add(Receipts(run.out), model, make)
    writer.flush()
    assert synced == [run.out / "early", run.out / "late"]
