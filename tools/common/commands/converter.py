"""converter: turns downloaded models into OpenVINO's IR."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..model import KNOWN_PRECISIONS
from ..openvino.converting import obstacle, reason_to_skip, show
from ..openvino.locate import MODEL_OPTIMIZER, Tool, find, probe
from ..openvino.output import Output
from ..openvino.steps import Conversion, Places, Subject, subject_of
from ..reporting.stream import warn
from . import conversions
from .conversions import Skip, ToolParser, place, skipping, wanted_precisions
from .options import chosen, print_names
from .session import OK

_EXTRA = "MODELZOO_ADD_MO_ARG"
_TOOLS_OF_ONNX = ("torch", "onnx")


def main(arguments: list[str], program: str) -> int:
    """Run the tool; returns the exit status."""
    options = _parser(program).parse(arguments)
    choice = chosen(options, warn)
    if options.print_all:
        print_names(choice.ids)
        return OK
    precisions = wanted_precisions(options.precisions, KNOWN_PRECISIONS)
    tool = find(MODEL_OPTIMIZER, options.python, options.mo)
    subjects = [subject_of(model) for model in choice.models()]
    if options.trust_remote_code:
        conversions.allow_code(subjects)
    tasks = _tasks(options, subjects, precisions, tool)
    if options.dry_run:
        shows = [_shown(options, task) for task in tasks]
        return conversions.finish([s.id for s in subjects], conversions.directly(shows))
    work = [_skip(options, task) or task for task in tasks]
    return conversions.finish([s.id for s in subjects], conversions.carry_out(work, options))


def _parser(program: str) -> ToolParser:
    parser = ToolParser(program, "Convert downloaded models to OpenVINO's IR.", MODEL_OPTIMIZER)
    conversions.add_options(parser, MODEL_OPTIMIZER, "conversions")
    parser.add_value(
        "-d",
        "--download_dir",
        type=place,
        metavar="DIR|URL",
        help="where the downloaded models are (default: the current folder)",
    )
    parser.add_value(
        "-o",
        "--output_dir",
        type=place,
        metavar="DIR|URL",
        help="where to put converted models (default: the download_dir)",
    )
    parser.add_argument(
        "--add_mo_arg",
        "--add-mo-arg",
        action="append",
        metavar="ARG",
        help="one more argument for Model Optimizer (--add_mo_arg=--silent); can be repeated "
        f"[env: {_EXTRA}, one a line]",
    )
    parser.add_argument("--dry-run", dest="dry_run", action="store_true", help="the same as --dry_run")
    parser.add_argument(
        "--trust_remote_code",
        action="store_true",
        help="allow the code of registered sources that models are converted with, as it is now",
    )
    return parser


def _extra_args(options: Any, environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    lines = environ.get(_EXTRA, "").splitlines()
    return tuple(options.add_mo_arg if options.add_mo_arg is not None else filter(None, lines))


def _tasks(
    options: Any, subjects: list[Subject], precisions: tuple[str, ...], tool: Tool
) -> list[Conversion]:
    download_dir = conversions.for_all(options, options.download_dir or os.getcwd())
    output_dir = conversions.for_all(options, options.output_dir or download_dir)
    frameworks = ""
    if not options.dry_run and any(s.conversion_to_onnx_args for s in subjects):
        _, versions = probe(options.python, (), _TOOLS_OF_ONNX)
        frameworks = " ".join(f"{name}-{version}" for name, version in versions.items())
    return [
        Conversion(
            subject=subject,
            places=Places(download_dir, output_dir),
            precisions=precisions,
            python=str(options.python),
            tool=tool,
            extra_args=_extra_args(options),
            force=options.force,
            frameworks=frameworks,
        )
        for subject in subjects
    ]


def _skip(options: Any, task: Conversion) -> Skip | None:
    """Why there is nothing to do, or nothing that could be done; None when there is."""
    if why := reason_to_skip(task):
        return skipping(task, why)
    if why := obstacle(task, options.dry_run):
        return skipping(task, why, is_fine=not conversions.is_asked_for(options, task.subject))
    return None


def _shown(options: Any, task: Conversion) -> Skip:
    def say(output: Output) -> bool:
        show(task, output)
        return True

    return _skip(options, task) or say
