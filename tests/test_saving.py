"""A model is written whole or not at all, whatever happens to the process that writes it."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from modelzoo.openvino.program import Failure
from modelzoo.openvino.saving import save

from tests.conftest import ROOT
from tests.onnx_models import ir_answer, pixels, write_images

SLOWLY = """
import sys, time, types
package = types.ModuleType("it")
package.__path__ = [sys.argv[1]]
sys.modules["it"] = package
sys.modules["openvino_telemetry"] = None
import it.saving, it.program, openvino

def replace(old, new):
    print(new, flush=True)
    time.sleep(100)

it.saving.os.replace = replace
model = openvino.Core().read_model(sys.argv[2])
act = lambda: it.saving.save(model, it.saving.Path(sys.argv[3]), "images", half=False)
sys.exit(it.program.run("it", act))
"""


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_images(tmp_path / "images.onnx")


def start(source: Path, out: Path) -> subprocess.Popen[str]:
    """Start to write, and return when only the renaming is left to be done."""
    package = ROOT / "tools" / "common" / "openvino"
    command = [sys.executable, "-c", SLOWLY, str(package), str(source), str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline()
    return process


def test_a_process_that_is_told_to_end_leaves_nothing(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out"
    with start(source, out) as process:
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 128 + signal.SIGTERM
    assert files(out) == []


def test_what_a_killed_process_leaves_is_removed_by_the_next(tmp_path: Path, source: Path) -> None:
    import openvino

    out = tmp_path / "out"
    with start(source, out) as process:
        process.kill()
    (left,) = files(out)
    assert left.startswith(".images.")
    foreign = out / f".images.{socket.gethostname()}-{os.getppid()}.part"
    elsewhere = out / ".images.elsewhere-1.part"
    foreign.mkdir()
    elsewhere.mkdir()
    model = openvino.Core().read_model(source)
    xml = save(model, out, "images", half=False)
    # Those of a process that runs, or of another machine, are not touched.
    assert files(out) == sorted([elsewhere.name, foreign.name, "images.bin", "images.xml"])
    image = pixels(1, 3, 8, 8)
    before = ir_answer(xml, [image])[0]
    save(model, out, "images", half=True)
    assert abs(ir_answer(xml, [image])[0] - before).max() < 0.1


def test_no_xml_stands_beside_weights_that_are_not_its_own(tmp_path: Path, source: Path) -> None:
    import openvino

    out = tmp_path / "out"
    xml = save(openvino.Core().read_model(source), out, "images", half=False)
    with start(source, out) as process:
        assert not xml.exists()
        process.kill()


def test_a_disk_that_takes_no_more_is_told_of(tmp_path: Path, source: Path) -> None:
    """OpenVINO says `iostream error`; the limit does what a full disk would."""
    import openvino

    model, limits = openvino.Core().read_model(source), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(
            Failure, match=re.compile(r"it\.xml cannot be written \(its disk has \d+ KiB")
        ):
            save(model, tmp_path / "out", "it", half=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert files(tmp_path / "out") == []
