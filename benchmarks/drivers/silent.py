"""The downloader's work without a single event: `silent.py CATALOG OUTPUT JOBS`."""

import sys

import modelzoo

if __name__ == "__main__":
    catalog, output, jobs = sys.argv[1:]
    modelzoo.download("*", output, jobs=int(jobs), sources=[catalog])
