"""A server that breaks as told: what happens, what is left on disk, and what the events say."""

from __future__ import annotations

import email.utils
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from modelzoo.checksum import Checksum
from modelzoo.errors import Reason
from modelzoo.events import ModelFileDownloadEnd, ModelFileRetry, RunEnd
from modelzoo.model import Model, ModelFile, Origin

from tests.engine import InstantClock, Recorder, bring_all
from tests.servers import faulty as f
from tests.servers.faulty import FaultyServer
from tests.zoo import content

BODY = content("model", 3 << 20)
OTHER = content("other", 3 << 20)
CUT = 2 << 20
URL = "/model.bin"
EMPTY: dict[str, int] = {}
DONE = {"model.bin": len(BODY)}


@dataclass(frozen=True)
class Case:
    """What the server does, and all that has to follow."""

    name: str
    steps: Sequence[f.Step]
    attempts: int = 1
    reason: Reason | None = None
    left: dict[str, int] = field(default_factory=lambda: DONE)
    retries: Sequence[Reason] = ()
    ranges: Sequence[str | None] = (None,)
    waits: Sequence[float | None] = ()
    sent: int | None = None
    known: bool = True
    timeout: float = 30.0


GOOD = f.serve(BODY)
LATER = email.utils.formatdate(time.time() + 3600, usegmt=True)
RESUMED = (None, f"bytes={CUT}-")

CASES = [
    Case("all is well", [GOOD], sent=len(BODY)),
    Case(
        "reset in the middle, resumed",
        [f.reset_after(GOOD, CUT), GOOD],
        attempts=2,
        retries=[Reason.NETWORK],
        ranges=RESUMED,
        sent=len(BODY),
    ),
    Case(
        "reset in the middle, one attempt: the rest is for the next run",
        [f.reset_after(GOOD, CUT)],
        reason=Reason.NETWORK,
        left={"model.bin.download": CUT, "model.bin.download.json": -1},
    ),
    Case(
        "short body",
        [f.truncate_after(GOOD, CUT), GOOD],
        attempts=2,
        retries=[Reason.NETWORK],
        ranges=RESUMED,
        sent=len(BODY),
    ),
    Case(
        "a shorter file is retried: the server may be behind",
        [f.serve(BODY[:CUT]), GOOD],
        attempts=2,
        retries=[Reason.SIZE_MISMATCH],
        ranges=(None, None),
    ),
    Case(
        "a longer file is another file: not retried",
        [f.long_body(BODY, b"more")],
        attempts=3,
        reason=Reason.SIZE_MISMATCH,
        left=EMPTY,
    ),
    Case(
        "more bytes than expected without a length",
        [f.chunked(BODY + b"more")],
        attempts=3,
        reason=Reason.SIZE_MISMATCH,
        left=EMPTY,
    ),
    Case(
        "wrong bytes",
        [f.serve(OTHER)],
        attempts=3,
        reason=Reason.CHECKSUM_MISMATCH,
        left=EMPTY,
    ),
    Case(
        "200 to a Range: everything comes again",
        [f.reset_after(GOOD, CUT), f.ignore_range(GOOD)],
        attempts=2,
        retries=[Reason.NETWORK],
        ranges=RESUMED,
        sent=CUT + len(BODY),
    ),
    Case(
        "wrong Content-Range: asked again from the start",
        [f.reset_after(GOOD, CUT), f.wrong_content_range(BODY, 7), GOOD],
        attempts=2,
        retries=[Reason.NETWORK],
        ranges=(*RESUMED, None),
    ),
    Case(
        "another version in between: If-Range brings all of it",
        [f.reset_after(f.serve(OTHER, etag='"old"'), CUT), GOOD],
        attempts=2,
        retries=[Reason.NETWORK],
        ranges=RESUMED,
        sent=CUT + len(BODY),
    ),
    Case(
        "another version, and the server ignores If-Range",
        [f.reset_after(f.serve(OTHER, etag='"old"'), CUT), f.serve(BODY, honour_if_range=False)],
        attempts=2,
        retries=[Reason.NETWORK],
        ranges=(*RESUMED, None),
    ),
    Case("403", [f.status(403)], attempts=3, reason=Reason.ACCESS_DENIED, left=EMPTY),
    Case("404", [f.status(404)], attempts=3, reason=Reason.NOT_FOUND, left=EMPTY),
    Case(
        "429 with seconds",
        [f.status(429, headers={"Retry-After": "7"}), GOOD],
        attempts=2,
        retries=[Reason.RATE_LIMITED],
        ranges=(None, None),
        waits=[7.0],
    ),
    Case(
        "429 with a date beyond the cap",
        [f.status(429, headers={"Retry-After": LATER}), GOOD],
        attempts=2,
        retries=[Reason.RATE_LIMITED],
        ranges=(None, None),
        waits=[300.0],
    ),
    Case(
        "500 twice, then well",
        [f.status(500), f.status(500), GOOD],
        attempts=3,
        retries=[Reason.SERVER_ERROR] * 2,
        ranges=(None,) * 3,
        waits=[None, None],
    ),
    Case(
        "503 until the attempts are spent",
        [f.status(503)],
        attempts=3,
        reason=Reason.RATE_LIMITED,
        retries=[Reason.RATE_LIMITED] * 2,
        ranges=(None,) * 3,
        left=EMPTY,
    ),
    Case(
        "dropped before an answer",
        [f.drop_connection(), GOOD],
        attempts=2,
        retries=[Reason.NETWORK],
        ranges=(None, None),
    ),
    Case(
        "a drip of ten bytes a second",
        [f.drip(GOOD, 10), GOOD],
        attempts=2,
        retries=[Reason.TIMEOUT],
        ranges=(None, "bytes="),
        timeout=0.4,
    ),
    Case(
        "silence in the middle",
        [f.stall_after(GOOD, CUT), GOOD],
        attempts=2,
        retries=[Reason.TIMEOUT],
        ranges=RESUMED,
        timeout=0.4,
        sent=len(BODY),
    ),
    Case(
        "a web page instead of the model",
        [f.html_page("please log in")],
        attempts=3,
        reason=Reason.WRONG_CONTENT,
        left=EMPTY,
    ),
    Case(
        "a web page, and no checksum that would tell",
        [f.html_page("please log in")],
        attempts=3,
        reason=Reason.WRONG_CONTENT,
        left=EMPTY,
        known=False,
    ),
    Case(
        "an error document, and no checksum that would tell",
        [f.serve(b'{"error": "gone"}', content_type="application/json")],
        reason=Reason.WRONG_CONTENT,
        left=EMPTY,
        known=False,
    ),
    Case(
        "nothing known, cut off without a validator: starts over",
        [f.reset_after(f.serve(OTHER, etag=None), CUT), f.serve(BODY, etag=None)],
        attempts=2,
        retries=[Reason.NETWORK],
        ranges=(None, None),
        known=False,
    ),
    Case("nothing known, no length", [f.close_delimited(BODY)], known=False),
    Case(
        "chunked and cut off",
        [f.chunked(BODY, cut_after=CUT), GOOD],
        attempts=2,
        retries=[Reason.NETWORK],
        ranges=(None, "bytes="),
    ),
]


