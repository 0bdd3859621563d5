"""Topaz models from a server like Topaz's: the cookie, and where files and receipts go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import modelzoo
import pytest

from tests.conftest import tool
from tests.servers.faulty import FaultyServer, redirect, serve
from tests.topaz import COOKIE, ONE, ONNX, ONNX16, Cdn, settle
from tests.zoo import add_model, content, file_entry, model_config, tree


@pytest.fixture
def cdn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cdn]:
    """The server; the user is settled."""
    with Cdn() as server:
        settle(tmp_path, server, monkeypatch)
        yield server
        assert server.errors == []


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The application's folder."""
    return tmp_path / "data"


def test_files_land_flat_in_the_applications_folder(cdn: Cdn, data: Path, tmp_path: Path) -> None:
    expected = cdn.publish_all(*ONNX)
    done = tool("downloader", "--name", "prob-3", cwd=tmp_path)
    assert tree(data) == expected
    assert sorted(cdn.asked()) == ONNX
    (receipt,) = (tmp_path / "user").rglob("prob-3.json")
    assert receipt.parent.name == "topaz"
    again = tool("downloader", "--source", "topaz", "--name", "prob-*", cwd=tmp_path)
    assert len(cdn.asked()) == len(ONNX)
    assert again.stdout.count("Present") == len(ONNX)
    for place in (done.stdout, done.stderr, *(p.read_text() for p in (tmp_path / "user").rglob("*.*"))):
        assert COOKIE not in place


def test_only_missing_files_are_fetched(cdn: Cdn, data: Path) -> None:
    cdn.publish_all(*ONNX)
    data.mkdir()
    (data / ONNX[0]).write_bytes(b"what the application brought itself")
    (data / ONNX[1]).write_bytes(b"")
    tool("downloader", "--name", "prob-3", "-j4")
    assert sorted(cdn.asked()) == ONNX[2:]
    assert (data / ONNX[0]).read_bytes() == b"what the application brought itself"


