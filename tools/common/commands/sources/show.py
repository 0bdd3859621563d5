"""show: tells all about a registered source and its models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...description import describe
from ...model import Model
from ...remote.functions import is_downloaded, model_path, models_of
from ...reporting.json import document
from ...reporting.stream import printable, write_all, write_text
from ...source_code.consent import is_given
from ...sources import registered, require_named, zoo_dir
from ..options import Parser, add_format
from ..session import OK
from .list import facts


def add_options(parser: Parser) -> None:
    """The options of this command."""
    parser.add_argument("source", metavar="SOURCE", help="a name or reference")
    add_format(parser)


def run(options: Any) -> int:
    """Run the command; returns the exit status."""
    for source in require_named(registered(zoo_dir()), options.source):
        found = facts(source) | {"code_allowed": is_given(source.path(zoo_dir()).resolve())}
        models = [_facts(model) for model in models_of(source)]
        if options.format == "json":
            write_all(document(found | {"models": models}))
        else:
            write_text(_as_text(found, models))
    return OK


def _facts(model: Model) -> dict[str, Any]:
    """What a model's manifest says, unknown fields included, and what is here of it."""
    there = bool(model.home) and is_downloaded(model)
    path: Path | None = model_path(model) if there else None
    here = {"downloaded": there, "path": None if path is None else str(path)}
    return describe(model) | here | {"declared": model.model_info}


def _as_text(found: dict[str, Any], models: list[dict[str, Any]]) -> str:
    lines = [f"{key + ':':<14}{'-' if value is None else value}" for key, value in found.items()]
    lines.append("models:")
    for model in models:
        here = f" [{model['path'] or 'downloaded'}]" if model["downloaded"] else ""
        lines.append(f"  {model['name']}{here}")
        told = (model["license_url"], ", ".join(model["tags"]), model["description"])
        lines += [f"      {text}" for text in told if text]
    return "".join(f"{printable(line)}\n" for line in lines)
