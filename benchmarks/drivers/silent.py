"""The downloader's work without a single event: `silent.py CATALOG OUTPUT JOBS`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "tools"))

import common

if __name__ == "__main__":
    catalog, output, jobs = sys.argv[1:]
    common.download("*", output, jobs=int(jobs), sources=[catalog])
