"""The program: read, freeze, reshape, build preprocessing in, write."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ..program import Failure, announce, run
from ..saving import save
from .arguments import Request, parse
from .notation import Malformed

PROG = "mo.py"


def main(arguments: Sequence[str]) -> int:
    """Convert as the arguments say; returns the exit status."""
    try:
        request = parse(arguments, PROG)
    except Malformed as error:
        print(f"{PROG}: error: {error}", file=sys.stderr)
        return 2
    return run(PROG, lambda: announce(convert(request)))


def convert(request: Request) -> Path:
    """Write the IR that is asked for; returns the path of its .xml. Raises Failure."""
    from .preprocessing import build_in
    from .reading import framework_of, read
    from .shaping import reshape, wanted_shapes

    framework = framework_of(request)
    model = read(request, framework)
    own = [parameter.get_friendly_name() for parameter in model.get_parameters()]
    shapes = wanted_shapes(request, own)
    reshape(model, shapes, request.batch)
    model = build_in(model, request, is_tensorflow=framework == "tf")
    name = _name_of(request)
    model.set_friendly_name(name)
    return save(model, Path(request.output_dir), name, half=request.half)


def _name_of(request: Request) -> str:
    """The name that is told, or the model's own, as Model Optimizer has it."""
    if request.model_name is not None:
        if Path(request.model_name).name != request.model_name:
            raise Failure(f"--model_name: {request.model_name!r} is not the name of a file")
        return request.model_name
    file = request.input_model or request.input_meta_graph
    if file is None:
        return "saved_model"
    name = Path(file).stem
    if not name:
        raise Failure(f"{file} has no name that the result could have: say --model_name")
    return name
