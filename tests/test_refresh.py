"""`--refresh`: what has changed upstream is seen and told, what has not is left alone."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import modelzoo
import pytest
from modelzoo.events import Event, ModelFileChanged, ModelFileDownloadEnd, Notice

from tests.conftest import tool
from tests.servers.faulty import (
    FaultyServer,
    Step,
    drop_connection,
    html_page,
    serve,
    status,
    truncate_after,
)
from tests.test_json_output import parse
from tests.zoo import add_model, content, file_entry, model_config, tree

OLD, NEW = content("old", 50_000), content("new", 60_000)
DATE, LATER = "Mon, 01 Jan 2024 00:00:00 GMT", "Tue, 02 Jan 2024 00:00:00 GMT"


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Place:
    """One file of one model, at a server that has the old version."""

    def __init__(self, root: Path, server: FaultyServer) -> None:
        self.server, self.url = server, f"{server.url}/f"
        self.out, self.cache = root / "out", root / "cache"
        self.file = self.out / "m/a.bin"
        self.events: list[Event] = []
        server.add("/f", serve(OLD, etag='"1"'))

    def run(self, **options: Any) -> str | None:
        """Download; returns where the file came from."""
        self.events = []
        models = modelzoo.from_urls({"m/a.bin": self.url})
        modelzoo.download(models, self.out, report=self.events.append, **options)
        return next(e.origin for e in self.events if isinstance(e, ModelFileDownloadEnd))

    def changes(self) -> list[tuple[str, str]]:
        return [(e.before, e.after) for e in self.events if isinstance(e, ModelFileChanged)]

    def notices(self) -> str:
        return "\n".join(event.message for event in self.events if isinstance(event, Notice))


@pytest.fixture
def place(tmp_path: Path, faulty: FaultyServer) -> Place:
    return Place(tmp_path, faulty)


@pytest.fixture(params=["with a cache", "without"])
def options(request: pytest.FixtureRequest, place: Place) -> dict[str, Any]:
    return {"cache_dir": place.cache} if request.param == "with a cache" else {}


VERSIONS: list[tuple[Step, Step, dict[str, str]]] = [
    (serve(OLD, etag='"1"'), serve(NEW, etag='"2"'), {"if-none-match": '"1"'}),
    (
        serve(OLD, etag=None, last_modified=DATE),
        serve(NEW, etag=None, last_modified=LATER),
        {"if-modified-since": DATE},
    ),
]


@pytest.mark.parametrize(("old", "new", "condition"), VERSIONS)
def test_what_has_not_changed_is_not_touched(
    place: Place, options: dict[str, Any], old: Step, new: Step, condition: dict[str, str]
) -> None:
    place.server.add("/f", old)
    place.run(**options)
    before = tree(place.cache), place.file.stat()
    assert place.run(**options, refresh=True) == "local"
    asked = place.server.requests[1]
    assert {k: v for k, v in asked.headers.items() if k.startswith("if-")} == condition
    assert (asked.sent, len(place.server.requests)) == (0, 2)
    assert (tree(place.cache), place.file.stat()) == before
    assert (place.changes(), place.notices()) == ([], "")


@pytest.mark.parametrize(("old", "new", "condition"), VERSIONS)
def test_what_has_changed_is_told_and_brought(
    place: Place, options: dict[str, Any], old: Step, new: Step, condition: dict[str, str]
) -> None:
    place.server.add("/f", old)
    place.run(**options)
    place.server.add("/f", new)
    assert place.run(**options) == "local"  # nobody has asked for it
    assert place.run(**options, refresh=True) == "network"
    assert place.file.read_bytes() == NEW
    assert place.changes() == [(digest(OLD), digest(NEW))]
    assert place.run(**options, refresh=True) == "local"
    assert place.changes() == []
    if options:
        shutil.rmtree(place.out)
        assert place.run(**options, offline=True) == "cache"
        assert place.file.read_bytes() == NEW


@pytest.mark.parametrize("etag", [None, 'W/"1"'])
def test_where_the_server_names_no_version_the_bytes_decide(
    place: Place, options: dict[str, Any], etag: str | None
) -> None:
    place.server.add("/f", serve(OLD, etag=etag))
    place.run(**options)
    assert place.run(**options, refresh=True) == "network"
    assert place.changes() == []
    place.server.add("/f", serve(NEW, etag=etag))
    place.run(**options, refresh=True)
    assert place.changes() == [(digest(OLD), digest(NEW))]


def test_a_server_that_knows_no_conditions(place: Place) -> None:
    whole = status(200, headers={"ETag": '"1"'}, body=OLD, content_type="application/octet-stream")
    place.server.add("/f", whole)
    place.run()
    assert place.run(refresh=True) == "local"


def test_the_cache_is_refreshed_too(place: Place) -> None:
    place.run(cache_dir=place.cache)
    shutil.rmtree(place.out)
    assert place.run(cache_dir=place.cache, refresh=True) == "cache"
    assert place.server.requests[1].headers["if-none-match"] == '"1"'
    shutil.rmtree(place.out)
    place.server.add("/f", serve(NEW, etag='"2"'))
    assert place.run(cache_dir=place.cache, refresh=True) == "network"
    assert place.changes() == [(digest(OLD), digest(NEW))]
    assert place.file.read_bytes() == NEW


GONE: dict[str, Step] = {
    "404": status(404),
    "410": status(410),
    "500": status(500),
    "no answer": drop_connection(),
}


@pytest.mark.parametrize("gone", GONE)
def test_a_gone_origin_leaves_the_copy_in_use(place: Place, options: dict[str, Any], gone: str) -> None:
    place.run(**options)
    place.server.add("/f", GONE[gone])
    assert place.run(**options, refresh=True) == "local"
    assert "m: a.bin: the copy" in place.notices()
    assert place.url in place.notices()
    if options:
        shutil.rmtree(place.out)
        assert place.run(**options, refresh=True) == "cache"
    assert place.file.read_bytes() == OLD


BROKEN: dict[str, Step] = {
    "401": status(401),
    "403": status(403),
    "a page": html_page("sign in"),
}


@pytest.mark.parametrize("step", BROKEN)
def test_an_origin_that_refuses_fails_the_file_and_leaves_it(
    place: Place, options: dict[str, Any], step: str
) -> None:
    place.run(**options)
    place.server.add("/f", BROKEN[step])
    with pytest.raises(modelzoo.DownloadFailed):
        place.run(**options, refresh=True)
    assert place.file.read_bytes() == OLD
    assert place.run(**options) == "local"


def test_the_old_one_stays_until_the_new_one_is_whole(place: Place, options: dict[str, Any]) -> None:
    place.run(**options)
    changed = serve(NEW, etag='"2"')
    place.server.add("/f", changed, truncate_after(changed, 1000))
    with pytest.raises(modelzoo.DownloadFailed):
        place.run(**options, refresh=True)
    assert place.file.read_bytes() == OLD
    place.server.add("/f", changed)
    place.run(**options, refresh=True)
    assert (place.file.read_bytes(), place.changes()) == (NEW, [(digest(OLD), digest(NEW))])


def test_retries_are_for_questions_too(place: Place) -> None:
    place.run()
    place.server.add("/f", status(503, headers={"Retry-After": "0"}), serve(OLD, etag='"1"'))
    assert place.run(refresh=True, num_attempts=2) == "local"
    assert place.notices() == ""


def test_a_file_of_unknown_origin_is_compared(place: Place) -> None:
    place.file.parent.mkdir(parents=True)
    place.file.write_bytes(b"somebody's own")
    assert place.run() == "local"
    assert place.server.requests == []
    place.run(refresh=True)
    assert place.changes() == [(digest(b"somebody's own"), digest(OLD))]
    assert place.run(refresh=True) == "local"


def test_published_checksums_need_no_question(place: Place, tmp_path: Path) -> None:
    place.url += f"#{digest(OLD).replace(':', '=')}"
    place.run()
    assert place.run(refresh=True) == "local"
    add_model(tmp_path / "zoo", "x", model_config([file_entry("a.bin", OLD, place.url)]))
    for _ in range(2):
        modelzoo.download("x", tmp_path / "x", sources=[tmp_path / "zoo"], refresh=True)
    assert len(place.server.requests) == 2


def test_a_validator_is_not_believed_blindly(place: Place) -> None:
    """Whoever can write a receipt cannot write headers with it."""
    place.run()
    path = place.out / ".modelzoo/receipts/urls/m.json"
    receipt = json.loads(path.read_bytes())
    receipt["inputs"][0]["validator"] = '"1"\r\nX-Evil: yes'
    path.write_text(json.dumps(receipt))
    assert place.run(refresh=True) == "network"
    assert all("x-evil" not in request.headers for request in place.server.requests)


def test_files_on_this_machine(place: Place, tmp_path: Path) -> None:
    (source := tmp_path / "source.bin").write_bytes(OLD)
    place.url = source.as_uri()
    place.run()
    assert place.run(refresh=True) == "local"
    source.write_bytes(NEW)
    place.run(refresh=True)
    assert place.changes() == [(digest(OLD), digest(NEW))]


def test_files_on_google_drive(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that knows no conditional request is asked for the file, and what comes is not read."""
    monkeypatch.setenv("MODELZOO_GOOGLE_DRIVE_URL", place.server.url)
    place.url = "gdrive://f"
    place.server.add("/download", serve(OLD, etag='"1"'))
    place.run()
    assert place.run(refresh=True) == "local"
    place.server.add("/download", serve(NEW, etag='"2"'))
    place.run(refresh=True)
    assert place.changes() == [(digest(OLD), digest(NEW))]


