"""Receipts of any content: whatever they name, nothing outside the output directory is touched."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import modelzoo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.zoo import add_local_model, tree

PARTS = st.sampled_from(
    ["..", ".", "", "a", "sub", "link", "secret", ".modelzoo", "receipts", "CON", "a ", "~", "C:", "\\"]
)
PATHS = st.one_of(st.lists(PARTS, max_size=6).map("/".join), st.text(max_size=12))
CHECKSUMS = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["sha256", "md5", "shake_256", "", "sha384"]),
            "value": st.one_of(st.just("0" * 64), st.just("0" * 32), st.text(max_size=8)),
        }
    ),
)
OUTPUTS = st.lists(
    st.fixed_dictionaries(
        {
            "path": PATHS,
            "size": st.sampled_from([0, 6, 7, -1, 2**70]),
            "mtime_ns": st.integers(),
            "checksum": CHECKSUMS,
        }
    ),
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(outputs=OUTPUTS, force=st.booleans())
def test_nothing_outside_is_touched(outputs: list[dict[str, Any]], force: bool) -> None:
    root = Path(tempfile.mkdtemp())
    try:
        out, outside = root / "out", root / "secret"
        receipts = out / ".modelzoo" / "receipts" / "zoo"
        for folder in (receipts, outside / "a", out / "sub"):
            folder.mkdir(parents=True)
        for path in (outside / "a" / "a", outside / "secret", root / "a", out / "stranger"):
            path.write_bytes(b"secret")
        (out / "link").symlink_to(outside)
        (out / "sub" / "link").symlink_to(outside / "secret")
        (out / "a").write_bytes(b"secret")
        receipt = {"schema": 1, "model": "m", "source": "zoo", "version": None, "time": ""}
        text = json.dumps({**receipt, "inputs": [], "outputs": outputs})
        (receipts / "m.json").write_text(text)
        before = tree(outside)
        modelzoo.installed(output_dir=out)
        modelzoo.verify(output_dir=out, jobs=1)
        for insist in (force, True):
            if modelzoo.installed(output_dir=out):
                modelzoo.delete("m", out, force=insist)
        assert tree(outside) == before
        assert (root / "a").read_bytes() == (out / "stranger").read_bytes() == b"secret"
        assert (out / "link").is_symlink() or "link" in {output["path"] for output in outputs}
    finally:
        shutil.rmtree(root)


@pytest.mark.parametrize("name", ["", "receipts"])
def test_a_folder_of_receipts_that_is_a_link(name: str, tmp_path: Path) -> None:
    """They can be read, but are those of another folder, and stay."""
    add_local_model(tmp_path / "zoo", "m", {"a.bin": b"x"})
    modelzoo.download("m", tmp_path / "other", sources=[tmp_path / "zoo"])
    link = tmp_path / "out" / ".modelzoo" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "other" / ".modelzoo" / name)
    before = tree(tmp_path / "other")
    assert [model.state for model in modelzoo.installed(output_dir=tmp_path / "out")] == ["missing"]
    (model,) = modelzoo.delete("m", tmp_path / "out").models
    assert [kept.why for kept in model.kept] == ["linked"]
    assert tree(tmp_path / "other") == before
