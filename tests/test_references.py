"""What texts refer to: every form of reference, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.errors import UsageError
from modelzoo.files.paths import ARCHIVES
from modelzoo.references import (
    ArchiveReference,
    GitHubReference,
    LocalReference,
    parse_reference,
)


def nothing(path: str) -> bool:
    return False


GITHUB = {
    "https://github.com/voxel51/openai-clip": ("voxel51", "openai-clip", None),
    "https://github.com/voxel51/openai-clip/": ("voxel51", "openai-clip", None),
    "https://github.com/voxel51/openai-clip.git": ("voxel51", "openai-clip", None),
    "http://www.github.com/a/b?tab=readme#usage": ("a", "b", None),
    "https://github.com/a/my.repo": ("a", "my.repo", None),
    "https://github.com/a/b/tree/main": ("a", "b", "main"),
    "https://github.com/a/my.repo/tree/feat/x": ("a", "my.repo", "feat/x"),
    "https://github.com/a/b/tree/v1.0%2Brc": ("a", "b", "v1.0+rc"),
    "https://github.com/a/b/commit/0123abc": ("a", "b", "0123abc"),
    "a/b": ("a", "b", None),
    "a/b.git": ("a", "b", None),
    "a/my.repo/feat/x": ("a", "my.repo", "feat/x"),
    " a/b/main ": ("a", "b", "main"),
}


@pytest.mark.parametrize("text", GITHUB)
def test_github(text: str) -> None:
    assert parse_reference(text, nothing) == GitHubReference(*GITHUB[text])


def test_github_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    branch, commit = GitHubReference("a", "b", "feat/x"), GitHubReference("a", "b", "0" * 40)
    assert branch.url == "https://github.com/a/b/tree/feat/x"
    assert commit.url == f"https://github.com/a/b/commit/{'0' * 40}"
    assert branch.archive_url == "https://api.github.com/repos/a/b/zipball/feat/x"
    assert GitHubReference("a", "b").archive_url == "https://api.github.com/repos/a/b/zipball"
    assert GitHubReference("A", "b", "Main").key == GitHubReference("a", "B", "Main").key
    assert GitHubReference("a", "b", "Main").key != GitHubReference("a", "b", "main").key
    monkeypatch.setenv("MODELZOO_GITHUB_API_URL", "https://git.example.com/api/v3/")
    assert branch.archive_url == "https://git.example.com/api/v3/repos/a/b/zipball/feat/x"
    own = parse_reference("https://git.example.com/a/b/tree/x", nothing)
    assert own == GitHubReference("a", "b", "x", "https://git.example.com")
    assert parse_reference(own.url, nothing) == own
    archive = "https://git.example.com/files/b.zip"
    assert parse_reference(archive, nothing) == ArchiveReference(archive)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.com/models.zip", "models"),
        ("http://example.com/a/b/my.models.tar.gz?token=x&y=z.zip", "my.models"),
        ("https://example.com/x.TGZ", "x"),
        ("https://github.example.com/a/b.tar.bz2", "b"),
        ("https://example.com/github.com/a/b.tar.xz", "b"),
        ("https://example.com/github.zip", "github"),
        ("https://notgithub.com/a/b.tar", "b"),
        ("https://github.com/a/b/archive/refs/heads/main.zip", "main"),
        ("https://github.com/a/b/releases/download/v1/models.zip", "models"),
    ],
)
def test_archives(url: str, name: str) -> None:
    reference = parse_reference(url, nothing)
    assert reference == ArchiveReference(url)
    assert reference.default_name == name


def test_a_secret_is_no_part_of_what_is_compared() -> None:
    one, other = (parse_reference(f"https://h.org/x.zip?token={t}", nothing) for t in "ab")
    assert one.key == other.key
    assert "token=a" not in one.key


def test_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "user" / "repo").mkdir(parents=True)
    (tmp_path / "x y.tar.gz").touch()
    here = str(tmp_path.resolve())
    for text in ("user/repo", "./user/repo", f"{here}/user/repo", f"file://{here}/user/repo"):
        assert parse_reference(text) == LocalReference(f"{here}/user/repo")
    archive = parse_reference("x y.tar.gz")
    assert archive.default_name == "x y"
    assert archive.url == f"file://{here}/x%20y.tar.gz"
    assert parse_reference(archive.url) == archive
    assert parse_reference("./missing") == LocalReference(f"{here}/missing")
    assert parse_reference("user/other") == GitHubReference("user", "other")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "name",
        "a/",
        "a//b",
        "a/..",
        "a/.",
        "a b/c",
        "-a/b",
        "a/b/../c",
        "a/b/-x",
        "a/b/x.lock",
        "a/b/x~1",
        "a/b/.hidden",
        "a/b/\u202ex",
        "git@github.com:a/b",
        "ssh://git@github.com/a/b",
        "ftp://example.com/x.zip",
        "https://github.com",
        "https://github.com/a",
        "https://github.com/a/b/issues/1",
        "https://github.com/a/b/blob/main/manifest.json",
        "https://github.com/a/b/tree/../x",
        "https://token@github.com/a/b",
        "https://example.com/",
        "https://example.com/a/b",
        "https://example.com/x.7z",
        "https:///x.zip",
        "https://[::1/x.zip",
        "file://host/x.zip",
        "C:/x",
        "./a\0b",
        "x\ny/z",
    ],
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_reference(text, nothing)
    assert "\n" not in str(caught.value)


def test_a_token_in_a_url_is_not_repeated() -> None:
    with pytest.raises(UsageError, match="GITHUB_TOKEN") as caught:
        parse_reference("https://ghp_secret@github.com/a/b")
    assert "ghp_secret" not in str(caught.value)


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,20}", fullmatch=True)
REFS = st.from_regex(
    r"[A-Za-z0-9][A-Za-z0-9_+#-]{0,10}(/[A-Za-z0-9][A-Za-z0-9_.-]{0,9}x){0,2}", fullmatch=True
)


@given(user=NAMES, repository=NAMES, ref=st.none() | REFS)
def test_what_is_printed_is_read_again(user: str, repository: str, ref: str | None) -> None:
    reference = GitHubReference(user, repository, ref)
    assert parse_reference(reference.url, nothing) == reference
    short = f"{user}/{repository}" + (f"/{ref}" if ref else "")
    assert parse_reference(short, nothing) == reference


@given(
    text=st.text()
    | st.sampled_from(["https://", "https://github.com/", "a/"]).flatmap(
        lambda start: st.text().map(start.__add__)
    )
)
def test_any_text_is_a_reference_or_a_usage_error(text: str) -> None:
    try:
        reference = parse_reference(text, nothing)
    except UsageError:
        return
    if isinstance(reference, GitHubReference):
        assert ".." not in reference.archive_url.split("/")
    elif isinstance(reference, ArchiveReference):
        assert reference.url.partition("?")[0].lower().endswith(tuple(ARCHIVES))
