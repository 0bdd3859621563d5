"""Makes an ONNX file of a PyTorch model; run as a program in a Python that has `torch` and `onnx`.

The options are those that Open Model Zoo's model.yml files use. Nothing else of this project is
imported: the Python that it runs in may not have the rest.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import os
import pickle
import sys
import tempfile
import warnings
from collections.abc import Sequence
from typing import Any

OPSET = 11
"""What Model Optimizer of 2021 and everything after it read."""

DTYPES = ("bool", "double", "float", "half", "int32", "int8", "long", "short", "uint8")


class Failure(Exception):
    """Why there is no ONNX file, in one line."""


def shapes(text: str) -> list[tuple[int, ...]]:
    """`1,3,8,8`, `[1,3,8,8]` or several of the latter, separated by commas."""
    try:
        value = ast.literal_eval(text)
        several = value if isinstance(value[0], (list, tuple)) else (value,)
        found = [tuple(shape) for shape in several]
        if all(type(n) is int and n >= 0 for shape in found for n in shape):
            return found
    except (ValueError, SyntaxError, TypeError, LookupError):
        pass
    raise argparse.ArgumentTypeError(
        f"expected shapes of whole numbers like [1,3,224,224], got {text!r}"
    )


def parameter(text: str) -> tuple[str, Any]:
    """`NAME=VALUE`, where the value is a Python literal: texts are quoted."""
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        problem = f"expected NAME=VALUE with a Python literal ({name}='text'), got {text!r}"
        raise argparse.ArgumentTypeError(problem) from None


def _parser() -> argparse.ArgumentParser:
    # Abbreviations are allowed: the catalog writes --input-shape.
    parser = argparse.ArgumentParser(description="Convert a PyTorch model to ONNX.")
    add = parser.add_argument
    add("--import-module", required=True, metavar="MODULE", help="where the model's constructor is")
    add("--model-name", required=True, metavar="NAME", help="its name: a class or a function")
    add("--model-path", action="append", default=[], metavar="DIR", help="a folder with the module")
    add("--model-param", action="append", default=[], type=parameter, metavar="NAME=VALUE",
        help="an argument of the constructor")  # fmt: skip
    add("--weights", metavar="FILE", help="a state dictionary to load")
    add("--input-shapes", required=True, type=shapes, metavar="SHAPE[,SHAPE...]", help="of the inputs")
    add("--inputs-dtype", choices=DTYPES, default="float", help="the type of the inputs")
    add("--input-names", required=True, metavar="N[,N...]", help="what to call the inputs")
    add("--output-names", required=True, metavar="N[,N...]", help="what to call the outputs")
    add("--output-file", required=True, metavar="FILE", help="the ONNX file to write")
    add("--opset_version", type=int, default=OPSET, metavar="N", help="the version of ONNX's operators")
    add("--conversion-param", action="append", default=[], type=parameter, metavar="NAME=VALUE",
        help="an argument of torch.onnx.export")  # fmt: skip
    return parser


def load_model(options: argparse.Namespace) -> Any:
    """The model with its weights; raises Failure."""
    sys.path.extend(options.model_path)
    try:
        module = importlib.import_module(options.import_module)
    except ImportError as error:
        where = f" in {os.pathsep.join(options.model_path)}" if options.model_path else ""
        raise Failure(
            f"the module {options.import_module}{where} cannot be imported: {error}"
        ) from error
    try:
        create = getattr(module, options.model_name)
    except AttributeError:
        raise Failure(
            f"{options.import_module} has no class or function {options.model_name}"
        ) from None
    model = create(**dict(options.model_param))
    if options.weights:
        try:
            model.load_state_dict(_weights(options))
        except (OSError, RuntimeError, pickle.UnpicklingError) as error:
            raise Failure(f"{options.weights}: the weights cannot be loaded: {error}") from error
    return model


def _weights(options: argparse.Namespace) -> Any:
    import torch  # type: ignore[import-not-found, unused-ignore]

    try:
        return torch.load(options.weights, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        if not options.model_path:
            raise
    # More than plain weights: loading that runs code, but code of this model has just been run anyway.
    return torch.load(options.weights, map_location="cpu", weights_only=False)


def export(model: Any, options: argparse.Namespace, path: str) -> None:
    """Write the ONNX file and check it; raises Failure."""
    import onnx  # type: ignore[import-not-found, unused-ignore]
    import torch  # type: ignore[import-not-found, unused-ignore]

    model.eval()
    inputs = tuple(
        torch.zeros(s, dtype=getattr(torch, options.inputs_dtype)) for s in options.input_shapes
    )
    extra = dict(options.conversion_param)
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        # The other way needs one more package, and takes no heed of the version of the operators.
        extra.setdefault("dynamo", False)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are using the legacy", DeprecationWarning)
        model(*inputs)
        torch.onnx.export(
            model,
            inputs,
            path,
            opset_version=options.opset_version,
            input_names=options.input_names.split(","),
            output_names=options.output_names.split(","),
            **extra,
        )
    try:
        onnx.checker.check_model(path)
    except onnx.checker.ValidationError as error:
        raise Failure(f"the ONNX file is not valid: {error}") from error


def main(arguments: Sequence[str]) -> int:
    """Convert; the exit status."""
    options = _parser().parse_args(arguments)
    folder = os.path.dirname(os.path.abspath(options.output_file))
    os.makedirs(folder, exist_ok=True)
    try:
        model = load_model(options)
        with tempfile.TemporaryDirectory(prefix=".onnx-", dir=folder) as aside:
            path = os.path.join(aside, os.path.basename(options.output_file))
            export(model, options, path)
            for name in sorted(os.listdir(aside), key=lambda name: name == os.path.basename(path)):
                os.replace(os.path.join(aside, name), os.path.join(folder, name))
    except Failure as failure:
        print(f"pytorch_to_onnx: {failure}", file=sys.stderr)  # noqa: T201
        return 1
    print("The ONNX file is valid.")  # noqa: T201
    return 0


if __name__ == "__main__":
    # What lies beside this file must not be found in place of the model's own modules.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [place for place in sys.path if os.path.abspath(place) != here]
    sys.exit(main(sys.argv[1:]))
