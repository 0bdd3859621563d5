"""Loading published models: once per machine, verified, and without the repository afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import modelzoo
import pytest
from modelzoo.errors import ModelZooError, Reason, TransferError, UnknownModelError
from modelzoo.events import Event, ModelFileDownloadEnd, ModelPostprocessingBegin, Notice
from modelzoo.loading import load
from modelzoo.registry.headers import parse_header
from modelzoo.registry.identifiers import Uid, split_uid
from modelzoo.registry.layout import archive_key, digest_key, header_key
from modelzoo.registry.storage import connect
from modelzoo.registry.storage.folder import FolderStorage

from tests.registry import FILES, LSTM, MLP, folder_of, plant, publish
from tests.zoo import tree


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "repository"


@pytest.fixture
def uid(repository: Path, tmp_path: Path) -> str:
    """A published model."""
    return publish(repository, folder_of(tmp_path / "mlp"), MLP, alias="production")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where models are kept."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("AUDMODEL_CACHE_ROOT", str(folder))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_model_comes_to_where_audmodel_keeps_it(uid: str, repository: Path, root: Path) -> None:
    folder = load(uid, repository=repository)
    short, version = uid.split("-")
    assert folder == root / short / version
    assert contents(folder) == FILES
    kept = parse_header((root / short / f"{version}.header.yaml").read_bytes(), "h")
    assert kept.parameters == MLP
    assert not (root / ".modelzoo" / "loading").exists()


def test_what_is_there_needs_no_repository(uid: str, repository: Path, root: Path) -> None:
    folder = load(uid, repository=repository)
    load("production", repository=repository)
    shutil.rmtree(repository)
    before = tree(root)
    assert load(uid, repository=repository) == folder
    for name in (uid, uid[:8], "production"):
        assert load(name, repository=repository, offline=True) == folder
    assert tree(root) == before


class Unreachable(FolderStorage):
    """A repository that nobody answers for."""

    def exists(self, key: str) -> bool:
        raise TransferError(Reason.NETWORK, "no route", url=key, transient=True)

    def list(self, prefix: str = "") -> object:  # type: ignore[override]
        raise TransferError(Reason.NETWORK, "no route", url=prefix, transient=True)

    def read(self, key: str, limit: int = 0) -> bytes:
        raise TransferError(Reason.NETWORK, "no route", url=key, transient=True)


def test_a_repository_that_does_not_answer(uid: str, repository: Path, root: Path) -> None:
    gone = Unreachable(repository)
    for name in (uid, uid[:8], "production"):
        with pytest.raises(TransferError, match="no route"):
            load(name, repository=gone)
    folder = load("production", repository=repository)
    events: list[Event] = []
    for name in (uid[:8], "production"):
        assert load(name, repository=gone, report=events.append) == folder
    notices = [event.message for event in events if isinstance(event, Notice)]
    assert len(notices) == 2
    assert all("no route" in message and str(folder) in message for message in notices)


def test_the_latest_version_is_asked_for_every_time(
    uid: str, repository: Path, root: Path, tmp_path: Path
) -> None:
    load(uid[:8], repository=repository)
    newer = publish(repository, tmp_path / "mlp", MLP, "1.10.0")
    publish(repository, tmp_path / "mlp", MLP, "1.9.0")
    publish(repository, tmp_path / "mlp", MLP, "1.10.0-rc1")
    assert load(uid[:8], repository=repository) == root / uid[:8] / "1.10.0"
    assert newer == f"{uid[:8]}-1.10.0"
    assert load(uid, repository=repository) == root / uid[:8] / "1.0.0"


def test_several_repositories_are_searched_in_order(
    uid: str, repository: Path, root: Path, tmp_path: Path
) -> None:
    first = tmp_path / "first"
    other = publish(first, folder_of(tmp_path / "lstm", {"a": b"a"}), LSTM)
    publish(first, tmp_path / "lstm", MLP)
    both = [str(first), str(repository)]
    assert contents(load(uid, repository=both)) == {"a": b"a"}
    assert contents(load(other, repository=both)) == {"a": b"a"}
    assert contents(load(uid, tmp_path / "another", repository=both[::-1])) == FILES
    with pytest.raises(UnknownModelError, match=r"'00000000-1\.0\.0' does not exist"):
        load("00000000-1.0.0", repository=both)


@pytest.mark.parametrize(
    "name", ["nobody", "00000000", "00000000-1.0.0", "../x", "", "a" * 500, "x\ny"]
)
@pytest.mark.parametrize("offline", [False, True])
def test_what_nobody_has(name: str, offline: bool, uid: str, repository: Path, root: Path) -> None:
    with pytest.raises(UnknownModelError) as caught:
        load(name, repository=repository, offline=offline)
    assert isinstance(caught.value, RuntimeError)  # what audmodel raises


def test_the_layout_of_the_first_releases_is_found(uid: str, repository: Path, root: Path) -> None:
    folder = load(uid, repository=repository)
    header = root / uid[:8] / "1.0.0.header.yaml"
    for below in ("", "com/audeering/models/"):
        old = root / f"{below}anger/autrainer/voxcnn/1.0.0/{uid}"
        old.parent.mkdir(parents=True)
        folder.rename(old)
        assert load(uid, repository=repository) == old
        text = header.read_bytes()
        header.unlink()
        assert load(uid, repository=[], offline=True) == old
        assert load(uid, repository=repository) == old
        header.write_bytes(text)
        old.rename(folder)


def archive_of(repository: Path, uid: str) -> Path:
    short, version = split_uid(uid) or ("", None)
    return repository / archive_key(Uid(short, version or ""), "voxcnn", "anger.autrainer")


def test_a_changed_archive_is_refused(uid: str, repository: Path, root: Path) -> None:
    archive = archive_of(repository, uid)
    other = plant(connect(repository), {"other": 1}, files={"evil": b"!"})
    evil = (repository / archive_key(other, "voxcnn", "anger.autrainer")).read_bytes()
    for data in (evil, archive.read_bytes()[:-1] + b"x", archive.read_bytes()[:-5]):
        archive.write_bytes(data)
        with pytest.raises(modelzoo.DownloadFailed) as caught:
            load(uid, repository=repository, num_attempts=1)
        assert caught.value.reason in (Reason.CHECKSUM_MISMATCH, Reason.SIZE_MISMATCH)
        assert not (root / uid[:8] / "1.0.0").exists()
        assert not list(root.rglob("evil"))


def test_files_that_were_not_published_are_refused(uid: str, repository: Path, root: Path) -> None:
    """Whoever can change the archive and its digest has to know every file's."""
    path = repository / digest_key(Uid(uid[:8], "1.0.0"))
    digests = json.loads(path.read_bytes())
    digests["files"]["network.txt"]["sha256"] = "0" * 64
    path.write_bytes(json.dumps(digests).encode())
    with pytest.raises(ModelZooError, match=r'"network\.txt" is not what was published') as caught:
        load(uid, repository=repository)
    assert caught.value.reason is Reason.CHECKSUM_MISMATCH
    assert not (root / uid[:8] / "1.0.0").exists()


