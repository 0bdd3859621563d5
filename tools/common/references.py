"""References to sources: a GitHub repository, an archive, or something on this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import msgspec

from .errors import UsageError
from .files.paths import ARCHIVES, LISTS, archive_format, archive_stem
from .web.credentials import github_api, host_of, mask

_USER = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]*")
_REPOSITORY = re.compile(r"[0-9A-Za-z._-]+")
_COMMIT = re.compile(r"[0-9a-f]{7,40}")
_NOT_IN_REFS = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)")


class GitHubReference(msgspec.Struct, frozen=True):
    """A repository, at its default branch or at a branch, tag or commit."""

    user: str
    repository: str
    ref: str | None = None
    server: str = "https://github.com"

    @property
    def url(self) -> str:
        """Where people look at it."""
        home = f"{self.server}/{self.user}/{self.repository}"
        if self.ref is None:
            return home
        kind = "commit" if _COMMIT.fullmatch(self.ref) else "tree"
        return f"{home}/{kind}/{quote(self.ref)}"

    @property
    def archive_url(self) -> str:
        """Where the API gives its files away."""
        home = f"{github_api()}/repos/{self.user}/{self.repository}/zipball"
        return home if self.ref is None else f"{home}/{quote(self.ref)}"

    @property
    def default_name(self) -> str:
        """What the source is called if it does not say."""
        return f"{self.user}/{self.repository}"

    @property
    def key(self) -> str:
        """Equal for references to the same thing; GitHub's names have no case."""
        return f"{self.server}/{self.user}/{self.repository}".lower() + f"@{self.ref or ''}"


class ArchiveReference(msgspec.Struct, frozen=True):
    """An archive at a URL."""

    url: str

    @property
    def default_name(self) -> str:
        """The archive's stem."""
        return archive_stem(unquote(urlsplit(self.url).path.rpartition("/")[2]))

    @property
    def key(self) -> str:
        """Equal for the same URL, whatever secrets it holds."""
        return mask(self.url)


class LocalReference(msgspec.Struct, frozen=True):
    """A folder, an archive or a list of URLs on this machine, by its absolute path."""

    path: str

    @property
    def url(self) -> str:
        """Its URL."""
        return Path(self.path).as_uri()

    @property
    def default_name(self) -> str:
        """The folder's name, or the stem of the archive or the list."""
        name = archive_stem(os.path.basename(self.path))
        stem, ending = os.path.splitext(name)
        return stem if ending in LISTS else name

    @property
    def key(self) -> str:
        """The path."""
        return self.path


Reference = GitHubReference | ArchiveReference | LocalReference


def parse_reference(text: str, is_there: Callable[[str], bool] = os.path.exists) -> Reference:
    """What a text refers to; raises UsageError. A path that `is_there` beats GitHub's short form."""
    text = text.strip()
    if not text.isprintable():
        raise UsageError(_refusal(repr(text)))
    if "://" in text:
        return _parse_url(text)
    path = os.path.expanduser(text)
    if text and (is_there(path) or text[0] in "./~\\" or os.path.isabs(path)):
        return LocalReference(os.path.realpath(path))
    user, _, rest = text.partition("/")
    repository, _, ref = rest.partition("/")
    if ":" in text or not repository:
        raise UsageError(_refusal(text))
    return _github(text, user, repository, ref or None)


def _refusal(text: str) -> str:
    return (
        f'"{mask(text)}" is no reference to a source: expected https://github.com/<user>/<repo>, '
        "with /tree/<branch> or /commit/<sha>, the short form <user>/<repo>[/<ref>], the URL of an "
        f"archive ({', '.join(ARCHIVES)}), or a folder, archive or list of URLs that exists"
    )


def _parse_url(text: str) -> Reference:
    try:
        parts, host = urlsplit(text), host_of(text)
    except ValueError:
        raise UsageError(_refusal(text)) from None
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        return LocalReference(os.path.realpath(unquote(parts.path)))
    if parts.scheme not in ("http", "https") or not host.name:
        raise UsageError(_refusal(text))
    is_archive = archive_format(parts.path) is not None
    public = host.name in ("github.com", "www.github.com")
    if public or (not is_archive and host.name == _enterprise()):
        words = [unquote(word) for word in parts.path.strip("/").split("/")]
        server = "https://github.com" if public else f"{parts.scheme}://{parts.netloc}"
        if found := _parse_path(text, words, server, "@" in parts.netloc):
            return found
    if not is_archive:
        raise UsageError(_refusal(text))
    return ArchiveReference(text.partition("#")[0])


def _parse_path(text: str, words: list[str], server: str, has_user: bool) -> GitHubReference | None:
    """The repository that the path of a URL names; None for its downloads."""
    if len(words) < 2 or (len(words) > 2 and words[2] not in ("tree", "commit")):
        return None
    if has_user:
        raise UsageError(f"{mask(text)}: a token is not put into the URL but into GITHUB_TOKEN")
    return _github(text, words[0], words[1], "/".join(words[3:]) or None, server)


def _enterprise() -> str:
    """The host of the web pages that belong to the API that is set."""
    return host_of(github_api()).name.removeprefix("api.")


def _github(
    text: str, user: str, repository: str, ref: str | None, server: str = "https://github.com"
) -> GitHubReference:
    repository = repository.removesuffix(".git")
    usable = _USER.fullmatch(user) and _REPOSITORY.fullmatch(repository) and repository.strip(".")
    odd_ref = ref is not None and (_NOT_IN_REFS.search(ref) or ref[0] in "-./" or ref[-1] in "./")
    if not usable or odd_ref or (ref is not None and not ref.isprintable()):
        raise UsageError(_refusal(text))
    return GitHubReference(user, repository, ref, server)
