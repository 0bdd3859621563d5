"""`--dry_run`: what would be fetched and from where, to the byte, without a request or a trace."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import modelzoo
import msgspec
import pytest
from modelzoo.cache.entries import Cache
from modelzoo.commands.dry_run import as_text, examine
from modelzoo.files.disk import readable
from modelzoo.reporting.json import document
from modelzoo.run.plan import make_plans
from modelzoo.variants import EVERY_VARIANT

from tests.conftest import tool
from tests.servers.faulty import FaultyServer, serve
from tests.zoo import add_local_model, add_model, content, file_entry, model_config, tree

SIZE = 2_000_000
STATES = ("installed", "present", "different", "partial", "cached", "absent", "broken", "outdated")


@pytest.fixture
def folder(faulty: FaultyServer, tmp_path: Path) -> Path:
    """A folder with a source, an output directory and a cache: one file in every state."""
    for state in STATES:
        data = content(state, SIZE)
        faulty.add(f"/{state}", serve(data))
        url = f"{faulty.url.replace('://', '://user:secret@')}/{state}?token=hidden"
        add_model(tmp_path / "zoo", state, model_config([file_entry("a.bin", data, url)]))
    out, cache = tmp_path / "out", tmp_path / "cache"
    run = ["--source", tmp_path / "zoo", "-o"]
    tool("downloader", *run, out, "--name", "installed")
    tool("downloader", *run, tmp_path / "x", "--name", "cached", "--cache_dir", cache)
    shutil.rmtree(tmp_path / "x")
    for state, data in {
        "present/a.bin": content("present", SIZE),
        "different/a.bin": bytes(SIZE),
        "outdated/a.bin": b"of another size",
        "partial/a.bin.download": content("partial", SIZE)[:700_000],
    }.items():
        (out / state).parent.mkdir()
        (out / state).write_bytes(data)
    (out / "broken").mkdir()
    (out / "broken" / "a.bin").symlink_to("a.bin")  # a loop
    return tmp_path


def dry_run(folder: Path, *arguments: str | Path, problem: str = "") -> dict[str, Any]:
    command = ["--source", "zoo", "-o", "out", "--dry_run", "--progress_format=json"]
    done = tool("downloader", *command, *arguments, cwd=folder, check=bool(problem))
    assert done.stderr == problem
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.stdout == json.dumps(found, indent=4) + "\n"
    return found


def test_every_state(faulty: FaultyServer, folder: Path) -> None:
    asked, before = len(faulty.requests), tree(folder)
    found = dry_run(folder, "--all", "--cache_dir", "cache")
    rows = {model["model"]: model["files"][0] for model in found["models"]}
    assert {name: (row["state"], row["missing"]) for name, row in rows.items()} == {
        "absent": ("absent", SIZE),
        "broken": ("absent", SIZE),
        "cached": ("cached", SIZE),
        "different": ("different", SIZE),
        "installed": ("installed", 0),
        "outdated": ("different", SIZE),
        "partial": ("partial", SIZE - 700_000),
        "present": ("present", 0),
    }
    assert found["schema_version"] == 1
    assert (found["output_dir"], found["files"], found["size"]) == ("out", 8, 8 * SIZE)
    assert (found["missing"], found["cached"]) == (6 * SIZE - 700_000, SIZE)
    assert (found["estimated"], found["unknown_sizes"]) == (0, 0)
    assert 0 < found["free"] <= shutil.disk_usage(folder).total
    for name, row in rows.items():
        assert list(row) == [
            *("name", "path", "state", "size", "missing", "estimated", "checksum", "sources"),
        ]
        assert not row["estimated"]
        assert (row["name"], row["path"], row["size"]) == ("a.bin", f"{name}/a.bin", SIZE)
        assert row["checksum"].startswith("sha384:")
        kind = "cache/1/" if name == "cached" else "http://"
        assert [source.startswith(kind) for source in row["sources"]] == [True]
        assert not {"secret", "hidden"} & set(row["sources"][0].replace("@", "=").split("="))
    assert {model["source"] for model in found["models"]} == {"zoo"}
    assert len(faulty.requests) == asked
    assert tree(folder) == before


def test_what_it_says_is_what_is_fetched(faulty: FaultyServer, folder: Path) -> None:
    (folder / "out" / "broken" / "a.bin").unlink()
    command = ["--all", "--cache_dir", "cache"]
    told = dry_run(folder, *command)
    asked = len(faulty.requests)
    tool("downloader", "--source", "zoo", "-o", "out", *command, cwd=folder)
    sent = sum(request.sent for request in faulty.requests[asked:])
    assert sent == told["missing"] - told["cached"]
    after = dry_run(folder, *command)
    assert {f["state"] for m in after["models"] for f in m["files"]} == {"installed"}
    assert after["missing"] == 0


def test_text(folder: Path) -> None:
    command = ["--source", "zoo", "-o", "out", "--dry_run", "--all", "--cache_dir", "cache"]
    done = tool("downloader", *command, cwd=folder)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert [line for line in lines[:-1] if not line.startswith(" ")] == sorted(STATES)
    rows = [line.split() for line in lines if line.startswith(" ")]
    assert rows[5][:4] == ["different", "outdated/a.bin,", "2000000", "bytes"]
    assert rows[6][:2] == ["partial", "partial/a.bin,"]
    assert rows[2][:2] == ["cached", "cached/a.bin,"]
    assert rows[2][-1].startswith("cache/1/")
    assert [row[-2] for row in rows if row[0] in ("installed", "present")] == ["2000000"] * 2
    assert lines[-1] == (
        "9300000 bytes (8.9 MiB) would be fetched, 2000000 bytes copied from the cache."
    )
    assert "secret" not in done.stdout


def test_with_force_everything_comes_again(folder: Path) -> None:
    found = dry_run(folder, "--name", "installed,present", "--force")
    states = [f["state"] for m in found["models"] for f in m["files"]]
    assert states == ["present", "present"]
    assert found["missing"] == 2 * SIZE
    found = dry_run(folder, "--name", "installed,present", "--force", "--offline", problem=(
        "installed: a.bin and 1 more cannot be had with --offline\n"
    ))  # fmt: skip
    assert found["missing"] == 2 * SIZE


def test_offline(folder: Path) -> None:
    """What is here, in the cache, or has an origin on this machine can be had."""
    add_local_model(folder / "zoo", "beside", {"a.bin": b"x"})
    had = ["--name", "installed,present,cached,beside", "--cache_dir", "cache", "--offline"]
    states = [f["state"] for m in dry_run(folder, *had)["models"] for f in m["files"]]
    assert states == ["installed", "present", "cached", "absent"]
    for name in ("absent", "cached", "different", "partial"):
        lost = f"{name}: a.bin cannot be had with --offline\n"
        found = dry_run(folder, "--name", f"{name},beside", "--offline", problem=lost)
        assert len(found["models"]) == 2
        command = ["--source", "zoo", "-o", "out", "--name", name, "--offline"]
        assert "not fetched: --offline" in tool("downloader", *command, cwd=folder, check=1).stderr


def test_space_that_does_not_suffice(tmp_path: Path) -> None:
    entry = {**file_entry("a.bin", b"x", "https://example.com/a"), "size": 1 << 60}
    add_model(tmp_path / "zoo", "m", model_config([entry]))
    command = ["--source", "zoo", "-o", "out", "--all"]
    done = tool("downloader", *command, "--dry_run", cwd=tmp_path, check=1)
    assert "m\n  absent    m/a.bin, 1152921504606846976 bytes <- https" in done.stdout
    assert done.stderr.startswith(f"not enough space in {tmp_path}: {readable(1 << 60)} needed, ")
    assert done.stderr.count("\n") == 1
    refused = tool("downloader", *command, cwd=tmp_path, check=1).stderr
    assert refused.partition(" needed")[0] == done.stderr.partition(" needed")[0]


def test_nothing_is_created(
    faulty: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELZOO_REPORT", "report.json")  # a default for runs is in nobody's way
    add_model(tmp_path / "zoo", "m", model_config([file_entry("a.bin", b"x", f"{faulty.url}/a")]))
    before = tree(tmp_path)
    found = dry_run(tmp_path, "--all", "--cache_dir", "new/cache")
    assert [f["state"] for m in found["models"] for f in m["files"]] == ["absent"]
    assert tree(tmp_path) == before
    assert faulty.requests == []


def test_other_precisions_are_left_out(tmp_path: Path) -> None:
    files = [
        file_entry(f"{precision}/m.{end}", b"x", "https://example.com/m")
        for precision in ("FP16", "FP32")
        for end in ("xml", "bin")
    ]
    config = model_config(files, framework="dldt", model_optimizer_args=None)
    add_model(tmp_path / "zoo", "m", config)
    found = dry_run(tmp_path, "--all", "--precisions", "FP32")
    assert [f["name"] for f in found["models"][0]["files"]] == ["FP32/m.xml", "FP32/m.bin"]
    assert found["models"][0]["files"][0]["sources"] == ["https://example.com/m"]


def test_sizes_that_nobody_knows(folder: Path) -> None:
    models = modelzoo.find(["absent", "installed", "present"], sources=[folder / "zoo"])
    unknown = [
        msgspec.structs.replace(
            m, files=tuple(msgspec.structs.replace(f, size=None, checksum=None) for f in m.files)
        )
        for m in models
    ]
    out = folder / "elsewhere"
    found = examine(make_plans(unknown, out, EVERY_VARIANT, None), Cache(folder / "cache"))
    assert (found.missing, found.unknown_sizes, found.size) == (0, 3, 0)
    assert as_text(found).endswith(
        "0 bytes (0 B) would be fetched; the sizes of 3 files are unknown.\n"
    )
    assert json.loads(document(found))["models"][0]["files"][0]["missing"] is None
