"""Publishing to a folder."""

from __future__ import annotations

from pathlib import Path

from modelzoo.registry.publishing import Publishing, make_publication
from modelzoo.registry.storage import connect


def test_it(tmp_path: Path) -> None:
    root = tmp_path / "m"
    (root / "bin").mkdir(parents=True)
    (root / "bin/x").write_bytes(b"x" * 10000)
    (root / ".h").write_bytes(b"")
    events = []
    p = make_publication(root, "voxcnn", {"a": 1}, "1.0.0", alias="hans", meta={"x": 1}, subgroup="a.b")
    uid = Publishing(p, connect(tmp_path / "repo"), events.append).run()
    print(uid, events)
    for e in connect(tmp_path / "repo").list():
        print(e)
    assert 0
