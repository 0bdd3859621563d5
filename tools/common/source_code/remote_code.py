"""Running the code of a source, which somebody has consented to: downloads in a child process."""

from __future__ import annotations

import contextlib
import inspect
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..cancel import Cancel
from ..errors import ModelZooError, PostprocessingError, Reason
from ..files.disk import storage_errors
from ..files.paths import safe_path
from ..model import DownloadModel
from ..processes import wait_for
from . import consent, source_module

_MAX_ERROR = 2000  # characters of what the code says about its failure
_START = """import runpy, sys
sys.path[:] = [place for place in sys.path if place]
runpy.run_path(sys.argv[1], run_name="__main__")"""


def download_model(step: DownloadModel, folder: Path, staging: Path, cancel: Cancel) -> None:
    """Have the code in `folder` write the model below `staging`; raises ModelZooError.

    Its standard output goes to our standard error; it ends with us, however we end.
    """
    if not step.manager and not (folder / "__init__.py").is_file():
        _refuse(step, "the source has no __init__.py")
    consent.require(folder, step.source)
    target = staging / safe_path(step.file)
    with storage_errors(staging):
        target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="modelzoo-") as scratch:
        error = Path(scratch, "error")
        task = {
            "folder": str(folder),
            "model": step.model,
            "path": str(target.absolute()),
            "manager": step.manager,
            "config": step.config,
            "error": str(error),
        }
        status = _run(json.dumps(task), staging, cancel)
        if status == source_module.FAILED and error.is_file():
            _refuse(step, error.read_text("utf-8", "replace")[:_MAX_ERROR])
        if status != 0:
            _refuse(step, f"ended with exit status {status}")
    with storage_errors(staging):
        _tidy(staging)
        _inspect(step, staging, target)


def _refuse(step: DownloadModel, problem: str) -> None:
    what = step.manager or "download_model()"
    raise PostprocessingError(f'{what} of the source "{step.source}": {problem}')


def _run(task: str, staging: Path, cancel: Cancel) -> int:
    """The exit status of the child process; raises Interrupted when it was stopped."""
    process = subprocess.Popen(  # noqa: S603 - it is our file, and what it runs was consented to
        [sys.executable, "-c", _START, source_module.__file__, task],
        stdin=subprocess.PIPE,  # nothing is written: that it closes tells the child to end
        stdout=2 if sys.stderr is not None else subprocess.DEVNULL,
        cwd=staging,
        start_new_session=True,
    )
    with process:
        status = wait_for(process, cancel)
    cancel.check()
    return status


def _tidy(staging: Path) -> None:
    """Drop what programs leave behind for themselves."""
    for path in staging.iterdir():
        if path.name.startswith(".") or path.name == "__pycache__":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _inspect(step: DownloadModel, staging: Path, target: Path) -> None:
    """Refuse what is no model: nothing, nothing in it, or something that only points elsewhere."""
    for path in staging.rglob("*"):
        name = path.relative_to(staging).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            _refuse(step, f'left "{name}", which is no regular file')
        safe_path(name)
    files = [target] if target.is_file() else list(target.rglob("*"))
    if not any(path.is_file() and path.stat().st_size for path in files):
        _refuse(step, f"ended, but there is nothing in {step.file}")


def load_model(folder: Path, source: str, model: str, path: str | None, options: dict[str, Any]) -> Any:
    """What the source's `load_model` makes of a model; raises what it raises, or ConsentRequired."""
    consent.require(folder, source)
    with _plainly(folder, source):
        function = source_module.function_of(str(folder), "load_model")
    return function(model, path, **options)


def load_configured(
    folder: Path, source: str, kind: str, config: dict[str, Any], path: str | None, options: Any
) -> Any:
    """An object of the class that a manifest names, with its configuration and the model's path."""
    consent.require(folder, source)
    if kind.partition(".")[0] in ("fiftyone", "eta"):
        with _plainly(folder, source):
            import fiftyone.core.models as fiftyone_models  # type: ignore[import-not-found, unused-ignore]
        return fiftyone_models.load_model({"type": kind, "config": config}, model_path=path, **options)
    with _plainly(folder, source):
        made, config_class = source_module.classes_of(str(folder), kind)
    config = {**config, **options}
    if config_class is None:
        accepted = inspect.signature(made).parameters
        return made(**config, **({"model_path": path} if path and "model_path" in accepted else {}))
    configuration = source_module.configured(config_class, config)
    if path:
        configuration.model_name, configuration.model_path = None, path
    return made(configuration)


@contextlib.contextmanager
def _plainly(folder: Path, source: str) -> Iterator[None]:
    """Turn what keeps code from being found into one line."""
    try:
        yield
    except (ImportError, AttributeError, FileNotFoundError) as error:
        raise ModelZooError(
            f'the code of the source "{source}" ({folder}) cannot be used: {error}',
            Reason.INVALID_CATALOG,
        ) from error
