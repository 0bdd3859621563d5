"""Postprocessing of some precisions only: what is left out is done when it is asked for, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import modelzoo
import pytest
from modelzoo.events import Event, ModelPostprocessingBegin

from tests.archives import make_archive
from tests.servers import faulty as f
from tests.servers.faulty import FaultyServer
from tests.zoo import add_model, content, file_entry, model_config, tree

PRECISIONS = ("FP16", "FP32")


def regex(file: str, pattern: str, replacement: str) -> dict[str, str]:
    return {"$type": "regex_replace", "file": file, "pattern": pattern, "replacement": replacement}


class Zoo:
    """A model `m` in two precisions, each with a text to patch and an archive with another one."""

    def __init__(self, root: Path, server: FaultyServer) -> None:
        self.zoo, self.out, self.server = root / "zoo", root / "out", server
        self.files = {"notes.txt": b"two pictures"}
        self.result: dict[str, bytes | str] = {
            "notes.txt": b"2 pictures",
            "notes.txt.orig": b"two pictures",
        }
        for precision in PRECISIONS:
            archive = make_archive(root / "a", "zip", [("deep/a.txt", precision.encode())])
            xml, weights = f"<net {precision}/>".encode(), content(precision, 500)
            here = {"m.xml": xml, "m.bin": weights, "data.zip": archive.read_bytes()}
            self.files |= {f"{precision}/{name}": data for name, data in here.items()}
            made = {
                "m.xml": xml.replace(b"net", b"netnet"),
                "m.xml.orig": xml,
                "m.bin": weights,
                "deep": "folder",
                "deep/a.txt": b"X" + precision.encode(),
                "deep/a.txt.orig": precision.encode(),
            }
            self.result |= {precision: "folder", **{f"{precision}/{n}": d for n, d in made.items()}}
        self.declare()

    def declare(self, **words: str) -> None:
        """Put the model into the catalog; `words` replace "net" in a precision's text."""
        steps = [regex("notes.txt", "two", "2")]
        for precision in PRECISIONS:
            steps += [
                regex(f"{precision}/m.xml", "net", words.get(precision, "netnet")),
                {"$type": "unpack_archive", "file": f"{precision}/data.zip", "format": "zip"},
                regex(f"{precision}/deep/a.txt", "^", "X"),
            ]
        for name, data in self.files.items():
            self.server.add(f"/{name}", f.serve(data))
        entries = [file_entry(n, data, f"{self.server.url}/{n}") for n, data in self.files.items()]
        config = model_config(
            entries, framework="dldt", model_optimizer_args=None, postprocessing=steps
        )
        add_model(self.zoo, "m", config)

    def __call__(self, precisions: str | None = None, **options: Any) -> list[str]:
        """Download; returns what was asked for, and "steps" where there was postprocessing."""
        events, before = list[Event](), len(self.server.requests)
        models = modelzoo.find(sources=[self.zoo])
        modelzoo.download(models, self.out, precisions=precisions, report=events.append, **options)
        asked = sorted(request.path[1:] for request in self.server.requests[before:])
        return asked + ["steps"] * any(isinstance(e, ModelPostprocessingBegin) for e in events)

    def names(self, prefix: str) -> list[str]:
        return sorted(name for name in self.files if name.startswith(prefix))

    def check(self, *without: str) -> None:
        """What is there is the result, whole but for these precisions."""
        expected = {n: d for n, d in self.result.items() if not n.startswith(without)}
        assert tree(self.out / "m") == expected


@pytest.fixture
def zoo(tmp_path: Path, faulty: FaultyServer) -> Zoo:
    return Zoo(tmp_path, faulty)


@pytest.mark.parametrize("second", ["FP32", "FP32,FP16", None])
def test_one_precision_and_then_more(zoo: Zoo, second: str | None) -> None:
    assert zoo("FP16") == [*zoo.names("FP16"), "notes.txt", "steps"]
    zoo.check("FP32")
    assert zoo("FP16") == []
    assert zoo(second) == [*zoo.names("FP32"), "steps"]
    zoo.check()
    for precisions in (None, "FP16", "FP32", "FP16,FP32"):
        assert zoo(precisions) == []
    zoo.check()
    receipt = json.loads((zoo.out / ".modelzoo" / "receipts" / "zoo" / "m.json").read_bytes())
    assert {i["name"] for i in receipt["inputs"]} == set(zoo.files)
    files = {f"m/{name}" for name, what in zoo.result.items() if what != "folder"}
    assert {o["path"] for o in receipt["outputs"]} == files
    assert len(json.loads(receipt["steps"])) == 7


@pytest.mark.parametrize(
    ("damaged", "asked"),
    [
        ("FP16/deep/a.txt", ["FP16/data.zip", "steps"]),
        ("FP16/m.xml", ["FP16/data.zip", "steps"]),
        ("FP16/m.xml.orig", ["FP16/data.zip", "FP16/m.xml", "steps"]),
        ("notes.txt", ["steps"]),
    ],
)
def test_only_the_precision_that_was_damaged_is_made_again(
    zoo: Zoo, damaged: str, asked: list[str]
) -> None:
    zoo()
    (zoo.out / "m" / damaged).unlink()
    if not damaged.startswith("notes"):
        assert zoo("FP32") == []
    assert zoo() == asked
    zoo.check()
    assert zoo() == []


def test_force_for_one_precision_forgets_nothing_of_the_other(zoo: Zoo) -> None:
    zoo()
    assert zoo("FP32", force=True) == ["FP32/data.zip", "FP32/m.bin", "steps"]
    zoo.check()
    assert zoo() == []


def test_other_steps_for_one_precision(zoo: Zoo) -> None:
    zoo()
    zoo.declare(FP32="other")
    assert zoo("FP16") == []
    assert zoo() == ["FP32/data.zip", "steps"]
    zoo.result["FP32/m.xml"] = b"<other FP32/>"
    zoo.check()
    assert zoo() == []


def test_a_failure_of_one_precision_leaves_the_other(zoo: Zoo) -> None:
    zoo("FP16")
    good, zoo.files["FP32/m.xml"] = zoo.files["FP32/m.xml"], b"nothing to replace"
    zoo.declare()
    with pytest.raises(modelzoo.DownloadFailed, match="expected one or more occurrences"):
        zoo()
    assert zoo("FP16") == []
    zoo.files["FP32/m.xml"] = good
    zoo.declare()
    assert zoo() == ["FP32/m.xml", "steps"]
    zoo.check()


def test_steps_on_nothing_fail_whatever_is_selected(zoo: Zoo) -> None:
    path = zoo.zoo / "m" / "model.yml"
    path.write_text(path.read_text().replace("file: notes.txt", "file: none.txt"))
    for precisions in ("FP16", None):
        with pytest.raises(modelzoo.DownloadFailed, match=r"none\.txt: no such file"):
            zoo(precisions)


def test_what_belongs_to_which_variant(zoo: Zoo) -> None:
    (model,) = modelzoo.find(sources=[zoo.zoo])
    variants = {
        "FP16/m.xml": "FP16",
        "FP16/m.xml.orig": "FP16",
        "FP32/deep/a.txt": "FP32",
        "FP32/deep/a.txt.orig": "FP32",
        "notes.txt": None,
        "notes.txt.orig": None,
        "unknown/x": None,
    }
    assert {path: model.variant_of(path) for path in variants} == variants
