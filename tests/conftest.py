"""What all tests share: servers on loopback, catalogs made on the spot, and the tools as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from modelzoo.web.credentials import CA_VARIABLES

from tests.programs import Programs
from tests.servers.faulty import FaultyServer
from tests.servers.nginx import Nginx, nginx_binary

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / "tools"


def pytest_configure() -> None:
    """Let Ctrl-C reach what the tests start, where the tests themselves were told to ignore it.

    A shell does that to what runs in the background, and processes inherit it.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


_IN_CI = os.environ.get("CI") == "true"  # tests do not see it any more


def require(found: object, what: str, installer: str = "tests/system-packages.sh") -> None:
    """Skip where something is not installed; in CI everything has to be."""
    if not found:
        if _IN_CI:
            pytest.fail(f"{what} is missing; {installer} installs it")
        pytest.skip(f"{what} is not installed ({installer} installs it)")


@pytest.fixture(scope="session", autouse=True)
def no_cache_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What fixtures of whole modules read is not indexed where the user's own runs would find it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def plain_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No setting of this machine or its user reaches a test."""
    for name in list(os.environ):
        if name.startswith(("MODELZOO_", "TVAI_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in (*CA_VARIABLES, "GITHUB_TOKEN", "HF_TOKEN", "NETRC", "CI", "FIFTYONE_MODEL_ZOO_DIR"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / ".local" / "share"))


@pytest.fixture
def faulty() -> Iterator[FaultyServer]:
    """A server that breaks as told."""
    with FaultyServer() as server:
        yield server


@pytest.fixture
def programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Programs:
    """Stand-ins for Model Optimizer and POT."""
    folder = tmp_path / "programs"
    folder.mkdir()
    made = Programs(folder, capfd)
    monkeypatch.setenv("DIARY", str(made.diary))
    return made


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Nginx]:
    """nginx, serving `nginx.root`."""
    require(nginx_binary(), "nginx")
    root = tmp_path / "served"
    root.mkdir()
    with Nginx(root) as server:
        yield server


def tool(
    name: str,
    *arguments: str | Path,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    check: int | None = 0,
) -> subprocess.CompletedProcess[str]:
    """Run `tools/<name>.py` as a user would; `check` is the exit status to expect (None: any)."""
    done = subprocess.run(
        [sys.executable, str(TOOLS / f"{name}.py"), *map(str, arguments)],
        env={**os.environ, **(environ or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    if check is not None:
        assert done.returncode == check, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done
