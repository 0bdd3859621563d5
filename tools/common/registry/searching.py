"""Several repositories, searched in their order, and what people call a model there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ..errors import UnknownModelError
from ..versions import release_key
from .headers import Header
from .identifiers import Uid, is_alias, split_uid
from .repository import Repository, Warn

T = TypeVar("T")


class Repositories:
    """Where models are looked for; raises what their storages raise when they cannot be asked."""

    def __init__(self, repositories: Sequence[Repository]) -> None:
        self.all = tuple(repositories)

    def find(self, text: str) -> tuple[Repository, Uid]:
        """The repository and the id of a model: by id, short id (the latest version) or alias.

        Raises UnknownModelError.
        """
        model, version = split_uid(text) or ("", None)
        if not model:
            return self._aliased(text)
        if version is None:
            return self._latest(model, text)
        uid = Uid(model, version)
        return self._first(text, lambda repository: uid if repository.exists(uid) else None)

    def resolve_alias(self, alias: str) -> Uid:
        """The model that an alias means; raises UnknownModelError."""
        if not is_alias(alias):
            raise self._unknown(alias)
        return self._first(alias, lambda repository: repository.alias(alias))[1]

    def _aliased(self, alias: str) -> tuple[Repository, Uid]:
        if not is_alias(alias):
            raise self._unknown(alias)
        repository, uid = self._first(alias, lambda repository: repository.alias(alias))
        if repository.exists(uid):
            return repository, uid
        return self._first(alias, lambda other: uid if other.exists(uid) else None)

    def _latest(self, model: str, text: str) -> tuple[Repository, Uid]:
        found = [(r, version) for r in self.all for version in r.versions(model)]
        if not found:
            raise self._unknown(text)
        repository, version = max(found, key=lambda pair: release_key(pair[1]))
        return repository, Uid(model, version)

    def versions(self, text: str) -> list[str]:
        """The versions of a model in all repositories, the latest last; none of an unknown one."""
        model, _ = split_uid(text) or ("", None)
        if not model:
            try:
                model = self._aliased(text)[1].short_id
            except UnknownModelError:
                return []
        return sorted({v for r in self.all for v in r.versions(model)}, key=release_key)

    def headers(self, warn: Warn) -> dict[Uid, Header]:
        """The headers of all models; of one that is in several, that of the first."""
        headers: dict[Uid, Header] = {}
        for repository in self.all:
            headers = {**repository.headers(warn), **headers}
        return headers

    def _first(self, text: str, ask: Callable[[Repository], T | None]) -> tuple[Repository, T]:
        """The first repository with an answer; raises UnknownModelError where none has one."""
        for repository in self.all:
            if (found := ask(repository)) is not None:
                return repository, found
        raise self._unknown(text)

    def _unknown(self, text: str) -> UnknownModelError:
        where = ", ".join(repository.url for repository in self.all) or "there is no repository"
        return UnknownModelError(f"A model with ID {text[:100]!r} does not exist ({where}).")
