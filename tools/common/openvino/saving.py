"""Writing a model so that it is there whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .program import Failure, explain

_SUFFIX = ".part"


def save(model: Any, folder: Path, name: str, *, half: bool) -> Path:
    """Write `name.xml` and `name.bin`; returns the path of the first.

    The old .xml goes before the new .bin comes, the new one comes last: no .xml ever stands beside
    weights that are not its own. `half` stores weights as FP16. Raises Failure.
    """
    import openvino

    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"{name}.xml"
    with _staging(folder, name) as staging:
        try:
            openvino.save_model(model, staging / final.name, compress_to_fp16=half)
        except RuntimeError as error:  # of a full disk it says `iostream error`
            free = shutil.disk_usage(folder).free >> 10
            problem = f"cannot be written (its disk has {free} KiB left): {explain(error)}"
            raise Failure(f"{final.name} {problem}") from error
        for file in staging.iterdir():
            _sync(file)
        final.unlink(missing_ok=True)
        for suffix in (".bin", ".xml"):
            os.replace((staging / final.name).with_suffix(suffix), final.with_suffix(suffix))
    return final


def _sync(file: Path) -> None:
    """Have it on the disk before its name says that it is whole."""
    with open(file, "rb") as opened:
        os.fsync(opened.fileno())


@contextmanager
def _staging(folder: Path, name: str) -> Iterator[Path]:
    """A folder of this process beside the final files; what killed processes left there is removed."""
    owner = f".{name}.{socket.gethostname()}-"
    for old in folder.glob(f"{_escaped(owner)}*{_SUFFIX}"):
        number = re.fullmatch(r"\d+", old.name[len(owner) : -len(_SUFFIX)])
        if number and not _is_running(int(number[0])):
            shutil.rmtree(old, ignore_errors=True)
    staging = folder / f"{owner}{os.getpid()}{_SUFFIX}"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _escaped(text: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", text)


def _is_running(process: int) -> bool:
    """Whether there is such a process on this machine, as far as can be told."""
    if os.name == "nt":  # where signal 0 is not a question
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