def test_refresh_and_offline_exclude_each_other(place: Place) -> None:
    with pytest.raises(modelzoo.UsageError):
        place.run(refresh=True, offline=True)
    options = ["--url", f"m/a.bin={place.url}", "--refresh", "--offline"]
    done = tool("downloader", *options, check=2)
    assert "--refresh asks the origins" in done.stderr


def test_the_command_line_tells_changes(place: Place) -> None:
    command = ["--url", f"m/a.bin={place.url}", "-o", str(place.out)]
    tool("downloader", *command)
    place.server.add("/f", serve(NEW, etag='"2"'))
    done = tool("downloader", *command, "--refresh", "--progress_format=json")
    (changed,) = (e for e in parse(done.stdout) if e["$type"] == "model_file_changed")
    assert changed == {
        "$type": "model_file_changed",
        "model": "m",
        "model_file": "a.bin",
        "url": place.url,
        "before": digest(OLD),
        "after": digest(NEW),
    }
    place.server.add("/f", serve(OLD, etag='"3"'))
    done = tool("downloader", *command, "--refresh")
    assert done.stderr == (
        f"m: a.bin has changed at its origin: {digest(NEW)} before, {digest(OLD)} now ({place.url})\n"
    )


def test_force_brings_it_again_whatever_it_is(place: Place) -> None:
    place.run()
    os.utime(place.file, (1, 1))
    assert place.run(refresh=True, force=True) == "network"
    assert place.changes() == []
