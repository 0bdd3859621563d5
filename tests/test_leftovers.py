"""What killed runs left in flight of files that have come since: the next run removes it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import modelzoo
import pytest
from modelzoo.files.claiming import claim

from tests.zoo import add_local_model, stray_files, tree

DATA = b"a model" * 100
DIGEST = hashlib.sha384(DATA).hexdigest()
EXPECTED = {"m/model.bin": DATA}


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    add_local_model(tmp_path / "zoo", "m", {"model.bin": DATA})
    return tmp_path / "zoo"


@pytest.mark.parametrize("receipt", [True, False])
@pytest.mark.parametrize("left", [b"", DATA[:99]])
def test_beside_a_file_that_is_there(tmp_path: Path, zoo: Path, receipt: bool, left: bytes) -> None:
    """A run that waited for the file was killed when it came."""
    folder = tmp_path / "out" / "m"
    if receipt:
        modelzoo.download("m", tmp_path / "out", sources=[zoo])
    else:
        folder.mkdir(parents=True)
        (folder / "model.bin").write_bytes(DATA)
    (folder / "model.bin.download").write_bytes(left)
    (folder / "model.bin.download.json").write_bytes(b"{}" * bool(left))
    (folder / "mine.download").write_bytes(b"of somebody else")
    modelzoo.download("m", tmp_path / "out", sources=[zoo])
    assert stray_files(tmp_path / "out", EXPECTED) == ["m/mine.download"]


def test_in_the_staging_of_the_cache(tmp_path: Path, zoo: Path) -> None:
    """A run was killed between the file and the cache's copy of it, which nobody asks for again."""
    cache, staging = tmp_path / "cache", tmp_path / "cache" / "1" / "staging"
    modelzoo.download("m", tmp_path / "out", sources=[zoo])
    staging.mkdir(parents=True)
    (staging / f"{DIGEST}.download").write_bytes(DATA[:99])
    (staging / "of Open Model Zoo").write_bytes(b"")
    modelzoo.download("m", tmp_path / "out", sources=[zoo], cache_dir=cache)
    assert tree(staging) == {"of Open Model Zoo": b""}


def test_what_is_worked_on_stays(tmp_path: Path, zoo: Path) -> None:
    staging = tmp_path / "cache" / "1" / "staging"
    modelzoo.download("m", tmp_path / "out", sources=[zoo])
    held = [claim(tmp_path / "out" / "m" / "model.bin"), claim(staging / DIGEST)]
    modelzoo.download("m", tmp_path / "out", sources=[zoo], cache_dir=tmp_path / "cache")
    assert [partial is not None and partial.path.exists() for partial in held] == [True, True]
    for partial in held:
        assert partial is not None
        with partial:
            partial.discard()


def test_a_file_that_fails_keeps_its_part(tmp_path: Path, zoo: Path) -> None:
    (zoo / "m" / "model.bin").unlink()
    folder = tmp_path / "out" / "m"
    folder.mkdir(parents=True)
    (folder / "model.bin.download").write_bytes(DATA[:99])
    with pytest.raises(modelzoo.ModelZooError):
        modelzoo.download("m", tmp_path / "out", sources=[zoo])
    assert tree(folder) == {"model.bin.download": DATA[:99]}
