"""What the programs that are run by path have in common: how they end, and how they clean up."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

FINAL_FOLDER = "MODELZOO_FINAL_FOLDER"
"""The variable that names the folder where results go after the program has ended."""
_PACKAGES = {"PIL": "pillow", "yaml": "pyyaml"}
"""What a module's package is called, where it is called otherwise."""
_PLACE = re.compile(
    r"Check '.*' failed at .*|Exception from .*|FrontEnd API failed with \w+:|Summary:"
    "|.*Converter failed.*"
)
"""Lines of OpenVINO's messages that tell where in its source something happened, not what."""


class Failure(Exception):
    """A model, or what is asked of it, that cannot be done; the text is for whoever asked."""


def explain(error: Exception) -> str:
    """One line from a message of OpenVINO, which has many."""
    lines = (line.strip(" -") for line in str(error).splitlines())
    told = [line for line in lines if line and not _PLACE.fullmatch(line)]
    return " ".join(told)[:1000] or type(error).__name__


def run(prog: str, act: Callable[[], object]) -> int:
    """Do it and return the exit status; whatever goes wrong becomes one line on stderr."""
    signal.signal(signal.SIGTERM, _leave)
    try:
        act()
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        install = [sys.executable, "-m", "pip", "install", _PACKAGES.get(module, module)]
        return _fail(prog, f"this Python has no {install[-1]}; install it with: {shlex.join(install)}")
    except (Failure, OSError) as error:
        return _fail(prog, str(error))
    except Exception as error:  # what OpenVINO and NNCF raise has no family of its own
        return _fail(prog, explain(error))
    except KeyboardInterrupt:
        return 130
    return 0


def say(line: str) -> None:
    """Tell on stdout how far it is."""
    print(line, flush=True)


def warn(prog: str, message: str) -> None:
    """Tell on stderr what may not be meant."""
    print(f"{prog}: warning: {message}", file=sys.stderr, flush=True)


def announce(xml: Path) -> None:
    """Tell where the result is, as Model Optimizer does; or where whoever runs this will put it."""
    xml = Path(os.environ.get(FINAL_FOLDER) or xml.parent, xml.name)
    say(f"[ SUCCESS ] XML file: {xml}\n[ SUCCESS ] BIN file: {xml.with_suffix('.bin')}")


def _fail(prog: str, message: str) -> int:
    print(f"{prog}: error: {message}", file=sys.stderr, flush=True)
    return 1


def _leave(number: int, frame: FrameType | None) -> None:
    """End as `sys.exit` does, so that temporary files go."""
    sys.exit(128 + number)
