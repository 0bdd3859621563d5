"""Tools that do several things: one module of the tool's folder is one subcommand.

Such a module has `add_options(parser)` and `run(options)`, which returns the exit status; the first
line of its docstring is its help. If it has `OWN_VERSION`, `--version` is one of its own options. One
with commands of its own has a `main`, like a tool. Only the module that is asked for is imported.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from types import ModuleType

from .options import Parser


def dispatch(tool: ModuleType, arguments: list[str], program: str) -> int:
    """Run the subcommand that the first argument names; returns the exit status."""
    names = sorted(module.name for module in pkgutil.iter_modules(tool.__path__))
    if not arguments or arguments[0] not in names:
        _refuse(tool, names, arguments, program)
    module = _module(tool, arguments[0])
    if hasattr(module, "main"):
        return int(module.main(arguments[1:], f"{program} {arguments[0]}"))
    own_version = getattr(module, "OWN_VERSION", False)
    parser = Parser(f"{program} {arguments[0]}", _first_line(module), own_version=own_version)
    module.add_options(parser)
    return int(module.run(parser.parse(arguments[1:])))


def _refuse(tool: ModuleType, names: Sequence[str], arguments: list[str], program: str) -> None:
    """Print the help or the version that was asked for, or raise UsageError."""
    width = max(map(len, names))
    lines = [f"  {name:<{width}}  {_first_line(_module(tool, name))}" for name in names]
    commands = "\n".join(["commands, each with a --help of its own:", *lines])
    parser = Parser(program, _first_line(tool), epilog=commands)
    parser.add_argument("command", choices=names, metavar="COMMAND", help="one of those below")
    parser.parse(arguments[:1])


def _module(tool: ModuleType, name: str) -> ModuleType:
    return importlib.import_module(f".{name}", tool.__name__)


def _first_line(module: ModuleType) -> str:
    """What a module's docstring says of the command, as a sentence of the help."""
    line = (module.__doc__ or "").partition("\n")[0].rpartition(": ")[2]
    return line[:1].upper() + line[1:]
