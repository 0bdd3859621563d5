"""Which conversions the bundled programs can do: decided from a model's arguments alone.

The two programs are run by path, in the Python chosen with `--python`; it needs `openvino` (and for
`pot.py` also `nncf`, `pillow` and `pyyaml`), nothing else:

    PYTHON .../openvino/mo.py --framework=onnx|tf --data_type=FP16|FP32 --output_dir=DIR
        --model_name=NAME MODEL_OPTIMIZER_ARGS...

writes `DIR/NAME.bin` and then `DIR/NAME.xml`, each under another name first, so that an `.xml` that is
there has its weights. `--compress_to_fp16[=True|False]` beats `--data_type`.

    DATA_DIR=DATASETS MODELS_DIR=… ANNOTATIONS_DIR=… DEFINITIONS_FILE=… \\
    PYTHON .../openvino/pot.py --config=POT_CONFIG.json --direct-dump --output-dir=DIR

writes `DIR/optimized/NAME.bin` and `.xml` in the same way. Only `DATA_DIR` matters: images are looked
for there (in the `data_source` of accuracy-check.yml when that is a folder).

Both end with 0, with 1 after one line `mo.py: error: …` on stderr when the model cannot be converted,
and with 2 when the command line makes no sense. Neither opens a connection or writes elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from .conversion.arguments import parse_known
from .conversion.notation import Malformed

_MAPPED = ("onnx", "pytorch", "caffe2", "tf")
"""Frameworks whose models come as ONNX (PyTorch and Caffe2 after the step before) or TensorFlow."""


def unmappable(args: Sequence[str], framework: str) -> str | None:
    """Why a model with these `model_optimizer_args` cannot be converted by `mo.py`; None if it can.

    `framework` is the catalog's. The `$`-variables may still be in the arguments.
    """
    try:
        _, unknown = parse_known(args)
    except Malformed as error:
        return _needs(str(error))
    if names := [word.partition("=")[0] for word in unknown if word.startswith("-")]:
        return _needs(", ".join(dict.fromkeys(names)))
    return None if framework in _MAPPED else _needs(f"framework {framework}")


def _needs(what: str) -> str:
    return f"needs the legacy Model Optimizer: {what}"
