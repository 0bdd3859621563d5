"""One file over several connections: when it is done, when it is given up, and what can go wrong."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path

import pytest
from modelzoo.cancel import Cancel
from modelzoo.clock import Clock
from modelzoo.events import ModelFileDownloadEnd, ModelFileDownloadProgress
from modelzoo.files.partial import Partial
from modelzoo.web.connections import Connections
from modelzoo.web.gates import RateLimit

from tests.conftest import require
from tests.engine import Recorder, bring_all
from tests.processes import Downloader
from tests.servers import Exchange
from tests.servers import faulty as f
from tests.servers.faulty import FaultyServer
from tests.servers.nginx import Nginx, nginx_binary
from tests.test_faults import left_in, model_at
from tests.zoo import add_model, content, file_entry, model_config

MIB = 1 << 20
BODY = content("segments", 12 * MIB)
SLOW = f.drip(f.serve(BODY), 4 * MIB)


def fetch(url: str, folder: Path, body: bytes = BODY, **options: object) -> Recorder:
    """Bring one file home in real time; files may be split."""
    recorder = Recorder()
    connections = options.pop("connections", None) or Connections()
    bring_all(
        [model_at(url, body=body)],
        folder,
        recorder=recorder,
        clock=Clock(),
        connections=connections,  # type: ignore[arg-type]
        **options,  # type: ignore[arg-type]
    )
    return recorder


def ranges(server: FaultyServer) -> list[str | None]:
    return [request.headers.get("range") for request in server.requests]


def test_a_slow_connection_is_joined_by_others(nginx: Nginx, tmp_path: Path) -> None:
    with Nginx(nginx.root, limit_rate="3m") as slow:
        (nginx.root / "model.bin").write_bytes(BODY)
        recorder = fetch(f"{slow.url}/model.bin", tmp_path)
        requests = slow.wait_for(3)
    assert left_in(tmp_path / "m") == {"model.bin": len(BODY)}
    assert (tmp_path / "m" / "model.bin").read_bytes() == BODY
    assert len(requests) > 3
    assert sum(request.http_range != "" for request in requests) == len(requests) - 1
    sizes = [event.size for event in recorder.of(ModelFileDownloadProgress)]
    assert sizes == sorted(sizes)
    assert sizes[-1] == len(BODY)
    assert sum(request.body_bytes_sent for request in requests) < len(BODY) + 8 * MIB


def test_a_fast_connection_stays_alone(nginx: Nginx, tmp_path: Path) -> None:
    (nginx.root / "model.bin").write_bytes(BODY)
    fetch(f"{nginx.url}/model.bin", tmp_path)
    assert len(nginx.wait_for(1)) == 1


def test_a_slow_disk_is_no_slow_connection(
    faulty: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, seconds = Partial.write, [0.0]

    class Busy(Clock):
        def now(self) -> float:
            return seconds[0]

    def slowly(partial: Partial, data: bytes, offset: int | None = None) -> None:
        seconds[0] += 1
        write(partial, data, offset)

    monkeypatch.setattr(Partial, "write", slowly)
    faulty.add("/model.bin", f.serve(BODY))
    bring_all(
        [model_at(f"{faulty.url}/model.bin", body=BODY)],
        tmp_path,
        clock=Busy(),
        connections=Connections(),
    )
    assert (tmp_path / "m" / "model.bin").read_bytes() == BODY
    assert ranges(faulty) == [None]


@pytest.mark.parametrize(
    ("step", "connections"),
    [
        (f.drip(f.serve(BODY, ranges=False), 8 * MIB), Connections()),
        (f.drip(f.chunked(BODY), 8 * MIB), Connections()),
        (f.drip(f.serve(BODY), 8 * MIB), Connections(per_host=1)),
        (f.drip(f.serve(BODY), 8 * MIB), Connections(total=1)),
    ],
    ids=["no ranges", "chunked", "one connection a host", "one connection in all"],
)
def test_what_is_never_split(
    step: f.Step, connections: Connections, faulty: FaultyServer, tmp_path: Path
) -> None:
    faulty.add("/model.bin", step)
    fetch(f"{faulty.url}/model.bin", tmp_path, connections=connections)
    assert ranges(faulty) == [None]
    assert (tmp_path / "m" / "model.bin").read_bytes() == BODY


def test_parts_that_nothing_holds_together(faulty: FaultyServer, tmp_path: Path) -> None:
    """Another version with neither a validator nor a checksum would not be noticed."""
    faulty.add(
        "/model.bin", *[f.drip(f.serve(body, etag=None), 4 * MIB) for body in (BODY, BODY[::-1])]
    )
    url = f"{faulty.url}/model.bin"
    bring_all([model_at(url, known=False)], tmp_path, clock=Clock(), connections=Connections())
    assert ranges(faulty) == [None]
    assert (tmp_path / "m" / "model.bin").read_bytes() == BODY


def test_a_checksum_holds_parts_together(faulty: FaultyServer, tmp_path: Path) -> None:
    faulty.add("/model.bin", f.drip(f.serve(BODY, etag=None), 4 * MIB))
    fetch(f"{faulty.url}/model.bin", tmp_path)
    assert len(faulty.requests) > 3


REFUSALS = {
    "200 to a part": f.ignore_range(f.serve(BODY)),
    "too many connections": f.status(503),
    "forbidden": f.status(403),
    "drops": f.drop_connection(),
    "a wrong part": f.wrong_content_range(BODY, 3),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_server_that_dislikes_it(refusal: str, faulty: FaultyServer, tmp_path: Path) -> None:
    """The helpers are turned away; the connection that works brings the file all the same."""
    turned_away = threading.Semaphore(20)

    def step(exchange: Exchange) -> None:
        part = exchange.headers.get("range") is not None
        answer = REFUSALS[refusal] if part and turned_away.acquire(blocking=False) else SLOW
        answer(exchange)

    faulty.add("/model.bin", step)
    recorder = fetch(f"{faulty.url}/model.bin", tmp_path)
    (end,) = recorder.of(ModelFileDownloadEnd)
    assert end.successful, end.message
    assert (tmp_path / "m" / "model.bin").read_bytes() == BODY


def test_a_killed_run_is_resumed_with_its_gaps(tmp_path: Path) -> None:
    """What several connections had brought is not fetched again."""
    require(nginx_binary(), "nginx")
    served, output = tmp_path / "served", tmp_path / "output"
    served.mkdir()
    with Nginx(served, limit_rate="2m") as slow:
        body = content("large", 64 * MIB)
        (served / "model.bin").write_bytes(body)
        entry = file_entry("model.bin", body, f"{slow.url}/model.bin")
        add_model(tmp_path / "zoo", "m", model_config([entry]))
        options = ["--source", tmp_path / "zoo", "-o", output, "--progress_interval=0.05"]
        with Downloader(*options) as run:
            for event in run.events():
                if event["$type"] == "model_file_download_progress" and event["size"] > 32 * MIB:
                    run.signal(signal.SIGKILL)
                    break
        with Downloader(*options) as again:
            assert again.until("run_end")[-1]["successful"], again.errors()
        assert left_in(output / "m") == {"model.bin": len(body)}
        assert (output / "m" / "model.bin").read_bytes() == body
        assert slow.bytes_sent() < len(body) + 32 * MIB


def test_a_file_that_changes_while_it_is_split(faulty: FaultyServer, tmp_path: Path) -> None:
    """Parts are asked for with If-Range, so two versions never mix."""
    other = content("another version", len(BODY))
    changed = f.serve(BODY, etag='"new"')
    faulty.add("/model.bin", f.drip(f.serve(other, etag='"old"'), 4 * MIB), changed)
    recorder = fetch(f"{faulty.url}/model.bin", tmp_path)
    assert recorder.of(ModelFileDownloadEnd)[0].successful
    assert (tmp_path / "m" / "model.bin").read_bytes() == BODY


@pytest.fixture
def gapped(faulty: FaultyServer, tmp_path: Path) -> str:
    """The URL of a file of which a killed run left all but 1 to 3 and 5 to 8 MiB."""
    url, folder = f"{faulty.url}/model.bin", tmp_path / "m"
    ranges = [[start * MIB, stop * MIB] for start, stop in [(0, 1), (3, 5), (8, 12)]]
    notes = {"provenance": {"url": url, "validator": '"v1"'}, "ranges": ranges}
    folder.mkdir()
    (folder / "model.bin.download").write_bytes(BODY)
    (folder / "model.bin.download.json").write_text(json.dumps(notes))
    return url


def test_a_connection_that_comes_to_known_bytes_is_closed(
    gapped: str, faulty: FaultyServer, tmp_path: Path
) -> None:
    """Left open, it would bring them again while others bring what is missing."""
    faulty.add("/model.bin", SLOW)
    recorder = fetch(gapped, tmp_path, connections=Connections(per_host=1))
    assert recorder.of(ModelFileDownloadEnd)[0].successful
    assert (tmp_path / "m" / "model.bin").read_bytes() == BODY
    assert sum(request.sent for request in faulty.requests) < 6 * MIB


@pytest.mark.parametrize(
    ("answer", "sent"),
    [(f.status(503), 3 * MIB), (f.drop_connection(), 3 * MIB), (f.status(403), 7 * MIB)],
    ids=["busy", "drops", "forbidden"],
)
def test_what_lies_after_a_gap(
    answer: f.Step, sent: int, gapped: str, faulty: FaultyServer, tmp_path: Path
) -> None:
    """It is given up only where the server serves no parts, and the version is never forgotten."""
    faulty.add("/model.bin", SLOW, answer, SLOW)
    (end,) = fetch(gapped, tmp_path, connections=Connections(per_host=1)).of(ModelFileDownloadEnd)
    assert end.successful, end.message
    assert (tmp_path / "m" / "model.bin").read_bytes() == BODY
    asked = [(r.headers["range"], r.headers["if-range"]) for r in faulty.requests]
    assert asked[0] == (f"bytes={MIB}-", '"v1"')
    assert asked[2] == (f"bytes={5 * MIB}-", '"v1"')
    assert sent <= sum(request.sent for request in faulty.requests[2:]) < sent + MIB


def test_files_share_a_hosts_connections() -> None:
    connections, url = Connections(total=12, per_host=8), "http://a.example.com/x"
    assert connections.enter(url)
    with connections.leaving(url):
        assert connections.share(url) == 8
        assert connections.enter(url)
        with connections.leaving(url):
            assert connections.share(url) == 4
            assert [connections.take(url) for _ in range(7)] == [True] * 6 + [False]
            assert not connections.enter(url)
            assert connections.take("http://b.example.com/")
            connections.give(url)
            with connections.waiting():
                assert connections.crowded
                assert not connections.take(url)
            assert connections.take(url)
    connections.refuse(url)
    assert connections.share(url) == 1
    assert not connections.take(url)


def test_the_rate_limit_is_for_all_together() -> None:
    slept: list[float] = []

    class Sleepless(Cancel):
        def sleep(self, seconds: float) -> None:
            slept.append(seconds)

    limit = RateLimit(1000, Clock(), Sleepless())
    for _ in range(3):
        limit.take(500)
    assert slept == pytest.approx([0.5, 1.0, 1.5], abs=0.1)


def test_limited_files_are_not_split(nginx: Nginx, tmp_path: Path) -> None:
    (nginx.root / "model.bin").write_bytes(BODY)
    fetch(f"{nginx.url}/model.bin", tmp_path, limit_rate=8.0 * MIB)
    assert len(nginx.wait_for(1)) == 1
    assert (tmp_path / "m" / "model.bin").read_bytes() == BODY
