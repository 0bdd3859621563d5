"""A small tree for the index, a clock for which it is old, and what a catalog answers about it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from modelzoo.catalog import Source, choose
from modelzoo.errors import ModelZooError
from modelzoo.model import Model
from modelzoo.selection import Filters
from modelzoo.user_folders import INDEX_VARIABLE

from tests.omz import config
from tests.zoo import add_model

ALL = Filters()
NAMES = ("a", "b", "c-1", "c-2", "d")
"""The models of the tree."""


class Later:
    """A clock for which whatever a test has just written is old, as it is in real life."""

    @staticmethod
    def time_ns() -> int:
        """Ten seconds from now."""
        return time.time_ns() + 10 * 10**9

    @staticmethod
    def time() -> float:
        """Now."""
        return time.time()


def plant(root: Path) -> Path:
    """Two models, one with a warning, a composite with two stages, and one behind a link."""
    add_model(root, "public/a", config(tags=["x"], version="1"))
    add_model(root, "public/b", config(task_type="mind_reading"))
    for stage in ("c-1", "c-2"):
        add_model(root, f"public/c/{stage}", config())
    (root / "public/c/composite-model.yml").write_text("stages_order: [c-2, c-1]\n")
    (root / "docs").mkdir()
    add_model(root, "public/d", config()).joinpath("model.yml").rename(root / "docs/d.txt")
    (root / "public/d/model.yml").symlink_to("../../docs/d.txt")
    return root


def folder() -> Path:
    """Where the indexes of this user lie."""
    return Path(os.environ["XDG_CACHE_HOME"], "modelzoo", "catalogs")


def only_file() -> Path:
    """The only index, and that nothing else lies there."""
    (path,) = folder().iterdir()
    return path


Outcome = tuple[list[Model], list[str]] | tuple[type[ModelZooError], str]


def ask(root: Path, filters: Filters = ALL) -> Outcome:
    """The models and the warnings, or the error."""
    told: list[str] = []
    try:
        choice = choose([Source("zoo", root)], filters, told.append)
        models = list(choice.models())
    except ModelZooError as error:
        return type(error), str(error)
    assert choice.ids == [model.id for model in models]
    return models, told


def ask_without(root: Path, filters: Filters = ALL) -> Outcome:
    """The same without an index."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(INDEX_VARIABLE, "off")
        return ask(root, filters)
