"""What a conversion costs, with the bundled program: `python -m benchmarks.conversion`."""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tests.zoo import add_local_model

from .machine import load, machine
from .markdown import table

ROOT = Path(__file__).resolve().parent.parent
CONVERTER = [sys.executable, str(ROOT / "tools" / "converter.py")]
MO = ROOT / "tools" / "common" / "openvino" / "mo.py"
RESULTS = Path(__file__).with_name("CONVERSION.md")

MODELS, WEIGHTS = 8, 25
"""So many models, with so many MiB of weights in FP32 each."""
SIZES = (1, 25, 100)
"""MiB of weights for the figures about memory."""
REPEATS = 3
WIDTH = 512


def network(weights: int) -> bytes:
    """An ONNX file of fully connected layers with so many MiB of weights."""
    layers = max(1, weights * 2**20 // (WIDTH * WIDTH * 4))
    numbers = np.random.default_rng(1).standard_normal((layers, WIDTH, WIDTH), np.float32)
    nodes, weights_of = [], []
    for n in range(layers):
        nodes.append(helper.make_node("MatMul", [f"x{n}", f"w{n}"], [f"x{n + 1}"]))
        weights_of.append(numpy_helper.from_array(numbers[n], f"w{n}"))
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, WIDTH])
        for name in ("x0", f"x{layers}")
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights_of)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    data: bytes = model.SerializeToString()
    onnx.checker.check_model(onnx.load_from_string(data))
    return data


def prepare(root: Path) -> None:
    """A catalog of models, and their files as they would have been downloaded."""
    data = network(WEIGHTS)
    for n in range(MODELS):
        add_local_model(
            root / "zoo",
            f"m{n}",
            {"model.onnx": data},
            model_optimizer_args=[
                "--input_model=$dl_dir/model.onnx",
                "--input_shape=[1,512]",
                "--input=x0",
            ],
        )
        shutil.copytree(root / "zoo" / f"m{n}", root / "dl" / f"m{n}")


def seconds(act: Callable[[], object]) -> float:
    """The median of several runs."""
    found = []
    for _ in range(REPEATS):
        start = time.monotonic()
        act()
        found.append(time.monotonic() - start)
    return statistics.median(found)


def run(command: list[str]) -> None:
    """A command that has to succeed, and whose words nobody needs."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command}: {done.stdout[-1000:]}{done.stderr[-1000:]}")


def convert(root: Path, *options: str) -> None:
    """All models, to FP32."""
    where = ["--source", str(root / "zoo"), "-d", str(root / "dl"), "-o", str(root / "out")]
    run([*CONVERTER, "--all", "--precisions=FP32", *where, *options])


def by_ovc(root: Path) -> None:
    """The same with OpenVINO's own program, one after the other."""
    ovc = str(Path(sys.executable).with_name("ovc"))
    for n in range(MODELS):
        source, target = root / "dl" / f"m{n}" / "model.onnx", root / "ovc" / f"m{n}.xml"
        run([ovc, str(source), "--output_model", str(target), "--compress_to_fp16=False"])


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """A scheduler and two workers of one thread; its address."""
    parts: list[subprocess.Popen[bytes]] = []
    log = folder / "scheduler.log"

    def start(kind: str, *arguments: str) -> None:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments]
        with log.open("ab") as file:
            options = ["--host", "127.0.0.1", "--no-dashboard"]
            parts.append(subprocess.Popen([*command, *options], stdout=file, stderr=file, cwd=folder))

    def wait_for(pattern: str, count: int) -> str:
        while len(found := re.findall(pattern, log.read_text())) < count:
            time.sleep(0.05)
        return str(found[0])

    try:
        start("scheduler", "--port", "0", "--no-show")
        address = wait_for(r"Scheduler at:\s*(tcp://[\d.:]+)", 1)
        for _ in range(2):
            start("worker", address, "--nthreads", "1", "--no-nanny")
        wait_for("Register worker", 2)
        yield address
    finally:
        for part in reversed(parts):
            part.kill()
            part.wait()


def speed(root: Path) -> str:
    """The table of conversions a minute."""
    rows = [("`ovc`, one after the other", seconds(lambda: by_ovc(root)))]
    for jobs in ("1", "2", "auto"):
        name = f"`converter.py -j {jobs}`"
        rows.append((name, seconds(lambda jobs=jobs: convert(root, "--force", "-j", jobs))))  # type: ignore[misc]
    with cluster(root) as address:
        name = "`converter.py --scheduler`, two workers"
        rows.append((name, seconds(lambda: convert(root, "--force", "--scheduler", address))))
    rows.append(("`converter.py`, all up to date", seconds(lambda: convert(root))))
    whole = rows[0][1]
    head = ("how", "seconds", "conversions a minute", "time, against `ovc`")
    return table(
        head,
        [(name, f"{s:.2f}", f"{MODELS * 60 / s:.0f}", f"{s / whole:.2f}") for name, s in rows],
    )


def peak(command: list[str]) -> float:
    """The most memory that a command has had, in MiB."""
    # A child begins with what its parent has: the parent must be a small one.
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=2); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return int(done.stdout) / 1024


def memory(root: Path) -> str:
    """The table of memory by size."""
    rows = []
    for size in SIZES:
        path = root / f"{size}.onnx"
        path.write_bytes(network(size))
        options = [
            "--framework=onnx",
            "--data_type=FP32",
            f"--output_dir={root}/ir",
            f"--input_model={path}",
        ]
        ours = peak([sys.executable, str(MO), *options, "--model_name=m"])
        ovc = str(Path(sys.executable).with_name("ovc"))
        theirs = peak([ovc, str(path), "--output_model", f"{root}/o.xml", "--compress_to_fp16=False"])
        rows.append((f"{size} MiB", f"{ours:.0f}", f"{theirs:.0f}"))
    return table(("weights (FP32)", "bundled program, MiB", "`ovc`, MiB"), rows)


def main() -> int:
    """Measure, and write the report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    before = load()
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        sections = [speed(Path(folder)), memory(Path(folder))]
    what = f"{MODELS} models with {WEIGHTS} MiB of weights each, ONNX to FP32 IR"
    text = "\n\n".join(
        [
            "# What a conversion costs",
            f"`make bench-convert`: {what}; medians of {REPEATS} runs. Load before: {before:.1f}.",
            table(("machine", ""), machine().items()),
            "## Speed",
            sections[0],
            "## Memory of one job",
            sections[1],
        ]
    )
    options.output.write_text(text + "\n")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
