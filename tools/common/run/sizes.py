"""What files weigh whose catalog does not say: their servers are asked, or it is estimated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ..cancel import Cancel
from ..clock import Clock
from ..concurrency import Fixed
from ..errors import Reason, TransferError
from ..files.claiming import partial_size
from ..pool import Pool, Task
from ..stores import Settings
from ..web.credentials import Host, credential_for, host_of
from .plan import FilePlan, ModelPlan, still_missing

if TYPE_CHECKING:
    from ..stores.http import HttpStore

AT_ONCE = 8
"""Questions to servers at a time."""


def measure(plans: Sequence[ModelPlan], timeout: float) -> tuple[Sequence[ModelPlan], list[str]]:
    """The plans with the sizes that servers tell (HEAD), and what makes it certain that a run fails.

    Only files that have to be fetched are asked for, and no host that wants a credential nobody gave.
    """
    urls = [url for plan in plans for file in plan.files for url in _questions(file)]
    if not urls:
        return plans, []
    from ..stores.http import HttpStore

    survey = _Survey(HttpStore(Settings(timeout=timeout)))
    Pool(Fixed(min(AT_ONCE, len(urls))), Clock(), Cancel()).run(map(survey.ask, urls))
    return [_measured(plan, survey.sizes) for plan in plans], survey.problems


def _questions(file: FilePlan) -> Iterator[str]:
    """Whom to ask for the size of a file, if anybody: its first origin."""
    if file.missing is not None or not file.file.origins:
        return
    url = file.file.origins[0].url
    try:
        credential = credential_for(url)
        if host_of(url).scheme in ("http", "https") and (credential is None or credential.header):
            yield url
    except (TransferError, ValueError):
        return  # the run will say what is wrong with it


class _Survey:
    """Asks for sizes; a host that refuses or fails is left alone from then on."""

    def __init__(self, store: HttpStore) -> None:
        self._store = store
        self._silent: dict[Host, str] = {}
        """Hosts that are left alone, and the URL that they refused first."""
        self.sizes: dict[str, int] = {}
        self.problems: list[str] = []

    def ask(self, url: str) -> Task:
        """Ask for the size of one file: a task that never waits."""
        if (host := host_of(url)) in self._silent:
            return
        try:
            if (size := self._store.size(url)) is not None:
                self.sizes[url] = size
        except TransferError as error:
            missing = error.reason == Reason.NOT_FOUND
            first = missing or self._silent.setdefault(host, url) == url  # others ask meanwhile
            if missing or (first and error.reason == Reason.ACCESS_DENIED):  # the rest may pass
                self.problems.append(str(error))
        yield from ()  # what makes it one


def _measured(plan: ModelPlan, sizes: Mapping[str, int]) -> ModelPlan:
    files = tuple(_with_size(file, sizes) for file in plan.files)
    return msgspec.structs.replace(plan, files=files)


def _with_size(file: FilePlan, sizes: Mapping[str, int]) -> FilePlan:
    size = next((sizes[url] for url in _questions(file) if url in sizes), None)
    if size is None:
        return file
    known = msgspec.structs.replace(file.file, size=size)
    missing = still_missing(size, partial_size(Path(file.destination)))
    return msgspec.structs.replace(file, file=known, missing=missing)


class Estimates:
    """Guesses at sizes: what files of the same variant weigh here, else what the catalog expects."""

    def __init__(self) -> None:
        self._known: dict[Path, dict[str, int]] = {}

    def size(self, plan: ModelPlan, file: FilePlan) -> int | None:
        """The size that this file may have; None where nobody has an idea."""
        if plan.root not in self._known:
            self._known[plan.root] = _averages(plan)
        wanted = file.file
        return self._known[plan.root].get(wanted.variant or "", wanted.estimate)


def _averages(plan: ModelPlan) -> dict[str, int]:
    """What files of each variant weigh on average, as the receipts of the output directory tell."""
    sizes: defaultdict[str, list[int]] = defaultdict(list)
    for receipt in plan.receipts.every():
        for came in receipt.inputs:
            if came.variant:
                sizes[came.variant].append(came.size)
    return {variant: sum(known) // len(known) for variant, known in sizes.items()}
