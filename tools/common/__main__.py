"""The way in: the scripts, the installed commands, and `python -m modelzoo TOOL`."""

from __future__ import annotations

import gc
import importlib
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

_PACKAGES = {"yaml": "pyyaml"}
"""What a module's package is called, where it is called otherwise."""


def tools() -> list[str]:
    """The names of all tools: the modules in `commands` that have a `main`."""
    import pkgutil

    names = [module.name for module in pkgutil.iter_modules([str(HERE / "commands")])]
    modules = (importlib.import_module(f".commands.{name}", __package__) for name in names)
    return [n for n, module in zip(names, modules, strict=True) if hasattr(module, "main")]


def run(tool: str, arguments: Sequence[str], program: str) -> int:
    """Run a tool; returns its exit status."""

    def act() -> int:
        module = importlib.import_module(f".commands.{tool}", __package__)
        return _session(module.main, arguments, program)

    return _explained(act, program)


def _session(main: Callable[[list[str], str], int], arguments: Sequence[str], program: str) -> int:
    session = importlib.import_module(".commands.session", __package__)
    return int(session.run(main, arguments, program))


def _explained(act: Callable[[], int], program: str) -> int:
    """What `act` returns; a missing dependency becomes one line that helps."""
    gc.set_threshold(100_000, 50, 50)  # nearly all that a run makes is needed to its end
    try:
        return act()
    except KeyboardInterrupt:  # while the modules are still being imported
        return 130
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "common", "modelzoo"):
            raise
        import shlex

        requirements = HERE.parent.parent / "requirements.in"
        what = ["-r", str(requirements)] if requirements.is_file() else ["modelzoo-tools"]
        command = shlex.join([sys.executable, "-m", "pip", "install", *what])
        package = _PACKAGES.get(missing, missing)
        print(f"{program}: the package {package} is missing; install with: {command}", file=sys.stderr)
        return 1
    finally:
        # All is said; what the interpreter does at its end cannot be interrupted without a traceback.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        gc.freeze()  # nor does it have to look through everything for cycles three times


def _installed(tool: str) -> int:
    return run(tool, sys.argv[1:], Path(sys.argv[0]).name)


# The entry points of the installed commands, which may be started through a link of any name.
converter = partial(_installed, "converter")
downloader = partial(_installed, "downloader")
info_dumper = partial(_installed, "info_dumper")
inventory = partial(_installed, "inventory")
publisher = partial(_installed, "publisher")
quantizer = partial(_installed, "quantizer")
sources = partial(_installed, "sources")


def main() -> int:
    """`python -m modelzoo TOOL ARGUMENTS…`."""
    program = f"python -m {__package__}"
    return _explained(lambda: _session(_choose, sys.argv[1:], program), program)


def _choose(arguments: list[str], program: str) -> int:
    tool = arguments[0] if arguments else ""
    if (module := _module(tool)) is None:
        options = importlib.import_module(".commands.options", __package__)
        parser = options.Parser(program, "Get model files and keep them. Each tool has its own --help.")
        parser.add_argument("tool", choices=tools(), help="what to run, with its arguments after it")
        parser.parse(arguments[:1])  # gives help, or says what is wrong
    return _session(module.main, arguments[1:], f"{program} {tool}")  # its errors name the tool


def _module(tool: str) -> Any:
    """The module of this tool, without importing those of others; None where it is none."""
    from importlib.util import find_spec

    if not tool.isidentifier() or find_spec(f".commands.{tool}", __package__) is None:
        return None
    module = importlib.import_module(f".commands.{tool}", __package__)
    return module if hasattr(module, "main") else None


if __name__ == "__main__":
    sys.exit(main())
