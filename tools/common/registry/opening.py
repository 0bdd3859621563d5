"""From what people name to repositories that can be read."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ..errors import TransferError
from ..stores import Settings
from .configuration import repositories, resolve
from .known import Known
from .patience import PatientStorage
from .repository import Repository
from .searching import Repositories
from .storage import Storage, connect

ATTEMPTS = 3
"""How often each document is asked for."""

Place = str | os.PathLike[str]
Places = Place | Storage | Repository | Iterable[Place | Storage | Repository] | None
"""A URL, a folder, a configured name, what is open already, several of them; None: all configured."""


def open_repositories(places: Places, settings: Settings | None = None) -> Repositories:
    """The repositories in the order in which they are searched; UsageError for what is none."""
    if places is None:
        places = list(repositories())
    if isinstance(places, str | os.PathLike | Repository) or not isinstance(places, Iterable):
        places = [places]
    return Repositories([open_repository(place, settings) for place in places])


def open_repository(
    place: Place | Storage | Repository, settings: Settings | None = None
) -> Repository:
    """One repository, whose headers are kept for later runs."""
    if isinstance(place, Repository):
        return place
    if isinstance(place, str | os.PathLike):
        place = PatientStorage(connect(resolve(os.fspath(place)), settings), ATTEMPTS, _ignore)
    return Repository(place, known=Known(place.url))


def _ignore(attempt: int, wait: float, error: TransferError) -> None:
    """Reading documents is over soon; who waits for more is told by the engine."""
