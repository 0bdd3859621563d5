"""What has to be run for a model: commands as they are printed, and where their results belong."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any

import msgspec

from ..model import Model
from .described import input_arguments
from .locate import HERE, Tool
from .places import here

PRE_CONVERT = "pre-convert.py"
"""The script beside a model.yml that runs before anything else."""


class Subject(msgspec.Struct, frozen=True):
    """What conversion and quantization have to know of a model."""

    id: str
    name: str
    source: str
    composite: str | None
    subdirectory: str
    config_dir: str
    framework: str
    precisions: tuple[str, ...]
    quantization_output_precisions: tuple[str, ...]
    model_optimizer_args: tuple[str, ...] | None
    conversion_to_onnx_args: tuple[str, ...] | None
    input_info: tuple[dict[str, Any], ...] = ()

    @property
    def runs_code(self) -> bool:
        """Whether its conversion runs Python code that came with it, or beside its model.yml."""
        scripted = self.config_dir != "" and Path(self.config_dir, PRE_CONVERT).exists()
        return scripted or self.conversion_to_onnx_args is not None


def subject_of(model: Model) -> Subject:
    """The same model, with nothing that could not be sent elsewhere."""
    return Subject(**{name: getattr(model, name) for name in Subject.__struct_fields__})


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One command. One of its arguments names its results, so that they can be made elsewhere."""

    key: str
    heading: str
    result: str
    """What it makes, in words that follow the model's name."""
    label: str
    command: tuple[str, ...]
    place: int | None = None
    """Which argument says where the results go."""
    option: str = ""
    """What that argument begins with."""
    target: str = ""
    """Where they go: a path in the model's output folder, empty for that folder itself."""
    meaning: tuple[str, ...]
    """What the results depend on beside the inputs: the arguments, free of this machine's paths."""
    wanted: tuple[str, ...] = ()
    """Suffixes of files without which the results are not whole."""

    def aside(self, staging: Path) -> tuple[str, ...]:
        """The command with its results in another folder."""
        if self.place is None:
            return self.command
        command = [*self.command]
        command[self.place] = self.option + str(staging / self.target)
        return tuple(command)


def command_text(command: Sequence[str]) -> str:
    """A command as a shell would take it."""
    return " ".join(quote(word) for word in command)


def quote(word: str) -> str:
    """A word as a shell would take it."""
    return subprocess.list2cmdline([word]) if os.name == "nt" else shlex.quote(word)


class Places(msgspec.Struct, frozen=True):
    """Where a model's files are, and where what is made of them goes: folders, or URLs of storages."""

    download_dir: str
    output_dir: str

    def folder(self, subject: Subject) -> Path:
        """The model's downloaded files, on this machine."""
        return here(self.download_dir) / subject.subdirectory

    def output(self, subject: Subject) -> Path:
        """The model's converted files, on this machine."""
        return here(self.output_dir) / subject.subdirectory


class Conversion(msgspec.Struct, frozen=True, tag=True):
    """One model to convert."""

    subject: Subject
    places: Places
    precisions: tuple[str, ...]
    python: str
    tool: Tool
    extra_args: tuple[str, ...] = ()
    force: bool = False
    frameworks: str = ""
    """The releases of what the conversion to ONNX runs with."""


def onnx_script(framework: str) -> Path:
    """The program that makes ONNX of this framework's models: in a checkout beside the launchers."""
    name = f"{framework}_to_onnx.py"
    beside = HERE.parent.parent / "pytorch_to_onnx.py"
    return (beside.parent if beside.is_file() else HERE) / name


def conversion_steps(task: Conversion) -> Iterator[Step]:
    """The commands that convert a model, in their order; raises ValueError for an unknown `$name`."""
    subject, output = task.subject, task.places.output(task.subject)
    variables = {
        "config_dir": subject.config_dir,
        "conv_dir": str(output),
        "dl_dir": str(task.places.folder(subject)),
        "mo_dir": task.tool.folder,
        "mo_ext_dir": _extensions(task.tool),
    }
    script = Path(subject.config_dir, PRE_CONVERT)
    if subject.config_dir and script.exists():
        command = (task.python, "--", str(script), "--", variables["dl_dir"], variables["conv_dir"])
        yield Step(
            key="pre-convert",
            heading=f"Running pre-convert script for {subject.name}",
            result="pre-converted files",
            label="Pre-convert command",
            command=command,
            place=len(command) - 1,
            meaning=(),
        )
    framework = subject.framework
    if subject.conversion_to_onnx_args:
        yield _onnx_step(task, subject.conversion_to_onnx_args, variables, output)
        framework = "onnx"
    for precision in sorted({*task.precisions} & {*subject.precisions}):
        yield _ir_step(task, precision, framework, variables, output)


def _extensions(tool: Tool) -> str:
    """Where catalogs from 2022 on look for Model Optimizer's descriptions of networks."""
    below = os.path.join(tool.folder, "extensions")  # up to 2021
    return below if os.path.isdir(below) else tool.folder


def _onnx_step(task: Conversion, args: Sequence[str], variables: dict[str, str], output: Path) -> Step:
    words = _substituted(args, variables)
    start = (task.python, "--", str(onnx_script(task.subject.framework)))
    option, place, target = "--output-file=", None, ""
    for number, word in enumerate(words):
        path = PurePath(word.removeprefix(option))
        if word.startswith(option) and path.is_relative_to(output):
            place, target = len(start) + number, str(path.relative_to(output))
    return Step(
        key="onnx",
        heading=f"Converting {task.subject.name} to ONNX",
        result="ONNX",
        label="Conversion to ONNX command",
        command=(*start, *words),
        place=place,
        option=option,
        target=target,
        meaning=(*args, task.frameworks),
    )


def _ir_step(
    task: Conversion, precision: str, framework: str, variables: dict[str, str], output: Path
) -> Step:
    name, args = task.subject.name, _optimizer_args(task)
    data_type = precision.partition("-")[0]
    if task.tool.by_compression:
        typed = f"--compress_to_fp16={data_type == 'FP16'}"
    else:
        typed = f"--data_type={data_type}"
    start = (*task.tool.command, f"--framework={framework}", typed)
    option = "--output_dir="
    named = (f"{option}{output / precision}", f"--model_name={name}")
    return Step(
        key=precision,
        heading=f"Converting {name} to IR ({precision})",
        result=f"IR ({precision})",
        label="Conversion command",
        command=(*start, *named, *_substituted(args, variables), *task.extra_args),
        place=len(start),
        option=option,
        target=precision,
        meaning=(f"--framework={framework}", typed, name, *args, *task.extra_args, task.tool.version),
        wanted=(".xml", ".bin"),
    )


def _optimizer_args(task: Conversion) -> tuple[str, ...]:
    """The model's arguments, with what only its `input_info` tells."""
    args = task.subject.model_optimizer_args or ()
    layouts = task.tool.bundled or task.tool.by_compression
    return (*args, *input_arguments(args, task.subject.input_info, layouts=layouts))


def _substituted(args: Sequence[str], variables: dict[str, str]) -> list[str]:
    import string

    try:
        return [string.Template(arg).substitute(variables) for arg in args]
    except KeyError as error:
        known = ", ".join(f"${name}" for name in variables)
        raise ValueError(f"${error.args[0]} is none of {known}") from None
