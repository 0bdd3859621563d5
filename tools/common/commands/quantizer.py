"""quantizer: turns converted models into ones that calculate with 8-bit integers."""

from __future__ import annotations

import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import ModelZooError
from ..openvino.locate import POT, Tool, find
from ..openvino.output import Output
from ..openvino.quantizing import INPUTS, Quantization, reason_to_skip, show
from ..openvino.steps import Subject, subject_of
from ..openvino.work import explained
from ..reporting.stream import warn
from . import conversions
from .conversions import Skip, ToolParser, place, skipping, wanted_precisions
from .options import chosen, folder_path, print_names
from .session import OK


def main(arguments: list[str], program: str) -> int:
    """Run the tool; returns the exit status."""
    options = _parser(program).parse(arguments)
    choice = chosen(options, warn)
    if options.print_all:
        print_names(choice.ids)
        return OK
    precisions = wanted_precisions(options.precisions, tuple(INPUTS))
    tool = find(POT, options.python, options.pot)
    if not options.dataset_dir:
        raise ModelZooError("--dataset_dir must be specified.")
    tasks = [_task(options, subject_of(model), precisions, tool) for model in choice.models()]
    names = [task.subject.id for task in tasks]
    if not options.dry_run:
        work = [_skip(task) or task for task in tasks]
        return conversions.finish(names, conversions.carry_out(work, options))
    with tempfile.TemporaryDirectory() as scratch:
        shows = [_skip(task) or partial(_show, task, Path(scratch)) for task in tasks]
        return conversions.finish(names, conversions.directly(shows))


def _parser(program: str) -> ToolParser:
    parser = ToolParser(program, "Quantize converted models.", POT)
    conversions.add_options(parser, POT, "quantizations")
    add = parser.add_value
    add(
        "--model_dir",
        type=place,
        metavar="DIR|URL",
        help="where the converted models are (default: the current folder)",
    )
    add("--dataset_dir", type=folder_path, metavar="DIR", help="where the data sets are; is required")
    add(
        "-o",
        "--output_dir",
        type=place,
        metavar="DIR|URL",
        help="where to put quantized models (default: the model_dir)",
    )
    add("--target_device", metavar="DEVICE", help="the device that the models are for")
    return parser


def _task(options: Any, subject: Subject, precisions: tuple[str, ...], tool: Tool) -> Quantization:
    model_dir = conversions.for_all(options, options.model_dir or os.getcwd())
    return Quantization(
        subject=subject,
        model_dir=model_dir,
        output_dir=conversions.for_all(options, options.output_dir or model_dir),
        dataset_dir=conversions.for_all(options, str(options.dataset_dir)),
        precisions=precisions,
        tool=tool,
        target_device=options.target_device,
        force=options.force,
    )


def _skip(task: Quantization) -> Skip | None:
    """Why there is nothing to do; None when there is."""
    why = reason_to_skip(task)
    return skipping(task, why) if why else None


def _show(task: Quantization, scratch: Path, output: Output) -> bool:
    def act() -> bool:
        show(task, output, scratch)
        return True

    return explained(task, output, act)
