#!/usr/bin/env python3
"""Runs the tool that is named like this file; everything else is in the package beside it."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent))

from common.__main__ import run  # noqa: E402 - found in the folder that was just added

sys.exit(run(HERE.stem, sys.argv[1:], Path(sys.argv[0]).name))
