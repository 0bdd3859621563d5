"""Hashing what is installed again: what is found, what is repaired, and events."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import modelzoo
import msgspec
import pytest
from modelzoo.events import Event, FileVerifyBegin, FileVerifyEnd, Notice, VerifyEnd
from modelzoo.files.paths import staging_folder
from modelzoo.installation.receipts import Receipt
from modelzoo.keeping import rehash
from modelzoo.run.postprocess import reserve

from tests.conftest import ROOT, tool
from tests.installed import A, B, Place
from tests.nobody import NOBODY
from tests.servers.faulty import FaultyServer
from tests.zoo import add_local_model, tree

SCHEMA = jsonschema.Draft202012Validator(json.loads((ROOT / "docs/events.schema.json").read_text()))


@pytest.fixture
def place(tmp_path: Path, faulty: FaultyServer) -> Place:
    return Place(tmp_path, faulty)


def replace_by(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "one bit": (lambda p: p.write_bytes(bytes([A[0] ^ 1]) + A[1:]), "changed"),
    "longer": (lambda p: p.write_bytes(A + b"x"), "changed"),
    "empty": (lambda p: p.write_bytes(b""), "changed"),
    "removed": (lambda p: p.unlink(), "missing"),
    "a folder": (lambda p: replace_by(p, Path.mkdir), "changed"),
    "a pipe": (lambda p: replace_by(p, os.mkfifo), "changed"),
    "a device": (lambda p: replace_by(p, lambda q: q.symlink_to("/dev/zero")), "changed"),
    "a dead link": (lambda p: replace_by(p, lambda q: q.symlink_to("nowhere")), "missing"),
    "a link to itself": (lambda p: replace_by(p, lambda q: q.symlink_to(q)), "unreadable"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damages_and_their_repair(damage: str, place: Place) -> None:
    """Only the broken file is fetched. A folder in its place has to be removed by its owner."""
    break_it, state = DAMAGES[damage]
    break_it(place.a)
    assert place.verify() == {"a.bin": state}
    if damage == "a folder":
        assert not modelzoo.verify(output_dir=place.out, sources=[place.zoo], repair=True).successful
        return
    assert place.requests(lambda: place.verify(repair=True)) == ["/a.bin"]
    assert (place.a.read_bytes(), place.a.is_symlink()) == (A, False)
    assert place.verify() == {}
    assert place.requests(place.download) == []


@pytest.fixture
def unreadable(faulty: FaultyServer) -> Iterator[Place]:
    """A place whose file `a.bin` nobody may read; as root, the test goes on as somebody who is not."""
    root, user = Path(tempfile.mkdtemp()), os.geteuid()
    try:
        place = Place(root, faulty)
        place.a.unlink()
        place.verify(repair=True)  # whoever is nobody may not import what it needs
        place.a.chmod(0)
        if user == 0:
            for path in (root, *root.rglob("*")):
                os.chown(path, NOBODY, -1)
            os.seteuid(NOBODY)
        yield place
    finally:
        os.seteuid(user)
        shutil.rmtree(root)


def test_unreadable_files(unreadable: Place) -> None:
    (file,) = modelzoo.verify(output_dir=unreadable.out).broken
    assert (file.path, file.state, file.message) == ("m/a.bin", "unreadable", "Permission denied")
    assert unreadable.verify(repair=True) == {"a.bin": "unreadable"}
    assert unreadable.a.read_bytes() == A
    os.utime(unreadable.a, ns=(5, 5))
    unreadable.a.chmod(0)
    (model,) = modelzoo.delete("*", unreadable.out).models
    assert [(kept.path, kept.why) for kept in model.kept] == [("m/a.bin", "failed")]
    assert unreadable.a.exists()
    (model,) = modelzoo.adopt("m", unreadable.out, sources=[unreadable.zoo]).models
    assert {file.path: file.state for file in model.files} == {
        "m/a.bin": "unreadable",
        "m/b.bin": "missing",
    }


def test_another_time_is_learnt(place: Place) -> None:
    """So the next download does not have to read the file, which a forged receipt would show."""
    os.utime(place.a, ns=(5, 5))
    assert modelzoo.installed(output_dir=place.out)[0].state == "changed"
    assert place.verify() == {}
    assert modelzoo.installed(output_dir=place.out)[0].state == "whole"
    assert {o.mtime_ns for o in place.receipt().outputs} >= {5}


def test_a_file_without_a_digest_gets_one(place: Place) -> None:
    def forget(receipt: Receipt) -> Receipt:
        inputs = [msgspec.structs.replace(i, checksum=None, verified=False) for i in receipt.inputs]
        outputs = [msgspec.structs.replace(o, checksum=None) for o in receipt.outputs]
        return msgspec.structs.replace(receipt, inputs=tuple(inputs), outputs=tuple(outputs))

    place.edit(forget)
    assert place.verify() == {}
    assert [o.checksum and o.checksum.type for o in place.receipt().outputs] == ["sha256"] * 2
    assert not modelzoo.installed(output_dir=place.out)[0].verified
    place.b.write_bytes(bytes(len(B)))
    assert place.verify() == {"b.bin": "changed"}


def test_a_folder_that_cannot_be_written(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is verified all the same; what could not be written down is a notice."""
    os.utime(place.a, ns=(5, 5))
    events: list[Event] = []

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("modelzoo.installation.receipts.write_whole", refuse)
    assert place.verify(report=events.append) == {}
    (notice,) = (e.message for e in events if isinstance(e, Notice))
    assert notice.startswith("m: the receipt was not brought up to date: ")


