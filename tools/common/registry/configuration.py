"""Which repositories there are: what the user has written down, and what the environment says.

The file is `repositories.yml` in the user's folder for settings of these tools:

    repositories:
      - /mnt/models
      - name: team
        url: https://models.example.org/zoo
        token_variable: ZOO_TOKEN
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import msgspec

from ..errors import CatalogError, TransferError, UsageError
from ..files.documents import read_yaml
from ..web.credentials import Credential, bearer, give, host_of, mask

VARIABLE = "MODELZOO_REPOSITORY"
"""Names repositories, one a line, instead of the file; a configured name will do."""

TOKEN_VARIABLE = "MODELZOO_REPOSITORY_TOKEN"  # noqa: S105 - its name
"""Tokens for web servers, one a line: `models.example.org=TOKEN`, the host with a port if need be."""

FILE_VARIABLE = "MODELZOO_REPOSITORIES_FILE"
"""Names another file."""

_HOST = re.compile(r"\s*([A-Za-z0-9.-]+(?::[0-9]{1,5})?)\s*=\s*(\S+)\s*")
_LOCAL = ("localhost", "127.0.0.1")


class Configured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A repository: its URL or folder, what people call it, and the variable that holds its token."""

    url: str
    name: str = ""
    token_variable: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    repositories: list[Configured | str] = []


def configuration_file() -> Path:
    """Where the user's repositories are written down."""
    if named := os.environ.get(FILE_VARIABLE):
        return Path(named).expanduser()
    import platformdirs

    return platformdirs.user_config_path("modelzoo", appauthor=False) / "repositories.yml"


def configured() -> list[Configured]:
    """The repositories of the file, in their order; CatalogError for one that makes no sense."""
    path = configuration_file()
    if not path.is_file():
        return []
    document: Any = read_yaml(path, str(path))
    try:
        known = msgspec.convert(document if document is not None else {}, _File)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at `")
        raise CatalogError(problem, file=str(path), key=where.strip("$`").lstrip(".")) from None
    return [Configured(entry) if isinstance(entry, str) else entry for entry in known.repositories]


def repositories() -> list[str]:
    """The URLs of all repositories, in the order in which they are searched."""
    if lines := [line.strip() for line in os.environ.get(VARIABLE, "").splitlines() if line.strip()]:
        return [resolve(line) for line in lines]
    return [entry.url for entry in configured()]


def resolve(text: str) -> str:
    """The URL of the repository that is configured under this name; else the text, a URL or path.

    From then on the servers of all repositories get their tokens, and nobody else does.
    """
    known = configured()
    _give_tokens(known)
    return next((entry.url for entry in known if entry.name and entry.name == text), text)


def _give_tokens(known: list[Configured]) -> None:
    for entry in known:
        if entry.token_variable and (token := os.environ.get(entry.token_variable, "").strip()):
            _give(entry.url, bearer(entry.token_variable, token, entry.url))
    for line in filter(None, map(str.strip, os.environ.get(TOKEN_VARIABLE, "").splitlines())):
        match = _HOST.fullmatch(line)
        if match is None:
            raise UsageError(f"{TOKEN_VARIABLE}: expected HOST=TOKEN in each line")
        scheme = "http" if match[1].partition(":")[0] in _LOCAL else "https"
        url = f"{scheme}://{match[1]}"
        _give(url, bearer(f"the token of {match[1]} in {TOKEN_VARIABLE}", match[2], url))


def _give(url: str, credential: Credential) -> None:
    try:
        host = host_of(url)
    except ValueError:
        raise UsageError(f"{mask(url)} is not the URL of a repository") from None
    if host.scheme == "http" and host.name not in _LOCAL:
        raise UsageError(f"{mask(url)}: a token is not sent without TLS; use https://")
    give(f"repository {host}", url, credential)


def require_one(text: str | os.PathLike[str] | None) -> str:
    """The one repository that something is written to: what is named, else the first that is known."""
    if text is not None:
        return resolve(os.fspath(text))
    try:
        known = repositories()
    except TransferError as error:
        raise UsageError(str(error)) from None
    if not known:
        raise UsageError(
            f"no repository: name one (--repository), in {VARIABLE} or in {configuration_file()}"
        )
    return known[0]