def test_a_mirror_has_the_same_files(cdn: Cdn, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its URL is, and also where a file has to be looked at."""
    expected = cdn.publish_all(*ONNX)
    tool("downloader", "--name", "prob-3")
    with Cdn() as mirror:
        mirror.publish(ONNX[1])
        monkeypatch.setenv("MODELZOO_TOPAZ_URL", f"{mirror.url}/")
        (data / ONNX[0]).touch()
        (data / ONNX[1]).unlink()
        tool("downloader", "--name", "prob-3")
        assert mirror.asked() == [ONNX[1]]
    assert tree(data) == expected
    assert len(cdn.asked()) == len(ONNX)


def test_another_place_and_another_backend(cdn: Cdn, tmp_path: Path) -> None:
    expected = cdn.publish(ONNX16)
    out = tmp_path / "out"
    tool("downloader", "--name", "prob-3", "-o", out, environ={"TVAI_BACKEND": "onnx16"})
    assert (out / ONNX16).read_bytes() == expected
    assert sorted(path.name for path in out.iterdir()) == [".modelzoo", ONNX16]
    tool("downloader", "--name", "prob-3", "-o", out, "--backend", "tensorrt-off")
    assert cdn.asked() == [ONNX16]
    engine = "prob-v3-fgnet-fp16-576x672-1x-rt8517-806.tz"
    cdn.publish(engine)
    tool("downloader", "--name", "prob-3", "-o", out, "--backend=tensorrt", "--gpu=RTX30")
    assert cdn.asked() == [ONNX16, engine]


def test_without_a_folder_of_the_application(
    cdn: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TVAI_MODEL_DATA_DIR")
    cdn.publish(ONE)
    (tmp_path / "here").mkdir()
    tool("downloader", "--name", "amq-13", cwd=tmp_path / "here")
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == [".modelzoo", ONE]


def test_the_applications_own_variable_beats_the_general_one(
    cdn: Cdn, data: Path, tmp_path: Path
) -> None:
    cdn.publish(ONE)
    environ = {"MODELZOO_OUTPUT_DIR": str(tmp_path / "general")}
    names = ["--source", "topaz", "--source", "demo", "--name", "amq-13,prob-wine-mlp"]
    tool("downloader", *names, environ=environ, cwd=tmp_path)
    assert list(tree(data)) == [ONE]
    assert (tmp_path / "general" / "demo" / "prob-wine-mlp" / "labels.txt").is_file()
    tool("downloader", *names, "-o", tmp_path / "told", environ=environ)
    assert (tmp_path / "told" / ONE).is_file()


@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.parametrize(
    ("cookie", "said"), [("STALE-S3CRET", "was sent and refused"), ("", "was not given")]
)
def test_a_wrong_cookie_ends_the_transfers_of_its_host(
    cdn: Cdn, data: Path, tmp_path: Path, cookie: str, said: str, jobs: int
) -> None:
    cdn.publish_all(*ONNX)
    with FaultyServer(host="127.0.0.2") as other:
        entry = file_entry("a.bin", content("a", 10), f"{other.url}/a")
        other.add("/a", serve(content("a", 10)))
        add_model(tmp_path / "zoo", "other", model_config([entry]))
        sources = ["--source", "topaz", "--source", tmp_path / "zoo", "--name", "prob-3,other"]
        done = tool(
            "downloader", *sources, f"-j{jobs}", cwd=tmp_path, environ={"TVAI_COOKIE": cookie}, check=1
        )
        assert "cookie" not in other.requests[0].headers
    assert len(cdn.requests) <= jobs
    assert {request.headers.get("cookie", "") for request in cdn.requests} == {
        f"cf_clearance={cookie}" if cookie else ""
    }
    assert (tmp_path / "other" / "a.bin").is_file()
    assert "FAILED:\nprob-3\n" in done.stdout
    lines = done.stderr.splitlines()
    answered = [line for line in lines if "the server answered 403 Forbidden; " in line]
    assert answered[0] == lines[0] or jobs > 1  # others that were not asked may be told sooner then
    assert f"the cookie cf_clearance (TVAI_COOKIE) {said}; " in answered[0]
    assert "developer tools" in answered[0]
    assert "S3CRET" not in done.stdout + done.stderr
    assert done.stderr.count("prob-3: ") == len(ONNX)
    assert "trying again" not in done.stderr
    assert tree(data) == {}


def test_the_cookie_does_not_follow_a_redirect(cdn: Cdn, data: Path) -> None:
    with FaultyServer(host="127.0.0.2") as other:
        other.add("/elsewhere", serve(content("x", 50)))
        cdn.add(f"/{ONE}", cdn.guarded(redirect("/moved")))
        cdn.add("/moved", cdn.guarded(redirect(f"{other.url}/elsewhere")))
        tool("downloader", "--name", "amq-13")
        assert [request.headers.get("cookie") for request in cdn.requests] == [
            f"cf_clearance={COOKIE}"
        ] * 2
        assert "cookie" not in other.requests[0].headers
    assert (data / ONE).read_bytes() == content("x", 50)


def test_python(cdn: Cdn, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cdn.publish(ONNX16)
    monkeypatch.delenv("TVAI_COOKIE")
    assert modelzoo.list_models(sources="topaz") == ["amq-13", "prob-3"]
    assert modelzoo.list_models(sources="topaz", backend="onnx16") == ["prob-3"]
    assert "prob-3" in modelzoo.list_models(backend="tensorrt", gpu="RTX20")
    assert [m["name"] for m in modelzoo.info("*-13", sources="topaz", backend="coreml")] == ["amq-13"]
    models = modelzoo.find("prob-3", sources="topaz", backend="onnx16")
    with pytest.raises(modelzoo.DownloadFailed, match="cf_clearance"):
        modelzoo.download(models)
    assert modelzoo.download(models, cookie=COOKIE).models[0].output_dir == str(data)
    assert list(tree(data)) == [ONNX16]
    modelzoo.download("prob-3", tmp_path / "b", sources="topaz", backend="onnx16", cookie=COOKIE)
    assert (tmp_path / "b" / ONNX16).is_file()
    with pytest.raises(modelzoo.UsageError, match="cookie") as caught:
        modelzoo.download("prob-3", cookie="S3CRET\r\nX: y")
    assert "S3CRET" not in str(caught.value)
    with pytest.raises(modelzoo.SelectionError, match=r"No files for the backend onnx16: amq-13\."):
        modelzoo.find("amq-13", sources="topaz", backend="onnx16")