def model_at(*urls: str, body: bytes = BODY, known: bool = True, name: str = "m") -> Model:
    """A model of one file with these mirrors."""
    checksum = Checksum("sha384", hashlib.sha384(body).hexdigest()) if known else None
    size = len(body) if known else None
    file = ModelFile("model.bin", size, checksum, tuple(Origin(url) for url in urls))
    return Model(
        id=name,
        name=name,
        source="test",
        subdirectory=name,
        description="",
        framework="onnx",
        task_type="classification",
        license_url="",
        files=(file,),
    )


def left_in(folder: Path) -> dict[str, int]:
    """File names and sizes (-1: any) below a model's folder."""
    if not folder.exists():
        return {}
    return {p.name: -1 if p.suffix == ".json" else p.stat().st_size for p in folder.iterdir()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fault(case: Case, faulty: FaultyServer, tmp_path: Path) -> None:
    faulty.add(URL, *case.steps)
    recorder, clock = Recorder(), InstantClock()
    summary = bring_all(
        [model_at(faulty.url + URL, known=case.known)],
        tmp_path,
        recorder=recorder,
        clock=clock,
        attempts=case.attempts,
        timeout=case.timeout,
    )
    (end,) = recorder.of(ModelFileDownloadEnd)
    assert end.reason == case.reason, end.message
    assert summary.successful == end.successful == (case.reason is None)
    assert recorder.of(RunEnd)[0].files_failed == (case.reason is not None)
    assert left_in(tmp_path / "m") == case.left
    if case.reason is None:
        assert (tmp_path / "m" / "model.bin").read_bytes() == BODY
    retries = recorder.of(ModelFileRetry)
    assert [retry.reason for retry in retries] == list(case.retries)
    check_waits(retries, case.waits)
    check_requests(faulty, case)
    if end.message is not None:
        assert f"{faulty.url}{URL}: " in end.message


def check_waits(retries: list[ModelFileRetry], expected: Sequence[float | None]) -> None:
    """Exactly what the server asked for, else 2^n seconds give or take 20 %."""
    for retry, wait in zip(retries, expected or [None] * len(retries), strict=True):
        usual = min(60, 2**retry.attempt)
        low, high = (wait - 2, wait) if wait is not None else (0.8 * usual, 1.2 * usual)
        assert low <= retry.wait <= high


def check_requests(server: FaultyServer, case: Case) -> None:
    """The ranges asked for (a prefix is enough), and the body bytes the server had to send."""
    asked = [request.headers.get("range") for request in server.requests]
    assert len(asked) == len(case.ranges), asked
    for found, expected in zip(asked, case.ranges, strict=True):
        assert found is None if expected is None else (found or "").startswith(expected)
    if case.sent is not None:
        assert sum(request.sent for request in server.requests) == case.sent


MIRRORS: dict[str, list[f.Step]] = {
    "missing": [f.status(404)],
    "wrong bytes": [f.serve(OTHER)],
    "longer": [f.long_body(BODY, b"x")],
    "a web page": [f.html_page("hello")],
    "refuses": [f.status(401)],
    "breaks": [f.reset_after(GOOD, CUT), f.drop_connection()],
}


@pytest.mark.parametrize("fault", MIRRORS)
def test_first_mirror_fails_second_serves(fault: str, faulty: FaultyServer, tmp_path: Path) -> None:
    faulty.add("/first", *MIRRORS[fault])
    faulty.add("/second", GOOD)
    recorder = Recorder()
    model = model_at(faulty.url + "/first", faulty.url + "/second")
    assert bring_all([model], tmp_path, recorder=recorder, attempts=2).successful
    assert left_in(tmp_path / "m") == DONE
    assert [r.path for r in faulty.requests].count("/second") == 1
    transient = fault == "breaks"
    # One more tells that the next mirror has its turn.
    assert [retry.wait > 0 for retry in recorder.of(ModelFileRetry)] == [True] * transient + [False]
    assert [r.path for r in faulty.requests].count("/first") == 1 + transient
    # What came from the first mirror is used when a checksum will prove the whole.
    asked = faulty.requests[-1].headers.get("range")
    assert asked == (f"bytes={CUT}-" if transient else None)


def test_a_bad_beginning_does_not_spoil_the_next_mirror(faulty: FaultyServer, tmp_path: Path) -> None:
    """The first mirror breaks off in the middle of other bytes; the second one is right."""
    faulty.add("/first", f.truncate_after(f.serve(OTHER), CUT), f.drop_connection())
    faulty.add("/second", GOOD)
    model = model_at(faulty.url + "/first", faulty.url + "/second")
    assert bring_all([model], tmp_path).successful
    assert left_in(tmp_path / "m") == DONE
    asked = [r.headers.get("range") for r in faulty.requests if r.path == "/second"]
    assert asked == [f"bytes={CUT}-", None]


def test_changed_without_a_validator(faulty: FaultyServer, tmp_path: Path) -> None:
    """Two versions were mixed unknowingly; the checksum tells, and all of it comes again."""
    cut = f.truncate_after(f.serve(OTHER, etag=None), CUT)
    faulty.add(URL, cut, f.serve(BODY, etag=None))
    assert bring_all([model_at(faulty.url + URL)], tmp_path, attempts=2).successful
    assert [r.headers.get("range") for r in faulty.requests] == [None, f"bytes={CUT}-", None]


@pytest.mark.parametrize("name", ["README.md", "vocab.txt"])
def test_right_bytes_are_right_whatever_they_look_like(
    name: str, faulty: FaultyServer, tmp_path: Path
) -> None:
    body = b"<html> is how this file begins"
    faulty.add(URL, f.serve(body, content_type="text/html"))
    model = model_at(faulty.url + URL, body=body)
    file = msgspec.structs.replace(model.files[0], name=name)
    assert bring_all([msgspec.structs.replace(model, files=(file,))], tmp_path).successful


def test_the_bytes_of_the_network_are_those_that_came(faulty: FaultyServer, tmp_path: Path) -> None:
    """Of a resumed file only the rest; of a failed one what had come."""
    faulty.add(URL, f.truncate_after(GOOD, CUT), GOOD)
    counts = []
    for _ in range(3):
        recorder = Recorder()
        bring_all([model_at(faulty.url + URL)], tmp_path, recorder=recorder)
        counts.append(recorder.of(RunEnd)[0].bytes_network)
    assert counts == [CUT, len(BODY) - CUT, 0]


def test_all_mirrors_fail_and_are_all_named(faulty: FaultyServer, tmp_path: Path) -> None:
    recorder = Recorder()
    bring_all([model_at(faulty.url + "/a", faulty.url + "/b")], tmp_path, recorder=recorder)
    (end,) = recorder.of(ModelFileDownloadEnd)
    assert f"{faulty.url}/a: " in (end.message or "")
    assert f"{faulty.url}/b: " in (end.message or "")


def test_redirect_to_another_host_drops_credentials(faulty: FaultyServer, tmp_path: Path) -> None:
    with FaultyServer(host="127.0.0.2") as other:
        other.add(URL, GOOD)
        faulty.add(URL, f.redirect(other.url + URL))
        url = faulty.url.replace("//", "//user:secret@") + URL
        recorder = Recorder()
        assert bring_all([model_at(url)], tmp_path, recorder=recorder).successful
        assert faulty.requests[0].headers.get("authorization")
        assert other.requests[0].headers.get("authorization") is None
    receipts = "".join(p.read_text() for p in (tmp_path / ".modelzoo").rglob("*.json"))
    assert "secret" not in receipts + str(recorder.events)


def test_429_holds_back_the_whole_host_but_no_other(faulty: FaultyServer, tmp_path: Path) -> None:
    with FaultyServer(host="127.0.0.2") as other:
        slow = f.status(429, headers={"Retry-After": "30"})
        faulty.add("/a", slow, GOOD)
        faulty.add("/b", GOOD)
        other.add("/c", GOOD)
        models = [
            model_at(faulty.url + "/a", name="a"),
            model_at(faulty.url + "/b", name="b"),
            model_at(other.url + "/c", name="c"),
        ]
        clock = InstantClock()
        order: list[str] = []
        recorder = Recorder()

        def report(event: object) -> None:
            recorder(event)  # type: ignore[arg-type]
            if isinstance(event, ModelFileDownloadEnd):
                order.append(event.model)

        assert bring_all(models, tmp_path, recorder=report, clock=clock, attempts=2).successful  # type: ignore[arg-type]
        assert order[0] == "c"
        assert clock.skipped >= 29


def test_refused_credential_stops_those_who_would_send_it(faulty: FaultyServer, tmp_path: Path) -> None:
    faulty.default = f.status(401)
    faulty.add("/open", GOOD)
    secret = faulty.url.replace("//", "//user:wrong@")
    models = [model_at(secret + f"/{n}", name=n) for n in ("a", "b", "c")]
    models.append(model_at(faulty.url + "/open", name="open"))
    recorder = Recorder()
    bring_all(models, tmp_path, recorder=recorder, attempts=3)
    assert [r.path for r in faulty.requests] == ["/a", "/open"]
    ends = recorder.of(ModelFileDownloadEnd)
    assert [end.reason for end in ends] == [Reason.ACCESS_DENIED] * 3 + [None]
    assert all("wrong" not in (end.message or "") for end in ends)


def test_next_run_resumes_what_the_first_began(faulty: FaultyServer, tmp_path: Path) -> None:
    faulty.add(URL, f.reset_after(GOOD, CUT), GOOD)
    models = [model_at(faulty.url + URL)]
    assert not bring_all(models, tmp_path).successful
    assert bring_all(models, tmp_path).successful
    assert faulty.requests[1].headers["range"] == f"bytes={CUT}-"
    assert faulty.requests[1].headers["if-range"] == '"v1"'
    assert left_in(tmp_path / "m") == DONE


def test_a_rotten_beginning_is_thrown_away_once(faulty: FaultyServer, tmp_path: Path) -> None:
    faulty.add(URL, GOOD)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.bin.download").write_bytes(OTHER[:CUT])
    assert bring_all([model_at(faulty.url + URL)], tmp_path).successful
    assert [r.headers.get("range") for r in faulty.requests] == [f"bytes={CUT}-", None]
    assert left_in(tmp_path / "m") == DONE


def test_a_complete_beginning_needs_no_request(faulty: FaultyServer, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.bin.download").write_bytes(BODY)
    assert bring_all([model_at(faulty.url + URL)], tmp_path).successful
    assert faulty.requests == []
    assert left_in(tmp_path / "m") == DONE


def test_one_failure_does_not_stop_the_others(faulty: FaultyServer, tmp_path: Path) -> None:
    faulty.add("/good", GOOD)
    models = [model_at(faulty.url + "/bad", name="bad"), model_at(faulty.url + "/good", name="good")]
    summary = bring_all(models, tmp_path)
    assert [model.successful for model in summary.models] == [False, True]
    assert not summary.successful
