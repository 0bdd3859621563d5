"""Archives of models: their streams are made on all processors, and are ordinary ones."""

from __future__ import annotations

import sys
import threading
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.files.hashing import INLINE
from modelzoo.registry import deflating, packing
from modelzoo.registry.deflating import Deflater
from modelzoo.registry.packing import look_through, pack

from tests.zoo import content


def inflated(level: int, pieces: list[bytes]) -> bytes:
    deflater = Deflater(level)
    try:
        stream = b"".join(map(deflater.compress, pieces)) + deflater.flush()
    finally:
        deflater.close()
    inflater = zlib.decompressobj(-15)
    data = inflater.decompress(stream)
    assert inflater.eof
    assert not inflater.unused_data
    return data


@given(st.integers(1, 9), st.lists(st.binary(max_size=300), max_size=12))
def test_pieces_come_back(level: int, pieces: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deflating, "BLOCK", 100)
        assert inflated(level, pieces) == b"".join(pieces)


def test_an_entry_is_compressed_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The place where zipfile takes what it is given is not public; a release may give it up."""
    names: list[str] = []

    class Seen(Deflater):
        def flush(self) -> bytes:
            names.extend(t.name for t in threading.enumerate() if t.name.startswith("modelzoo-deflate"))
            return super().flush()

    monkeypatch.setattr(packing, "Deflater", Seen)
    (tmp_path / "model").mkdir()
    data = content("weights", 3 * deflating.BLOCK + 7)
    (tmp_path / "model" / "w.bin").write_bytes(data)
    digests = pack(look_through(tmp_path / "model"), tmp_path / "a.zip", 1, lambda size: None)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.read("w.bin") == data
        assert archive.infolist()[0].compress_type == zipfile.ZIP_DEFLATED
    assert digests.files["w.bin"].size == len(data)
    assert names, f"zipfile of Python {sys.version} compresses by itself"


def test_ctrl_c_while_a_thread_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what comes out, not a complaint about the thread."""

    def interrupted(thread: threading.Thread) -> None:
        raise KeyboardInterrupt

    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "w.bin").write_bytes(bytes(3 * INLINE))
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pack(look_through(tmp_path / "model"), tmp_path / "a.zip", 0, lambda size: None)
