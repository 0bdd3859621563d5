"""What is here of a model's folder in object storage: fetched once, resumed, of one version."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from modelzoo.cancel import Cancel
from modelzoo.errors import Interrupted, ModelZooError, UnsafePathError
from modelzoo.openvino.mirroring import MirroredFolder
from modelzoo.openvino.opening import open_folder
from modelzoo.openvino.output import Collected
from modelzoo.openvino.places import here

from tests.servers import steps
from tests.servers.faulty import FaultyServer
from tests.zoo import content

DATA = content("weights", 3 << 20)
PLACE = "s3://bucket/dl"


class Hasty(Cancel):
    """Waits for nothing."""

    def sleep(self, seconds: float) -> None:
        """Do not."""
        self.check()


HASTY = Hasty()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    """Object storage with whatever a test lists; ETags are "v1"."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with FaultyServer() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        yield server


def offer(server: FaultyServer, *names: str) -> None:
    about = f"<LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>{len(DATA)}</Size>"
    listed = "".join(
        f'<Contents><Key>dl/a/{name}</Key><ETag>"v1"</ETag>{about}</Contents>' for name in names
    )
    text = f"<ListBucketResult><IsTruncated>false</IsTruncated>{listed}</ListBucketResult>"
    server.add("/bucket", steps.serve(text.encode(), etag=None, content_type="application/xml"))


def folder(output: Collected | None = None, cancel: Cancel = HASTY) -> MirroredFolder:
    made = open_folder(PLACE, "a", output or Collected(), cancel)
    assert isinstance(made, MirroredFolder)
    return made


def test_what_broke_off_is_resumed(server: FaultyServer) -> None:
    offer(server, "x.bin")
    cut = steps.truncate_after(steps.serve(DATA), 2 << 20)
    server.add("/bucket/dl/a/x.bin", cut, steps.serve(DATA))
    output = Collected()
    folder(output).bring(["x.bin"])
    assert (here(PLACE) / "a/x.bin").read_bytes() == DATA
    ((is_warning, text),) = output.said
    assert is_warning
    assert text.startswith("attempt 1 of 3 failed, next in 2 s: s3://bucket/dl/a/x.bin: ")
    again = server.requests[-1].headers
    assert again["Range"].startswith("bytes=")
    assert int(again["Range"][6:].partition("-")[0]) > 0
    assert again["If-Match"] == '"v1"'
    asked = len(server.requests)
    folder().bring(["x.bin", "no such file"])
    assert len(server.requests) == asked + 1, "one for the listing"


def test_another_version_is_not_taken(server: FaultyServer) -> None:
    offer(server, "x.bin")
    server.add("/bucket/dl/a/x.bin", steps.serve(DATA, etag='"v2"'))
    with pytest.raises(ModelZooError, match="has changed since it was listed"):
        folder().checksum("x.bin")
    assert not (here(PLACE) / "a/x.bin").exists()


def test_what_is_changed_or_gone(server: FaultyServer) -> None:
    offer(server, "x.bin", "sub/y.bin")
    server.default = steps.serve(DATA)
    folder().bring(["x.bin", "sub/y.bin"])
    mirror = here(PLACE) / "a"
    (mirror / "sub/y.bin").write_bytes(b"changed by a program")
    offer(server, "sub/y.bin")
    folder().bring(["sub/y.bin"])
    assert [p.name for p in mirror.rglob("*") if p.is_file()] == ["y.bin"]
    assert (mirror / "sub/y.bin").read_bytes() == DATA


@pytest.mark.parametrize("name", ["con", ".modelzoo/x", "x.download", "a:b"])
def test_names_that_are_no_paths(name: str, server: FaultyServer) -> None:
    offer(server, name)
    with pytest.raises(UnsafePathError):
        folder().bring([name])
    assert not here(PLACE).exists()


def test_a_stopped_run(server: FaultyServer) -> None:
    offer(server, "x.bin")
    cancel = Cancel()

    def stop(exchange: steps.Exchange) -> None:
        cancel.set()
        steps.serve(DATA)(exchange)

    server.add("/bucket/dl/a/x.bin", stop)
    with pytest.raises(Interrupted):
        folder(cancel=cancel).bring(["x.bin"])
    assert not (here(PLACE) / "a/x.bin").exists()
