"""The way in: the scripts, the installed commands, and `python -m modelzoo TOOL`."""

from __future__ import annotations

import importlib
import pkgutil
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent


def tools() -> list[str]:
    """The names of all tools: the modules in `commands` that have a `main`."""
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
    try:
        return act()
    except KeyboardInterrupt:  # while the modules are still being imported
        return 130
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "common", "modelzoo"):
            raise
        requirements = HERE.parent.parent / "requirements.in"
        what = ["-r", str(requirements)] if requirements.is_file() else ["modelzoo-tools"]
        command = shlex.join([sys.executable, "-m", "pip", "install", *what])
        print(f"{program}: the package {missing} is missing; install with: {command}", file=sys.stderr)
        return 1


def installed() -> int:
    """The entry point of the installed commands: `modelzoo-info-dumper` runs `info_dumper`."""
    program = Path(sys.argv[0]).name
    tool = program.removesuffix(".exe").removeprefix("modelzoo-").replace("-", "_")
    return run(tool, sys.argv[1:], program)


def main() -> int:
    """`python -m modelzoo TOOL ARGUMENTS…`."""
    program = f"python -m {__package__}"
    return _explained(lambda: _session(_choose, sys.argv[1:], program), program)


def _choose(arguments: list[str], program: str) -> int:
    options = importlib.import_module(".commands.options", __package__)
    parser = options.Parser(program, "Get model files and keep them. Each tool has its own --help.")
    parser.add_argument("tool", choices=tools(), help="what to run, with its arguments after it")
    tool = parser.parse(arguments[:1]).tool
    module = importlib.import_module(f".commands.{tool}", __package__)
    return int(module.main(arguments[1:], f"{program} {tool}"))


if __name__ == "__main__":
    sys.exit(main())
