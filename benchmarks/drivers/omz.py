"""Open Model Zoo's tools on a catalog of ours: `omz.py CATALOG downloader|info_dumper ARGUMENTS...`.

They have no option for the folder of the models: it is a value in a module, set here before the tool
itself is imported. Everything else is the tool as it is installed.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    common: Any = importlib.import_module("omz_tools._common")
    common.MODEL_ROOT = Path(sys.argv[1])
    tool = sys.argv[2]
    sys.argv[:] = [tool, *sys.argv[3:]]
    importlib.import_module(f"omz_tools.omz_{tool}").main()