def test_everything_is_missing(tmp_path: Path) -> None:
    """Workers that look at one model at a time must not take each other for another process."""
    add_local_model(tmp_path / "zoo", "m", {f"{n}.bin": b"x" for n in range(30)})
    modelzoo.download("m", tmp_path / "out", sources=[tmp_path / "zoo"])
    shutil.rmtree(tmp_path / "out" / "m")
    found = modelzoo.verify(output_dir=tmp_path / "out", jobs=8)
    assert [file.state for file in found.broken] == ["missing"] * 30
    assert [path.name for path in (tmp_path / "out" / ".modelzoo").iterdir()] == ["receipts"]


def test_a_model_that_another_process_has(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be deleting it: files go before the receipt does."""
    monkeypatch.setattr("modelzoo.run.postprocess.POLL", 0)
    place.a.unlink()
    place.b.write_bytes(bytes(len(B)))
    reservation = reserve(staging_folder(place.out, "zoo", "m"))
    assert reservation is not None
    with reservation:
        assert place.verify() == {"b.bin": "changed"}
    assert place.verify() == {"a.bin": "missing", "b.bin": "changed"}


def test_events(place: Place) -> None:
    """Each line fits the schema; a begin has its end; the download's events follow when repairing."""
    place.b.unlink()
    command = ["verify", "-o", place.out, "--progress_format=json", "-j2"]
    events = [json.loads(e) for e in tool("inventory", *command, check=1).stdout.splitlines()]
    for event in events:
        SCHEMA.validate(event)
    kinds = [event["$type"] for event in events]
    assert (kinds[0], kinds[-1]) == ("verify_begin", "verify_end")
    assert sorted(kinds[1:-1]) == sorted(["file_verify_begin", "file_verify_end"] * 2)
    assert events[0] == {"$type": "verify_begin", "schema_version": 1, "files": 2, "size": 50_700}
    ends = {e["path"]: e["state"] for e in events if e["$type"] == "file_verify_end"}
    assert ends == {str(place.a): "whole", str(place.b): "missing"}
    last = {k: v for k, v in events[-1].items() if k != "seconds"}
    assert last == {
        "$type": "verify_end", "successful": False, "files": 2, "files_failed": 1, "size": 50_000,
    }  # fmt: skip
    done = tool("inventory", *command, "--repair", "--source", place.zoo)
    kinds = [json.loads(line)["$type"] for line in done.stdout.splitlines()]
    assert kinds.index("run_begin") == kinds.index("verify_end") + 1
    assert kinds[-1] == "run_end"


def test_progress_comes_with_the_bytes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehash, "CHUNK", 10_000)
    monkeypatch.setattr(rehash, "PROGRESS_EVERY", 0.0)
    events: list[Event] = []
    place.verify(report=events.append, jobs=1)
    sizes = [e.size for e in events if isinstance(e, rehash.FileVerifyProgress) and "a.bin" in e.path]
    assert sizes == [10_000, 20_000, 30_000, 40_000, 50_000]


def test_what_a_report_raises_comes_out(place: Place) -> None:
    def report(event: Event) -> None:
        if isinstance(event, FileVerifyEnd):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        place.verify(report=report)


def test_a_model_that_goes_while_it_is_verified(place: Place) -> None:
    """Nobody has lost anything: another process deleted it on purpose."""
    events: list[Event] = []

    def report(event: Event) -> None:
        events.append(event)
        if isinstance(event, FileVerifyBegin) and len(events) == 2:
            modelzoo.delete("*", place.out)

    assert place.verify(report=report, jobs=1) == {}
    assert [e.state for e in events if isinstance(e, FileVerifyEnd)] == ["gone", "gone"]
    assert [e.successful for e in events if isinstance(e, VerifyEnd)] == [True]
    assert tree(place.out) == {}
