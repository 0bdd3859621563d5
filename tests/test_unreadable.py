"""Links into folders that this user may not read: an answer or an error of ours, never a traceback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import modelzoo
import pytest
from modelzoo.cancel import Cancel
from modelzoo.clock import Clock
from modelzoo.errors import StorageError
from modelzoo.events import Event, Notice
from modelzoo.installation.receipts import (
    Installed,
    Receipt,
    Receipts,
    ReceiptWriter,
    steps_text,
    vouched_files,
)
from modelzoo.model import Model
from modelzoo.run.plan import ModelPlan
from modelzoo.run.postprocess import Changes, postprocess
from modelzoo.run.records import make_receipt
from modelzoo.transfer.engine import Delivery

from tests.archives import add_patched_model
from tests.nobody import own_folder


@dataclass
class Place:
    """An output folder whose links lead into a folder that only its owner can look into."""

    out: Path
    secret: Path
    model: Model

    def link(self, name: str) -> Path:
        """Put a link into the output folder."""
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(self.secret / "x")
        return path

    def receipt(self) -> Receipt:
        """One that vouches for a file behind a link."""
        output = Installed("m/w.bin", 1, 1, None)
        about = {"model": "m", "source": self.model.source, "version": None, "time": ""}
        steps = steps_text(self.model.postprocessing)
        return Receipt(**about, inputs=(), outputs=(output,), steps=steps)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """As root, the test goes on as somebody who is not."""
    add_patched_model(tmp_path / "zoo")
    (model,) = modelzoo.find(sources=[tmp_path / "zoo"])
    with own_folder() as root:
        for name in ("out", "secret"):
            (root / name).mkdir()
        (root / "secret" / "x").write_bytes(b"x")
        (root / "secret").chmod(0)
        with pytest.raises(PermissionError):
            (root / "secret" / "x").stat()
        yield Place(root / "out", root / "secret", model)
        (root / "secret").chmod(0o700)


def test_receipts(place: Place) -> None:
    receipts = Receipts(place.out)
    place.link(f".modelzoo/receipts/{place.model.source}/m.json")
    assert receipts.load(place.model) is None
    place.link("m/w.bin")
    place.link("m/data.zip")
    assert not place.receipt().outputs[0].unchanged(f"{place.out}/")
    assert vouched_files(place.model, place.model.files, place.receipt(), place.out) == {}


@pytest.mark.parametrize("blocked", [".modelzoo", ".modelzoo/receipts", "m/w.bin"])
def test_receipts_are_not_written(place: Place, blocked: str) -> None:
    events: list[Event] = []
    writer = ReceiptWriter(Clock(), events.append)
    writer.arrived([place.link(blocked)])
    assert not writer.add(Receipts(place.out), place.model, place.receipt)
    (notice,) = events
    assert isinstance(notice, Notice)
    assert "receipts were not written" in notice.message


CALLS: list[Callable[[Place], object]] = [
    lambda place: make_receipt(
        ModelPlan(place.model, Receipts(place.out), None, ()),
        {"w.bin": Delivery("local", 1, 1, None)},
        Changes(written=("net.xml",), kept=(), removed=()),
    ),
    lambda place: postprocess(
        place.out / "m", place.model.postprocessing, place.out / ".modelzoo" / "staging" / "m", Cancel()
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=["records", "postprocessing"])
def test_errors_of_ours(place: Place, call: Callable[[Place], object]) -> None:
    place.link("m/net.xml")
    with pytest.raises(StorageError, match="Permission denied"):
        call(place)
