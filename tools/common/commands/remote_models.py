"""What remote sources need of the tools: registration on the way, consent, packages, transfers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..catalog import NAMED, wanted_sources
from ..errors import ConsentRequired, UsageError
from ..events import Event, ModelFileRetry, Notice
from ..model import Model
from ..reporting.stream import warn
from ..requirements import LEVELS, ensure
from ..run.plan import ModelPlan
from ..run.setup import MAX_TIMEOUT, make_engine
from ..sources import Registered, as_repository, named, registered, zoo_dir
from ..transfer.engine import Engine
from .options import Parser, number
from .urls import only_urls


def add_code_options(parser: Parser) -> None:
    """The options about what models of remote sources need beside their files."""
    parser.add_argument(
        "--trust_remote_code",
        action="store_true",
        help="allow the code of the sources that only that can bring models of, as it is now",
    )
    parser.add_value(
        "--requirements",
        choices=LEVELS,
        default=LEVELS[0],
        help="what to do when Python packages that models need are missing",
    )


def add_transfer_options(parser: Parser, attempts: int = 3, timeout: float = 60.0) -> None:
    """The options of whatever asks servers beside the downloader, and their defaults."""
    parser.add_value(
        "--num_attempts",
        type=number(int, 1, 10**6, "a whole number from 1 to 1000000"),
        default=attempts,
        metavar="N",
        help=f"attempts for each file (default: {attempts})",
    )
    parser.add_value(
        "--timeout",
        type=number(float, 0.001, MAX_TIMEOUT, f"seconds, above 0 and up to {MAX_TIMEOUT}"),
        default=timeout,
        metavar="SECONDS",
        help="give up on a connection that is silent or stalled for so long",
    )


def engine_for(options: Any) -> Engine:
    """The engine that fetches sources; what delays it is a line on standard error."""
    return make_engine(report=_report, timeout=options.timeout, attempts=options.num_attempts)


def _report(event: Event) -> None:
    if isinstance(event, Notice):
        warn(event.message)
    elif isinstance(event, ModelFileRetry):
        warn(f"{event.model}: {event.message}; trying again in {event.wait:.0f} s")


def prepare(plans: Sequence[ModelPlan], options: Any) -> None:
    """Look at what models need, and record consent; raises MissingRequirements."""
    models = [plan.model for plan in plans if not plan.finished]
    ensure(models, options.requirements, warn)
    if options.trust_remote_code:
        from ..trust import allow_code, needs_code

        allow_code(filter(needs_code, models))


def code_obstacles(plans: Sequence[ModelPlan], options: Any) -> list[str]:
    """Why models that only code can bring would fail: it is not allowed to run, or may not ask."""
    from ..trust import needs_code

    needy = [plan.model for plan in plans if not plan.finished and needs_code(plan.model)]
    if options.offline:
        return [
            f"{model.id} cannot be had with --offline: its source's code brings it" for model in needy
        ]
    return [] if options.trust_remote_code else list(_not_allowed(needy))


def _not_allowed(models: Sequence[Model]) -> Iterator[str]:
    from ..source_code.consent import require

    for folder, source in dict.fromkeys((model.config_dir, model.source) for model in models):
        try:
            require(Path(folder), source)
        except ConsentRequired as error:
            yield str(error)


def register_unknown(options: Any) -> None:
    """Register the references among the sources that are asked for, as FiftyOne does on the way."""
    if options.dry_run or options.offline or only_urls(options):
        return
    zoo = zoo_dir()
    for text in wanted_sources(options.source or ()):
        known = text in NAMED or os.path.isdir(text) or named(registered(zoo), text)
        if not (known or as_repository(text)) and _is_reference(text):
            _register(text, options)


def _register(text: str, options: Any) -> None:
    from ..remote.installing import register

    change = register(text, zoo_dir(), engine_for(options), refresh=False, replace=False)
    for source in change.sources:
        warn(f"registered {in_words(source)}")


def in_words(source: Registered) -> str:
    """A source, where it is from, and which state of that it is."""
    return f"{source.name} from {source.reference or 'elsewhere'}" + (
        f" ({source.revision})" if source.revision else ""
    )


def _is_reference(text: str) -> bool:
    """Whether a text is to be fetched; one that looks like a misspelled path is not."""
    from ..files.paths import archive_format
    from ..references import GitHubReference, LocalReference, parse_reference

    try:
        reference = parse_reference(text)
    except UsageError:
        return False
    if isinstance(reference, LocalReference):
        return os.path.isfile(reference.path) and archive_format(reference.path) is not None
    is_short = isinstance(reference, GitHubReference) and "://" not in text
    return not (is_short and os.path.isdir(text.partition("/")[0]))
