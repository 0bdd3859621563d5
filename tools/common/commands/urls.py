"""The option for models that are no more than URLs."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from ..catalog import URL_SOURCE, Source
from ..errors import CatalogError, UsageError
from ..sources import active


def add_url(parser: argparse.ArgumentParser) -> None:
    """Add it to a tool that selects models."""
    parser.add_argument(
        "--url",
        action="append",
        default=[],
        metavar="NAME/FILE=URL",
        help="one more file of a model that is no more than URLs, if known with #sha256=DIGEST; "
        "can be repeated; without other selection these models are meant",
    )


def with_urls(options: Any) -> tuple[Source, ...]:
    """The sources that are named; where only URLs are given, those are all that is asked for."""
    if not options.url:
        return active(options.source or ())
    named = () if only_urls(options) else active(options.source or ())
    return (*named, _of_urls(options.url, {source.name for source in named}))


def only_urls(options: Any) -> bool:
    """Whether no source is asked for, since there are URLs and no other selection."""
    return bool(options.url) and not (options.all or options.name or options.list or options.print_all)


def _of_urls(urls: Sequence[str], taken: Container[str]) -> Source:
    """The source of the models that are given as URLs, under a name that no other has."""
    from ..catalog.urls import models_of, parse_entry
    from ..web.credentials import mask

    entries = []
    for text in urls:
        try:
            entries.append(parse_entry(text))
        except CatalogError as error:
            target, equals, url = text.partition("=")
            raise UsageError(f"--url {target}{equals}{mask(url)}: {error}") from None
    names = (f"{URL_SOURCE}-{number}" if number > 1 else URL_SOURCE for number in itertools.count(1))
    name = next(name for name in names if name not in taken)
    try:
        return Source(name, Path(), models=tuple(models_of(entries, name)))
    except CatalogError as error:
        raise UsageError(f"--url: {error}") from None
