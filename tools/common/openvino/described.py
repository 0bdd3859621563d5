"""What a catalog says about a model's inputs, in Model Optimizer's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_TOLD = ("--input", "--input_shape", "--layout", "--batch", "-b")


def input_arguments(
    args: Sequence[str], input_info: Sequence[Mapping[str, Any]], *, layouts: bool
) -> tuple[str, ...]:
    """The arguments about inputs that `args` leave to `input_info`, as Open Model Zoo has it from 2022.

    Arguments that speak of inputs themselves, as those of earlier releases do, have said it all.
    `layouts` tells whether the program knows `--layout`.
    """
    if not input_info or any(arg.partition("=")[0] in _TOLD for arg in args):
        return ()
    names = [str(entry["name"]) for entry in input_info]
    found = [f"--input={','.join(names)}"]
    told = [f"{entry['name']}({entry['layout']})" for entry in input_info if entry.get("layout")]
    if layouts and told:
        found.append(f"--layout={','.join(told)}")
    if all(entry.get("shape") for entry in input_info):
        shapes = (str([*entry["shape"]]).replace(" ", "") for entry in input_info)
        found.append(f"--input_shape={','.join(shapes)}")
    return tuple(found)
