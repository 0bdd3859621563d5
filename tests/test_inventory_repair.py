"""Repairing what is installed: what is fetched again, what is made again, and what cannot be."""

from __future__ import annotations

from pathlib import Path

import modelzoo
import pytest

from tests.archives import add_patched_model
from tests.conftest import tool
from tests.installed import A, B, Place
from tests.servers import faulty as f
from tests.servers.faulty import FaultyServer
from tests.test_precision_steps import Zoo
from tests.zoo import add_local_model, tree


@pytest.fixture
def place(tmp_path: Path, faulty: FaultyServer) -> Place:
    return Place(tmp_path, faulty)


def test_repair_of_what_a_deletion_left(place: Place) -> None:
    place.a.write_bytes(B)
    modelzoo.delete("*", place.out)
    (file,) = modelzoo.verify(output_dir=place.out, sources=[place.zoo], repair=True).broken
    assert file.message.endswith("not repaired: only part of it is left; download it to get the rest")


def test_repair_prefers_the_cache(place: Place) -> None:
    place.download(cache_dir=place.cache, force=True)
    place.a.unlink()
    repair = lambda: place.verify(repair=True, cache_dir=place.cache)  # noqa: E731
    assert place.requests(repair) == []
    assert place.a.read_bytes() == A


def test_what_cannot_be_repaired(place: Place, tmp_path: Path) -> None:
    """The server is gone, the catalog is, or it has another version: each is said, and is a failure."""
    place.a.unlink()
    place.server.add("/a.bin", f.status(404))
    (file,) = modelzoo.verify(output_dir=place.out, sources=[place.zoo], repair=True).broken
    assert not file.repaired
    assert "not repaired" in file.message
    assert "404" in file.message
    (file,) = modelzoo.verify(output_dir=place.out, sources=["demo"], repair=True).broken
    assert file.message == "is not there; not repaired: no active source knows this model"
    add_local_model(place.zoo, "m", {"a.bin": B, "b.bin": B})
    done = tool("inventory", "verify", "--repair", "-o", place.out, "--source", place.zoo, check=1)
    assert "the catalog has another version by now; download it to get that" in done.stdout
    assert not place.a.exists()
    add_local_model(place.zoo, "m", {"b.bin": B})
    (file,) = modelzoo.verify(output_dir=place.out, sources=[place.zoo], repair=True).broken
    assert "does not know these files" in file.message


@pytest.mark.parametrize("how", ["changed", "removed"])
def test_a_postprocessed_model_is_made_again(how: str, tmp_path: Path, faulty: FaultyServer) -> None:
    files, result = add_patched_model(tmp_path / "zoo", f"{faulty.url}/")
    for name, data in files.items():
        faulty.add(f"/{name}", f.serve(data))
    out, options = tmp_path / "out", {"sources": [tmp_path / "zoo"]}
    modelzoo.download("m", out, **options)
    assert tree(out / "m") == result
    for name, data in result.items():
        if isinstance(data, bytes):
            (out / "m" / name).write_bytes(data[:-1]) if how == "changed" else (
                out / "m" / name
            ).unlink()
            found = modelzoo.verify(output_dir=out, repair=True, **options)
            assert [(b.path, b.repaired) for b in found.broken] == [(f"m/{name}", True)]
            assert tree(out / "m") == result
    assert modelzoo.verify(output_dir=out).successful


def test_only_the_broken_precision_is_made_again(tmp_path: Path, faulty: FaultyServer) -> None:
    zoo = Zoo(tmp_path, faulty)
    zoo()
    (zoo.out / "m" / "FP16" / "deep" / "a.txt").write_bytes(b"changed")
    before = len(faulty.requests)
    found = modelzoo.verify(output_dir=zoo.out, repair=True, sources=[zoo.zoo])
    assert [(file.path, file.repaired) for file in found.broken] == [("m/FP16/deep/a.txt", True)]
    asked = {request.path for request in faulty.requests[before:]}
    assert asked == {"/FP16/data.zip", "/FP16/m.bin"}  # the original of what was patched is here
    assert tree(zoo.out / "m") == zoo.result
