"""What one transfer learns and the others respect: held hosts, refused credentials, waits."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.clock import Clock
from modelzoo.errors import Reason, TransferError
from modelzoo.web.credentials import credential_for
from modelzoo.web.gates import MAX_WAIT, Gates, backoff


class FakeClock(Clock):
    """Stands still until a test moves it."""

    time = 1000.0

    def now(self) -> float:
        return self.time


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def gates(clock: FakeClock) -> Gates:
    return Gates(clock)


@pytest.mark.parametrize(
    ("url", "held"),
    [
        ("https://host/other", True),
        ("https://HOST:443/f?x#y", True),
        ("https://user:password@host/f", True),
        ("http://host:443/f", True),
        ("http://host/f", False),
        ("https://host:444/f", False),
        ("https://sub.host/f", False),
        ("https://host.example/f", False),
        ("file:///host", False),
        ("gdrive://host", False),
        ("https://[host/f", False),
    ],
)
def test_who_is_held(gates: Gates, url: str, held: bool) -> None:
    gates.hold("https://host/f", 10)
    assert gates.wait(url) == (10 if held else 0)


def test_all_of_google_drive_is_one_host(gates: Gates) -> None:
    gates.hold("gdrive://one", 10)
    assert gates.wait("gdrive://two") == 10
    assert gates.wait("https://one/f") == 0


def test_a_hold_ends(gates: Gates, clock: FakeClock) -> None:
    gates.hold("http://h/", 10)
    clock.time += 4
    assert gates.wait("http://h/") == 6
    clock.time += 6
    assert gates.wait("http://h/") == 0
    clock.time += 100
    assert gates.wait("http://h/") == 0


def test_a_shorter_hold_does_not_open_early(gates: Gates, clock: FakeClock) -> None:
    gates.hold("http://h/", 10)
    gates.hold("http://h/", 3)
    assert gates.wait("http://h/") == 10
    clock.time += 5
    gates.hold("http://h/", 20)
    assert gates.wait("http://h/") == 20


def test_a_refused_credential_is_not_sent_again(gates: Gates) -> None:
    refused = credential_for("https://me:S3CRET@host/f")
    assert refused
    gates.check("https://me:S3CRET@host/f")
    gates.refuse(refused.key)
    with pytest.raises(TransferError, match="was refused for another file") as caught:
        gates.check("https://me:S3CRET@host/other")
    error = caught.value
    assert (error.reason, error.transient) == (Reason.ACCESS_DENIED, False)
    assert (error.url, error.credential) == ("https://host/other", None)
    assert "S3CRET" not in str(error)


@pytest.mark.parametrize(
    "url",
    [
        "https://host/f",
        "https://you:S3CRET@host/f",
        "https://me:another@host/f",
        "https://me:S3CRET@other/f",
        "https://[host/f",
        "file:///f",
    ],
)
def test_others_may_go_on(gates: Gates, url: str) -> None:
    refused = credential_for("https://me:S3CRET@host/f")
    assert refused
    gates.refuse(refused.key)
    gates.check(url)


def test_a_token_is_refused_for_all_its_hosts(gates: Gates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "one")
    refused = credential_for("https://api.github.com/f")
    assert refused
    gates.refuse(refused.key)
    with pytest.raises(TransferError, match="GITHUB_TOKEN was refused"):
        gates.check("https://raw.githubusercontent.com/f")
    monkeypatch.setenv("GITHUB_TOKEN", "renewed")
    gates.check("https://raw.githubusercontent.com/f")


def test_many_threads_hold_and_look(gates: Gates) -> None:
    def work(number: int) -> None:
        for step in range(200):
            gates.hold(f"http://h{step % 5}/", number + step)
            gates.refuse(f"{number}-{step}")
            assert gates.wait(f"http://h{step % 5}/") >= number + step
            gates.check("http://a:b@h/")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [gates.wait(f"http://h{n}/") for n in range(5)] == [198, 199, 200, 201, 202]


@pytest.mark.parametrize(
    ("attempt", "middle"), [(1, 2), (2, 4), (5, 32), (6, 60), (7, 60), (10**9, 60)]
)
def test_waits_double_up_to_a_minute(attempt: int, middle: float) -> None:
    waits = [backoff(attempt) for _ in range(200)]
    assert middle * 0.8 <= min(waits) < middle * 0.88
    assert middle * 1.12 < max(waits) <= middle * 1.2


@given(st.integers(1, 10**6))
def test_no_attempt_waits_too_long(attempt: int) -> None:
    assert 0 < backoff(attempt) <= MAX_WAIT * 1.2
