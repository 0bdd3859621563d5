"""Model Optimizer's command line: what of it can be done today, and what it asks for.

Only the standard library, and no reading of files: the catalog's arguments are judged with it too.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from .notation import (
    Input,
    Layout,
    Malformed,
    Port,
    Shape,
    parse_frozen,
    parse_input,
    parse_layouts,
    parse_named_lists,
    parse_outputs,
    parse_shapes,
)

FRAMEWORKS = ("onnx", "tf")

IDLE_SWITCHES = (
    "--silent",
    "--progress",
    "--stream_output",
    "--static_shape",
    "--disable_fusing",
    "--disable_gfusing",
    "--disable_resnet_optimization",
    "--enable_concat_optimization",
    "--keep_shape_ops",
    "--legacy_ir_generation",
    "--use_new_frontend",
)
"""Taken without effect: they speak about how, or about what OpenVINO does anyway."""
IDLE_VALUES = ("--log_level", "--finegrain_fusing")
_TRUE = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True)
class Request:
    """What one command line asks for."""

    framework: str | None = None
    input_model: str | None = None
    saved_model_dir: str | None = None
    saved_model_tags: str | None = None
    input_meta_graph: str | None = None
    inputs: tuple[Input, ...] = ()
    shapes: tuple[Shape, ...] = ()
    batch: int | None = None
    outputs: tuple[Port, ...] = ()
    means: tuple[tuple[str, tuple[float, ...]], ...] = ()
    scales: tuple[tuple[str, tuple[float, ...]], ...] = ()
    scale: float | None = None
    reverse_input_channels: bool = False
    keep_nhwc: bool = False
    layouts: tuple[tuple[str, Layout], ...] = ()
    frozen: tuple[tuple[Port, str], ...] = field(default=())
    half: bool = False
    """Whether weights are stored as FP16."""
    model_name: str | None = None
    output_dir: str = "."


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Malformed(message)


class _Once(argparse.Action):
    """An option that what comes later, from a catalog, must not change."""

    def __call__(
        self, parser: object, namespace: argparse.Namespace, value: Any, option: str | None = None
    ) -> None:
        if getattr(namespace, self.dest) not in (self.default, value):
            raise argparse.ArgumentError(self, f"is given twice, the second time as {value!r}")
        setattr(namespace, self.dest, value)


def _boolean(text: str) -> bool:
    try:
        return _TRUE[text.lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"{text!r} is not True or False") from None


def _add_files(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("the model").add_argument
    add(
        "--framework",
        metavar="onnx|tf",
        help="the format of the model; by default the file's name tells",
    )
    add("--input_model", "-w", "-m", metavar="FILE", help="an ONNX file or a frozen TensorFlow graph")
    add("--saved_model_dir", metavar="DIR", help="a TensorFlow SavedModel")
    add("--saved_model_tags", metavar="TAG,...", help="which of its meta graphs")
    add("--input_meta_graph", metavar="FILE", help="a TensorFlow meta graph, its checkpoint beside it")
    add("--input_model_is_text", action="store_true", help="no effect: the file's name tells (.pbtxt)")


def _add_cuts(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("inputs and outputs").add_argument
    add(
        "--input",
        default="",
        metavar="NAME,...",
        help="inputs, maybe inside the graph: name[shape]->value, 0:name",
    )
    add("--input_shape", default="", metavar="[1,3,…],...", help="their shapes")
    add("--batch", "-b", type=int, metavar="N", help="the first dimension of all inputs")
    add("--output", default="", metavar="NAME,...", help="outputs, maybe inside the graph")
    frozen = "inputs that become constants"
    add("--freeze_placeholder_with_value", default="", metavar="NAME->VALUE,...", help=frozen)


def _add_preprocessing(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("preprocessing that becomes part of the model").add_argument
    add("--mean_values", "-ms", default="", metavar="NAME[…],...", help="subtracted from each channel")
    add(
        "--scale_values", default="", metavar="NAME[…],...", help="what each channel is then divided by"
    )
    add("--scale", "-s", type=float, metavar="NUMBER", help="what all inputs are divided by")
    add(
        "--reverse_input_channels",
        action="store_true",
        help="swap RGB and BGR, before means and scales",
    )
    add("--disable_nhwc_to_nchw", action="store_true", help="leave the layout of a TensorFlow model")
    add(
        "--layout",
        default="",
        metavar="NAME(NHWC->NCHW),...",
        help="the layouts of the model, and those wanted",
    )
    add("--source_layout", default="", metavar="NAME(NHWC),...", help="the layouts of the model")
    add("--target_layout", default="", metavar="NAME(NCHW),...", help="the layouts wanted")


def _add_results(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("the result").add_argument
    precisions = ["FP16", "FP32", "half", "float"]
    add(
        "--data_type",
        choices=precisions,
        default="float",
        help="how weights are stored (default: FP32)",
    )
    fp16 = "the same, as later releases say it"
    add("--compress_to_fp16", type=_boolean, nargs="?", const=True, metavar="True|False", help=fp16)
    once: dict[str, Any] = {"action": _Once}
    add(
        "--model_name",
        "-n",
        **once,
        metavar="NAME",
        help="that of the files (default: the model's)",
    )
    add("--output_dir", "-o", **once, default=".", metavar="DIR", help="where they go (default: here)")
    others = parser.add_argument_group("taken without effect").add_argument
    for name in IDLE_SWITCHES:
        others(name, action="store_true", help=argparse.SUPPRESS)
    for name in IDLE_VALUES:
        others(name, help=argparse.SUPPRESS)
    others("--disable_weights_compression", action="store_true", help=argparse.SUPPRESS)


def new_parser(prog: str = "mo.py") -> argparse.ArgumentParser:
    """The command line, with the names that Model Optimizer gives its options."""
    parser = _Parser(prog=prog, description="Converts a model to OpenVINO IR.")
    for add in (_add_files, _add_cuts, _add_preprocessing, _add_results):
        add(parser)
    return parser


def parse(arguments: Sequence[str], prog: str = "mo.py") -> Request:
    """What the arguments ask for. Raises Malformed for what makes no sense or is not known."""
    request, unknown = parse_known(arguments, prog)
    if unknown:
        raise Malformed(f"unrecognized arguments: {' '.join(unknown)}")
    return request


def parse_known(arguments: Sequence[str], prog: str = "mo.py") -> tuple[Request, list[str]]:
    """What the arguments ask for, and those that are not known. Raises Malformed."""
    options, unknown = new_parser(prog).parse_known_args([*arguments])
    return _request(options), unknown


def _request(options: argparse.Namespace) -> Request:
    half = options.compress_to_fp16
    return Request(
        framework=options.framework,
        input_model=options.input_model,
        saved_model_dir=options.saved_model_dir,
        saved_model_tags=options.saved_model_tags,
        input_meta_graph=options.input_meta_graph,
        inputs=parse_input(options.input),
        shapes=parse_shapes(options.input_shape),
        batch=options.batch,
        outputs=parse_outputs(options.output),
        means=parse_named_lists("--mean_values", options.mean_values),
        scales=parse_named_lists("--scale_values", options.scale_values),
        scale=options.scale,
        reverse_input_channels=options.reverse_input_channels,
        keep_nhwc=options.disable_nhwc_to_nchw,
        layouts=_layouts(options),
        frozen=parse_frozen(options.freeze_placeholder_with_value),
        half=options.data_type in ("FP16", "half") if half is None else half,
        model_name=options.model_name,
        output_dir=options.output_dir,
    )


def _layouts(options: argparse.Namespace) -> tuple[tuple[str, Layout], ...]:
    """What the three options about layouts say together."""
    if options.layout and (options.source_layout or options.target_layout):
        raise Malformed("--layout says what --source_layout and --target_layout say: give only one")
    if options.layout:
        return parse_layouts(options.layout)
    sources = {n: layout.source for n, layout in parse_layouts(options.source_layout)}
    targets = {n: layout.source for n, layout in parse_layouts(options.target_layout)}
    return tuple((n, Layout(sources.get(n), targets.get(n))) for n in {**sources, **targets})
