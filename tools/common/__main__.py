"""The way in: the scripts, the installed commands, and `python -m modelzoo TOOL`."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent


def tools() -> list[str]:
    """The names of all tools: the modules in `commands` that have a `main`."""
    names = [module.name for module in pkgutil.iter_modules([str(HERE / "commands")])]
    modules = (importlib.import_module(f".commands.{name}", __package__) for name in names)
    return [n for n, module in zip(names, modules, strict=True) if hasattr(module, "main")]


def run(tool: str, arguments: Sequence[str], program: str) -> int:
    """Run a tool; returns its exit status. A missing dependency becomes one line that helps."""
    try:
        module = importlib.import_module(f".commands.{tool}", __package__)
        session = importlib.import_module(".commands.session", __package__)
        return int(session.run(module.main, arguments, program))
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "common", "modelzoo"):
            raise
        requirements = HERE.parent.parent / "requirements.in"
        what = f"-r {requirements}" if requirements.is_file() else "modelzoo-tools"
        command = f"{sys.executable} -m pip install {what}"
        print(f"{program}: the package {missing} is missing; install with: {command}", file=sys.stderr)
        return 1


def installed() -> int:
    """The entry point of the installed commands: `modelzoo-info-dumper` runs `info_dumper`."""
    program = Path(sys.argv[0]).name
    tool = program.removesuffix(".exe").removeprefix("modelzoo-").replace("-", "_")
    return run(tool, sys.argv[1:], program)


def main() -> int:
    """`python -m modelzoo TOOL ARGUMENTS…`."""
    tool = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if tool.isidentifier() and (HERE / "commands" / f"{tool}.py").is_file() and tool in tools():
        return run(tool, sys.argv[2:], f"python -m {__package__} {tool}")
    wanted = tool in ("-h", "--help")
    usage = f"usage: python -m {__package__} {{{','.join(tools())}}} ..."
    print(usage, file=sys.stdout if wanted else sys.stderr)
    return 0 if wanted else 2


if __name__ == "__main__":
    sys.exit(main())
