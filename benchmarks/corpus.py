"""The files that are served, and what each program has to be told to fetch them."""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

CORES = len(os.sched_getaffinity(0))
_CHUNK = 4 << 20
_PIECE = 256 << 10  # stays in a cache of the processor
_TAIL = """\
input_info:
  - name: image
    shape: [1, 3, 256, 256]
    layout: NCHW
framework: dldt
"""

Shape = Sequence[Sequence[int]]  # of each model, the sizes of its files


@dataclass(frozen=True)
class File:
    """A file by its path, below the server's root as below an output folder."""

    path: str
    size: int
    sha384: str


def equal(models: int, files: int, size: int) -> Shape:
    """The shape of models that are all alike."""
    return [[size] * files] * models


def mixed(models: int, files: int, smallest: int, largest: int) -> Shape:
    """Sizes from smallest to largest, every order of magnitude as often; always the same ones."""
    draw = random.Random(500)
    low, high = math.log(smallest), math.log(largest)
    return [[int(math.exp(draw.uniform(low, high))) for _ in range(files)] for _ in range(models)]


def total(shape: Shape) -> int:
    """The bytes of all files."""
    return sum(map(sum, shape))


def make_files(root: Path, shape: Shape) -> tuple[File, ...]:
    """Write files of random bytes below the root."""
    wanted: list[tuple[str, int]] = []
    for number, sizes in enumerate(shape):
        folder = f"public/model-{number:04}"
        (root / folder).mkdir(parents=True)
        wanted += [(f"{folder}/part-{part}.bin", size) for part, size in enumerate(sizes)]
    with ThreadPoolExecutor(CORES) as pool:
        return tuple(pool.map(lambda item: _make_file(root, *item), wanted))


def _make_file(root: Path, path: str, size: int) -> File:
    digest = hashlib.sha384()
    with (root / path).open("wb", buffering=0) as file:
        for start in range(0, size, _CHUNK):
            data = os.urandom(min(_CHUNK, size - start))
            digest.update(data)
            file.write(data)
    return File(path, size, digest.hexdigest())


def wrong_files(output: Path, files: Sequence[File]) -> list[str]:
    """What is missing below the output folder or has another digest."""
    with ThreadPoolExecutor(CORES) as pool:
        digests = pool.map(lambda file: _sha384(output / file.path), files)
        return [file.path for file, digest in zip(files, digests, strict=True) if digest != file.sha384]


def _sha384(path: Path) -> str | None:
    digest = hashlib.sha384()
    try:
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError:
        return None
    return digest.hexdigest()


def differing_files(output: Path, served: Path, files: Sequence[File]) -> list[str]:
    """What is missing below the output folder or differs from what was served.

    Every byte is compared, which says more than a digest and takes a fraction of its time.
    """
    with ThreadPoolExecutor(CORES) as pool:
        equals = pool.map(lambda file: _same(output / file.path, served / file.path), files)
        return [file.path for file, equal in zip(files, equals, strict=True) if not equal]


def _same(path: Path, original: Path) -> bool:
    # filecmp would remember a result by size and time, and some programs set the server's time.
    try:
        with path.open("rb", buffering=0) as one, original.open("rb", buffering=0) as other:
            if os.fstat(one.fileno()).st_size != os.fstat(other.fileno()).st_size:
                return False
            while piece := other.read(_PIECE):
                if one.read(_PIECE) != piece:
                    return False
    except OSError:
        return False
    return True


def write_inputs(folder: Path, files: Sequence[File], url: str) -> None:
    """Write what the programs read: catalog/, aria2.txt, curl.txt, files.json and sums-*."""
    _write_catalog(folder / "catalog", files, url)
    aria2 = (f"{url}/{f.path}\n  out={f.path}\n  checksum=sha-384={f.sha384}\n" for f in files)
    (folder / "aria2.txt").write_text("".join(aria2))
    curl = (f'url = "{url}/{f.path}"\noutput = "{f.path}"\n' for f in files)
    (folder / "curl.txt").write_text("".join(curl))
    asked = [{"url": f"{url}/{f.path}", "path": f.path, "sha384": f.sha384} for f in files]
    (folder / "files.json").write_text(json.dumps(asked))
    # One list for each core, of files that lie far apart, so that all cores have as much to hash.
    for core in range(min(CORES, len(files))):
        lines = (f"{file.sha384}  {file.path}\n" for file in files[core::CORES])
        (folder / f"sums-{core}").write_text("".join(lines))


def _write_catalog(root: Path, files: Sequence[File], url: str) -> None:
    models: dict[str, list[str]] = {}
    for file in files:
        model, _, name = file.path.rpartition("/")
        models.setdefault(model, []).append(_entry(name, file.size, file.sha384, f"{url}/{file.path}"))
    for model, entries in models.items():
        tail = "framework: onnx\nmodel_optimizer_args:\n  - --input_model=$dl_dir/part-0.bin\n"
        _write_model(root / model, entries, tail)


def write_tree(root: Path, models: int) -> list[str]:
    """Write a catalog of models like those of Open Model Zoo in size; returns their names."""
    names = [f"synthetic-detection-{number:05}" for number in range(models)]
    for name in names:
        entries = []
        for precision in ("FP32", "FP16", "FP16-INT8"):
            for suffix in ("xml", "bin"):
                path = f"{precision}/{name}.{suffix}"
                digest = hashlib.sha384(path.encode()).hexdigest()
                url = (
                    f"https://storage.example.com/repositories/models/2023.0/models_bin/1/{name}/{path}"
                )
                entries.append(_entry(path, len(digest) * 2**12, digest, url))
        _write_model(root / "intel" / name, entries, _TAIL)
    return names


def _entry(name: str, size: int, sha384: str, url: str) -> str:
    return f"  - name: {name}\n    size: {size}\n    checksum: {sha384}\n    source: {url}\n"


def _write_model(folder: Path, entries: Sequence[str], tail: str) -> None:
    folder.mkdir(parents=True)
    head = "# A model that was made for a benchmark.\n\ndescription: >-\n  A model that was made\n"
    head += "  for a benchmark.\ntask_type: detection\nfiles:\n"
    license_url = "license: https://example.com/benchmarks/LICENSE\n"
    (folder / "model.yml").write_text("".join([head, *entries, tail, license_url]))
