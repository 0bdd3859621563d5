"""Download with a library: `fetch.py LIBRARY FILES OUTPUT [--jobs N] [--connections N] [--check]`.

FILES is a JSON list of objects with url, path and sha384. `--check` hashes every file afterwards, for
libraries that do not verify while they download.
"""

import argparse
import hashlib
import importlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

CHUNK = 1 << 20
HF_CHUNK = 10 << 20  # what huggingface_hub asks of hf_transfer


def with_hf_transfer(files: list[dict[str, Any]], output: Path, options: Any) -> None:
    """Each file over several connections, one file after the other."""
    hf_transfer = importlib.import_module("hf_transfer")
    for file in files:
        hf_transfer.download(
            file["url"], str(output / file["path"]), options.connections, HF_CHUNK, 3, 5
        )


def with_pooch(files: list[dict[str, Any]], output: Path, options: Any) -> None:
    """Its own check of the hash; large chunks, and threads, which it leaves to its caller."""
    pooch = importlib.import_module("pooch")
    pooch.get_logger().setLevel("ERROR")
    downloader = pooch.HTTPDownloader(chunk_size=CHUNK)

    def fetch(file: dict[str, Any]) -> None:
        path = output / file["path"]
        known_hash = f"sha384:{file['sha384']}"
        pooch.retrieve(file["url"], known_hash, path.name, path.parent, downloader=downloader)

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(fetch, files))


def with_pypdl(files: list[dict[str, Any]], output: Path, options: Any) -> None:
    """Segments for large files; its own hashes read 4 KiB at a time, so `--check` does it faster."""
    pypdl = importlib.import_module("pypdl")
    tasks = [{"url": file["url"], "file_path": str(output / file["path"])} for file in files]
    several = options.connections > 1
    done = pypdl.Pypdl(max_concurrent=options.jobs).start(
        tasks=tasks, multisegment=several, segments=options.connections, display=False
    )
    if len(done) != len(files):
        sys.exit(f"{len(done)} of {len(files)} files came")


def check(files: list[dict[str, Any]], output: Path) -> None:
    """Hash what came; ends the program when something is wrong."""
    for file in files:
        digest = hashlib.sha384()
        with (output / file["path"]).open("rb", buffering=0) as data:
            while chunk := data.read(CHUNK):
                digest.update(chunk)
        if digest.hexdigest() != file["sha384"]:
            sys.exit(f"{file['path']}: wrong digest")


LIBRARIES = {"hf_transfer": with_hf_transfer, "pooch": with_pooch, "pypdl": with_pypdl}


def main() -> None:
    """Run one library over all files."""
    parser = argparse.ArgumentParser()
    parser.add_argument("library", choices=LIBRARIES)
    parser.add_argument("files", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    files = json.loads(options.files.read_text())
    for folder in {(options.output / file["path"]).parent for file in files}:
        folder.mkdir(parents=True, exist_ok=True)
    LIBRARIES[options.library](files, options.output, options)
    if options.check:
        check(files, options.output)


if __name__ == "__main__":
    main()
