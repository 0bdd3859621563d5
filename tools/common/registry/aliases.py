"""Aliases of models, changed: which model an alias means, and the list that each model has of its own.

Whoever changes any of them holds a claim on all of them for that moment.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from ..errors import Reason, TransferError
from .claims import Times, claimed
from .headers import dump_alias, dump_aliases, parse_alias, parse_aliases
from .identifiers import Uid
from .layout import alias_key, aliases_key
from .storage import Storage

WAIT = 30.0
"""Seconds to wait for somebody else who changes aliases; that takes a moment."""


@contextlib.contextmanager
def changing_aliases(
    storage: Storage,
    told: Callable[[str], None],
    times: Times = Times(),  # noqa: B008
) -> Iterator[None]:
    """While inside, nobody else changes aliases, where the storage can tell."""
    if not storage.exclusive:
        yield
        return
    with claimed(storage, "aliases", "the aliases", wait=WAIT, told=told, times=times):
        yield


def target_of(storage: Storage, alias: str) -> Uid | None:
    """The model that an alias means, None where there is no such alias."""
    data = _read(storage, alias_key(alias))
    return parse_alias(data, alias_key(alias)) if data is not None else None


def aliases_of(storage: Storage, uid: Uid) -> list[str]:
    """The list of a model's aliases."""
    data = _read(storage, aliases_key(uid))
    return parse_aliases(data, aliases_key(uid)) if data is not None else []


def point(storage: Storage, alias: str, uid: Uid) -> None:
    """Let an alias mean this model: its list first, then the alias, then the list of the loser."""
    before = target_of(storage, alias)
    storage.write(aliases_key(uid), dump_aliases({*aliases_of(storage, uid), alias}))
    storage.write(alias_key(alias), dump_alias(uid))
    if before is not None and before != uid:
        _strike(storage, alias, before)


def withdraw(storage: Storage, alias: str, uid: Uid) -> None:
    """Take back an alias that means this model; the order of `point`, reversed."""
    if target_of(storage, alias) == uid:
        storage.delete(alias_key(alias))
    _strike(storage, alias, uid)


def _strike(storage: Storage, alias: str, uid: Uid) -> None:
    """Take an alias off a model's list, if it is on it."""
    left = [name for name in aliases_of(storage, uid) if name != alias]
    if left:
        storage.write(aliases_key(uid), dump_aliases(left))
    elif storage.exists(aliases_key(uid)):
        storage.delete(aliases_key(uid))


def _read(storage: Storage, key: str) -> bytes | None:
    try:
        return storage.read(key)
    except TransferError as error:
        if error.reason != Reason.NOT_FOUND:
            raise
        return None