def test_digests_that_are_none_are_told(uid: str, repository: Path, root: Path) -> None:
    (repository / digest_key(Uid(uid[:8], "1.0.0"))).write_text('{"archive": 1}')
    with pytest.raises(modelzoo.CatalogError, match="archive"):
        load(uid, repository=repository)


def test_a_model_that_audmodel_has_published(repository: Path, root: Path) -> None:
    uid = plant(connect(repository), LSTM)
    assert contents(load(str(uid), repository=repository)) == FILES


def test_hostile_archives_leave_nothing(repository: Path, root: Path) -> None:
    uid = plant(connect(repository), LSTM, files={"a": b"a", "../../out": b"!"})
    with pytest.raises(modelzoo.DownloadFailed) as caught:
        load(str(uid), repository=repository)
    assert caught.value.reason is Reason.UNSAFE_PATH
    assert not (root / str(uid).replace("-", "/")).exists()
    assert not list(root.parent.rglob("out"))


def test_a_header_with_code_is_refused(uid: str, repository: Path, root: Path) -> None:
    path = repository / header_key(Uid(uid[:8], "1.0.0"))
    path.write_text(path.read_text() + "x: !!python/object/apply:os.mkdir [/tmp/planted]\n")
    with pytest.raises(modelzoo.CatalogError, match="could run code"):
        load(uid, repository=repository)
    assert not Path("/tmp/planted").exists()


def test_it_has_a_receipt_for_the_inventory(uid: str, repository: Path, root: Path) -> None:
    folder = load(uid, repository=repository)
    (model,) = modelzoo.installed(output_dir=root)
    assert (model.model, model.state, model.verified) == (uid, "whole", True)
    assert {root / file.path for file in model.files} == {folder / name for name in FILES}
    (folder / "network.txt").write_bytes(b"layers: 4\n")
    assert not modelzoo.verify(output_dir=root).successful


def test_a_killed_load_is_resumed(uid: str, repository: Path, root: Path) -> None:
    """What a killed process left in the workspace is used, or thrown away."""
    work = root / ".modelzoo" / "loading" / uid / "model"
    folder_of(work, {"left.txt": b"?"})
    data = archive_of(repository, uid).read_bytes()
    (work / f"{uid}.zip.download").write_bytes(data[:50])
    assert contents(load(uid, repository=repository)).items() >= FILES.items()


def test_empty_folders_are_loaded_again(uid: str, repository: Path, root: Path) -> None:
    (root / uid[:8] / "1.0.0").mkdir(parents=True)
    assert contents(load(uid, repository=repository)) == FILES


PROCESS = """
import sys
from modelzoo.events import ModelPostprocessingBegin
from modelzoo.loading import load
uid, repository = sys.argv[1:]
events = []
print("ready", flush=True)
sys.stdin.readline()
folder = load(uid, repository=repository, report=events.append)
print(sum(isinstance(event, ModelPostprocessingBegin) for event in events), folder)
"""


def test_eight_processes_extract_once(uid: str, repository: Path, root: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, uid, str(repository)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    results = []
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        results.append(process.communicate(timeout=60)[0].split())
        assert process.returncode == 0
    folder = str(root / uid[:8] / "1.0.0")
    assert sorted(results) == [["0", folder]] * 7 + [["1", folder]]
    assert contents(Path(folder)) == FILES


def test_threads_extract_once_and_wait(uid: str, repository: Path, root: Path) -> None:
    extracted: list[Event] = []
    folders: list[Path] = []

    def one() -> None:
        def report(event: Event) -> None:
            if isinstance(event, ModelPostprocessingBegin):
                extracted.append(event)

        folders.append(load(uid, repository=repository, report=report))

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(extracted) == 1
    assert folders == [root / uid[:8] / "1.0.0"] * 6


def test_a_cache_of_files_is_used(uid: str, repository: Path, root: Path, tmp_path: Path) -> None:
    files = tmp_path / "files"
    load(uid, repository=repository, cache_dir=files)
    assert any(path.is_file() for path in files.rglob("*"))
    archive_of(repository, uid).unlink()
    events: list[Event] = []
    load(uid, tmp_path / "other", repository=repository, cache_dir=files, report=events.append)
    (end,) = (event for event in events if isinstance(event, ModelFileDownloadEnd))
    assert end.origin == "cache"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(uid: str, repository: Path, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(modelzoo.StorageError):
        load(uid, tmp_path / "closed", repository=repository)
