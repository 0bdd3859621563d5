"""`sources.py check`: which URLs of a catalog lead to their files still, asked politely."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import get_args

import modelzoo
import pytest
from modelzoo.probing import PER_HOST, Finding, State

from tests.conftest import ROOT, tool
from tests.servers import Exchange
from tests.servers.faulty import (
    FaultyServer,
    Step,
    chunked,
    drop_connection,
    html_page,
    redirect,
    require_auth,
    serve,
    status,
)
from tests.zoo import add_local_model, add_model, content, file_entry, model_config

DATA = content("probed", 5000)
SIZE = len(DATA)


def only(method: str, step: Step, otherwise: Step) -> Step:
    """A server that knows one method."""
    return lambda exchange: (step if exchange.request.method == method else otherwise)(exchange)


PLACES: dict[str, tuple[Step, str]] = {
    "good": (serve(DATA), "ok"),
    "no ranges": (serve(DATA, ranges=False), "ok"),
    "elsewhere": (redirect("/target"), "ok"),
    "no head": (only("GET", serve(DATA), status(405)), "ok"),
    "head is missing": (only("GET", serve(DATA), status(404)), "ok"),
    "head is forbidden": (only("GET", serve(DATA), status(403)), "ok"),
    "head has no size": (only("GET", serve(DATA), chunked(b"")), "ok"),
    "404": (status(404), "dead"),
    "410": (status(410), "dead"),
    "401": (status(401), "denied"),
    "403": (status(403), "denied"),
    "password": (require_auth(serve(DATA), "me", "x"), "denied"),
    "500": (status(500), "unreachable"),
    "silent": (drop_connection(), "unreachable"),
    "moved": (redirect("/target", 301), "moved"),
    "moved too": (redirect("/target", 308), "moved"),
    "moved away": (redirect("/nothing", 301), "dead"),
    "round": (redirect("/round"), "unreachable"),
    "shorter": (serve(DATA[:-1]), "size"),
    "longer": (serve(DATA + b"x"), "size"),
    "page": (html_page("gone to another company"), "size"),
    "ftp": (redirect("ftp://h/f"), "content"),
}


def probe_one(server: FaultyServer, name: str, size: int | None = SIZE) -> Finding:
    suffix = "" if size is None else f"#size={size}"
    path = name.replace(" ", "-")
    server.add(f"/{path}", PLACES[name][0])
    server.add("/target", serve(DATA))
    server.add("/nothing", status(404))
    models = modelzoo.from_urls({"m/a.bin": f"{server.url}/{path}{suffix}"})
    (finding,) = modelzoo.probe(models, num_attempts=1)
    return finding


@pytest.mark.parametrize("name", PLACES)
def test_what_is_found(faulty: FaultyServer, name: str) -> None:
    finding = probe_one(faulty, name)
    expected = "content" if name == "page" else PLACES[name][1]
    assert (finding.state, finding.model, finding.file) == (expected, "m", "a.bin")
    assert (finding.message is None) == (finding.state == "ok")
    if finding.state in ("ok", "moved"):
        assert finding.found_size == SIZE
    location = f"{faulty.url}/target" if finding.state == "moved" else None
    assert finding.location == location
    assert sum(request.sent for request in faulty.requests) < SIZE or "no ranges" in name


def test_sizes_that_nobody_knows(faulty: FaultyServer) -> None:
    assert probe_one(faulty, "shorter", None).state == "ok"
    finding = probe_one(faulty, "page", None)
    assert (finding.state, "text/html" in (finding.message or "")) == ("content", True)


def test_every_url_is_asked_once_and_few_at_a_time(faulty: FaultyServer) -> None:
    lock, now, most = threading.Lock(), 0, 0
    together = threading.Barrier(PER_HOST)

    def step(exchange: Exchange) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        together.wait(10)  # so many must be able to come at once
        with lock:
            now -= 1
        serve(DATA)(exchange)

    faulty.default = step
    urls = {f"m-{n}/a.bin": f"{faulty.url}/{n % 10}" for n in range(20)}
    findings = modelzoo.probe(modelzoo.from_urls(urls))
    assert [finding.model for finding in findings] == [f"m-{n}" for n in range(20)]
    assert {finding.state for finding in findings} == {"ok"}
    assert len(faulty.requests) == 10
    assert most == PER_HOST


def test_a_busy_server_is_asked_again_when_it_says(faulty: FaultyServer) -> None:
    faulty.add("/f", status(429, headers={"Retry-After": "0"}), serve(DATA))
    (finding,) = modelzoo.probe(modelzoo.from_urls({"m/a.bin": f"{faulty.url}/f"}))
    assert finding.state == "ok"
    assert [request.method for request in faulty.requests] == ["HEAD", "HEAD"]


def test_other_stores(tmp_path: Path, faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.bin").write_bytes(DATA)
    monkeypatch.setenv("HF_ENDPOINT", faulty.url)
    faulty.add("/o/r/resolve/main/a.bin", serve(DATA))
    faulty.add("/o/gated/resolve/main/a.bin", status(401))
    findings = modelzoo.probe(
        modelzoo.from_urls(
            {
                "m/a.bin": f"{(tmp_path / 'a.bin').as_uri()}#size={SIZE}",
                "m/b.bin": (tmp_path / "b.bin").as_uri(),
                "m/c.bin": f"hf://o/r/a.bin#size={SIZE}",
                "m/d.bin": "hf://o/gated/a.bin",
            }
        )
    )
    assert [f.state for f in findings] == ["ok", "dead", "ok", "denied"]


@pytest.fixture
def zoo(faulty: FaultyServer, tmp_path: Path) -> Path:
    faulty.add("/good", serve(DATA))
    faulty.add("/gone", status(404))
    faulty.add("/old", redirect("/good", 301))
    user = faulty.url.replace("//", "//me:S3CRET@")
    for name in ("good", "gone", "old"):
        add_model(tmp_path / "zoo", name, model_config([file_entry("a.bin", DATA, f"{user}/{name}")]))
    add_local_model(tmp_path / "zoo", "local", {"a.bin": b"a"})
    return tmp_path / "zoo"


def test_the_table(zoo: Path, faulty: FaultyServer) -> None:
    done = tool("sources", "check", "--all", "--source", zoo, check=1)
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["state", "file", "url", "problem"]
    assert [line.split()[:2] for line in lines[1:3]] == [["dead", "gone/a.bin"], ["moved", "old/a.bin"]]
    assert lines[1].endswith(f"{faulty.url}/gone  the server answered 404 Not Found")
    assert lines[2].endswith(f"has moved for good to {faulty.url}/good")
    assert lines[3] == "4 URLs: 2 ok, 1 dead, 1 moved"
    assert "S3CRET" not in done.stdout + done.stderr
    done = tool("sources", "check", "--name", "good,local", "--source", zoo)
    assert done.stdout == "2 URLs: 2 ok\n"


def test_json(zoo: Path, faulty: FaultyServer) -> None:
    done = tool("sources", "check", "--all", "--source", zoo, "--format", "json", check=1)
    findings = json.loads(done.stdout)
    assert [finding["state"] for finding in findings] == ["dead", "ok", "ok", "moved"]
    assert findings[3] == {
        "model": "old",
        "file": "a.bin",
        "url": f"{faulty.url}/old",
        "state": "moved",
        "size": SIZE,
        "found_size": SIZE,
        "location": f"{faulty.url}/good",
        "message": f"has moved for good to {faulty.url}/good",
    }
    listed = tool("sources", "check", "--print_all", "--source", zoo).stdout
    assert listed.split() == ["gone", "good", "local", "old"]


def test_the_demo_models_are_there() -> None:
    assert tool("sources", "check", "--all", "--source", "demo").stdout == "14 URLs: 14 ok\n"


def test_the_states_are_documented() -> None:
    text = (ROOT / "docs" / "catalog.md").read_text().partition("## Keeping a catalog")[2]
    rows = re.findall(r"^\| `(\w+)` \|", text.partition("\n## ")[0], re.M)
    assert sorted(rows) == sorted(get_args(State))
