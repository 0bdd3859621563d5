"""Stands in for Model Optimizer: `python mo.py --framework=… --input_model=… …` writes OpenVINO IR.

It is run by path in a Python that has OpenVINO; nothing of this project is imported but what lies
beside it. What it understands is told by --help and in docs/openvino.md.
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType

# OpenVINO sends messages home through this package; without it, it does not.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

_FOLDER = Path(__file__).resolve().parent


def main() -> int:
    """Convert as the command line says; returns the exit status."""
    # This folder is a package of another name: its own would be taken for Intel's `openvino`.
    package = ModuleType("modelzoo_openvino")
    package.__path__ = [str(_FOLDER)]
    sys.modules[package.__name__] = package
    sys.path[:] = [folder for folder in sys.path if Path(folder or ".").resolve() != _FOLDER]
    program = importlib.import_module(f"{package.__name__}.conversion.program")
    return int(program.main(sys.argv[1:]))


if __name__ == "__main__":
    sys.exit(main())
