"""The code of a source as a module: imported with its neighbours, its classes found by dotted paths.

Only the standard library is used: a child process runs this very file, see remote_code.py.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from types import ModuleType
from typing import Any

FAILED = 70  # the exit status of a child whose error is in the file that was named


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads what can be read: consent is to that, so no bytecode is believed, and none is kept."""

    def path_stats(self, path: Any) -> Mapping[str, Any]:
        """Without times nothing can be compared with a `__pycache__`; the caller expects this error."""
        raise OSError


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of one source, in its folder alone."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        """See MetaPathFinder."""
        if path is None or not name.startswith(f"{self.package}."):
            return None
        machinery = importlib.machinery
        kinds = (
            (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES),
            (_Loader, machinery.SOURCE_SUFFIXES),
        )
        finders = (machinery.FileFinder(place, *kinds) for place in path)
        return next(filter(None, (finder.find_spec(name) for finder in finders)), None)


def import_source(folder: str) -> ModuleType:
    """The source's package, freshly imported; relative imports inside it work, also later ones.

    Raises FileNotFoundError when it has no `__init__.py`, and whatever its code raises.
    """
    name = "modelzoo_source_" + hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    for old in [n for n in sys.modules if n == name or n.startswith(f"{name}.")]:
        del sys.modules[old]
    if not any(isinstance(f, _Finder) and f.package == name for f in sys.meta_path):
        sys.meta_path.insert(0, _Finder(name))
    path = os.path.join(folder, "__init__.py")
    spec = importlib.util.spec_from_file_location(name, path, loader=_Loader(name, path))
    assert spec, "a loader was given"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        _Loader(name, path).exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def function_of(folder: str, name: str) -> Any:
    """A function that the source has to define; AttributeError when it does not."""
    function = getattr(import_source(folder), name, None)
    if not callable(function):
        raise AttributeError(f"__init__.py does not define {name}()")
    return function


def classes_of(folder: str, dotted: str) -> tuple[Any, Any]:
    """The class that a manifest names, and the class of its configuration if there is one.

    What the source holds itself comes before what is installed.
    """
    where, _, name = dotted.rpartition(".")
    top = os.path.join(folder, where.lstrip(".").partition(".")[0])
    if not where.strip(".") or os.path.isfile(f"{top}.py") or os.path.isdir(top):
        source = import_source(folder)
        inside = where.lstrip(".")
        module = importlib.import_module(f".{inside}", source.__name__) if inside else source
    else:
        module = importlib.import_module(where)
    return getattr(module, name), getattr(module, f"{name}Config", None)


def configured(config_class: Any, config: dict[str, Any]) -> Any:
    """A configuration object, made as FiftyOne does."""
    return getattr(config_class, "from_dict", config_class)(config)


def _download(task: dict[str, Any]) -> None:
    if not task["manager"]:
        function_of(task["folder"], "download_model")(task["model"], task["path"])
        return
    manager, config_class = classes_of(task["folder"], task["manager"])
    config = configured(config_class, task["config"]) if config_class else task["config"]
    manager(config).download_model(task["path"], force=True)


def _die_with_parent() -> None:
    """The parent holds the other end of standard input: when that closes, it is gone."""
    lifeline = os.dup(0)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)

    def wait() -> None:
        while os.read(lifeline, 64):
            pass
        if hasattr(os, "killpg"):
            os.killpg(0, signal.SIGKILL)  # with whatever the code has started
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _in_one_line(error: BaseException, folder: str) -> str:
    """What was raised, and the last place in the source that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [f for f in frames if f.filename.startswith(folder)]
    where = f" ({inside[-1].filename}, line {inside[-1].lineno})" if inside else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{where}"


def main(text: str) -> int:
    """Run one download in a process of its own; the task is JSON."""
    task = json.loads(text)
    _die_with_parent()
    try:
        _download(task)
    except Exception as error:
        with open(task["error"], "w", encoding="utf-8", errors="replace") as file:
            file.write(_in_one_line(error, task["folder"]))
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[2]))
