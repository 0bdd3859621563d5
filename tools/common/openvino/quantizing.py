"""Quantizing one model: what is skipped, POT's configuration, and what becomes of the results."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import msgspec

from ..cancel import Cancel
from ..errors import CatalogError
from ..files.disk import storage_errors
from ..files.documents import read_yaml
from . import staging
from .folders import LocalFolder, ModelFolder
from .locate import Tool
from .opening import open_folder
from .output import Output, Renaming, heading, run, say_command, skip
from .places import here
from .records import Ledger, fingerprint, record_path
from .steps import Subject, quote

RECORDS = "quantizations"
INPUTS = {"FP16-INT8": "FP16", "FP32-INT8": "FP32"}
"""What a model can be quantized to, and from what."""

_DEFAULT = {
    "compression": {
        "algorithms": [
            {
                "name": "DefaultQuantization",
                "params": {"preset": "performance", "stat_subset_size": 300},
            }
        ]
    }
}


class Quantization(msgspec.Struct, frozen=True, tag=True):
    """One model to quantize."""

    subject: Subject
    model_dir: str
    output_dir: str
    dataset_dir: str
    precisions: tuple[str, ...]
    tool: Tool
    target_device: str | None = None
    force: bool = False

    @property
    def models(self) -> Path:
        """The model's folder with what is to be quantized, on this machine."""
        return here(self.model_dir) / self.subject.subdirectory

    @property
    def target(self) -> Path:
        """The model's folder with what was quantized, on this machine."""
        return here(self.output_dir) / self.subject.subdirectory

    @property
    def wanted(self) -> list[str]:
        """The precisions that the model can have and that are asked for."""
        return sorted({*self.precisions} & {*self.subject.quantization_output_precisions})


def reason_to_skip(task: Quantization) -> str | None:
    """Why nothing is to be done for a model, as Open Model Zoo says it; None when there is."""
    if not task.subject.quantization_output_precisions:
        return "quantization not supported"
    return None if task.wanted else "all precisions skipped"


def show(task: Quantization, output: Output, scratch: Path) -> None:
    """Say what would be run, and write the toolkit's configuration for a look at it."""
    output = Renaming(output, task.model_dir, task.output_dir)
    folders = _Folders(task, output, Cancel())
    for precision in task.wanted:
        job = _Job(task, folders, precision, scratch)
        job.announce(output, "(DRY RUN) ")
        job.write_config()
        output.write("\n")


def quantize(task: Quantization, output: Output, cancel: Cancel, scratch: Path) -> bool:
    """Do what is not up to date; whether all went well. Raises ModelZooError."""
    output = Renaming(output, task.model_dir, task.output_dir)
    root = here(task.output_dir)
    with staging.alone(record_path(root, RECORDS, task.subject), cancel) as is_alone:
        folders = _Folders(task, output, cancel)
        ledger = Ledger(RECORDS, task.subject, folders.results)
        ledger.read()
        name = f"{task.subject.source}-{task.subject.name}"
        with staging.staging(root, name, is_alone) as folder:
            return all(
                _Job(task, folders, precision, scratch).do(ledger, folder / precision, output, cancel)
                for precision in task.wanted
            )


class _Folders:
    """Where one model's files are, and where its results go."""

    def __init__(self, task: Quantization, output: Output, cancel: Cancel) -> None:
        below = task.subject.subdirectory
        self.models = open_folder(task.model_dir, below, output, cancel)
        self.results = open_folder(task.output_dir, below, output, cancel)


class _Job:
    """One model to one precision."""

    def __init__(self, task: Quantization, folders: _Folders, precision: str, scratch: Path) -> None:
        self._task, self._precision, self._scratch = task, precision, scratch
        self._folders = folders
        self._name = task.subject.name
        self._folder = task.target / precision
        self._config_path = self._folder / "pot-config.json"
        self._config = self._make_config()

    @property
    def _inputs(self) -> list[str]:
        start = f"{INPUTS[self._precision]}/{self._name}"
        return [f"{start}.xml", f"{start}.bin"]

    def _make_config(self) -> dict[str, Any]:
        """The configuration that Open Model Zoo's quantizer writes. Raises CatalogError."""
        own = Path(self._task.subject.config_dir, "quantization.yml")
        if own.exists():
            base = read_yaml(own, str(own), self._name)
            if not isinstance(base, dict) or not isinstance(base.get("compression"), dict):
                raise CatalogError("is required", file=str(own), model=self._name, key="compression")
        else:
            base = _DEFAULT
        if device := self._task.target_device:
            base = {**base, "compression": {**base["compression"], "target_device": device}}
        model, weights = (str(self._task.models / name) for name in self._inputs)
        return {
            **base,
            "engine": {"config": str(Path(self._task.subject.config_dir, "accuracy-check.yml"))},
            "model": {"model": model, "weights": weights, "model_name": self._name},
        }

    def write_config(self) -> None:
        """Write it where people look for it; raises StorageError, TransferError."""
        data = (json.dumps(self._config, indent=4) + "\n").encode()
        self._folders.results.write(f"{self._precision}/{self._config_path.name}", data)

    def _command(self, results: Path) -> list[str]:
        where = [f"--config={self._config_path}", "--direct-dump", f"--output-dir={results}"]
        return [*self._task.tool.command, *where]

    def _variables(self) -> dict[str, str]:
        task = self._task
        root = Path(task.subject.config_dir)
        for _ in Path(task.subject.subdirectory).parts:
            root = root.parent
        return {
            "ANNOTATIONS_DIR": str(self._scratch / "annotations"),
            "DATA_DIR": task.dataset_dir,
            "DEFINITIONS_FILE": str(root.parent / "data" / "dataset_definitions.yml"),
            "MODELS_DIR": str(task.models),
        }

    def announce(self, output: Output, mark: str = "") -> None:
        """Say what is about to be run."""
        start = INPUTS[self._precision]
        heading(output, f"{mark}Quantizing {self._name} from {start} to {self._precision}")
        output.write(f"Creating {self._config_path}...\n")
        say_command(output, "Quantization command", self._command(self._folder / "pot-output"))
        variables = (f"{name}={quote(value)}" for name, value in self._variables().items())
        output.write(f"Quantization environment: {' '.join(variables)}\n")

    def do(self, ledger: Ledger, aside: Path, output: Output, cancel: Cancel) -> bool:
        """Quantize unless the results are up to date; whether they are there."""
        settings = {key: value for key, value in self._config.items() if key not in ("engine", "model")}
        depends = fingerprint(settings, self._task.tool.version, self._digests(ledger))
        if not self._task.force and ledger.is_done(self._precision, depends):
            skip(output, f"{self._name}: {self._precision}", "up to date")
            return True
        self.announce(output)
        self.write_config()
        output.write("\n")
        ledger.forget(self._precision)
        with storage_errors(self._task.models):
            self._folders.models.bring(self._inputs)
        with storage_errors(aside):
            (aside / "pot-output").mkdir(parents=True)
        command = self._command(aside / "pot-output")
        successful = run(output, cancel, command, self._variables())
        output.write("\n")
        return successful and self._take(ledger, aside, depends, output)

    def _take(self, ledger: Ledger, aside: Path, depends: str, output: Output) -> bool:
        made = aside / "pot-output" / "optimized"
        for suffix in (".xml", ".bin"):
            if not (made / f"{self._name}{suffix}").is_file():
                output.warn(f"{self._name}: the command ended well, but left no {suffix} file")
                return False
        output.write(f"Moving quantized model to {self._folder}...\n\n")
        names = staging.publish(made, self._folder)
        ledger.note(self._precision, depends, [f"{self._precision}/{name}" for name in names])
        return True

    def _digests(self, ledger: Ledger) -> list[str]:
        """What decides about the results beside the arguments; the program tells of a missing file."""
        models, beside = self._folders.models, LocalFolder(Path(self._task.subject.config_dir), "")
        files: list[tuple[ModelFolder, str]]
        files = [*((models, name) for name in self._inputs), (beside, "accuracy-check.yml")]
        found = []
        for folder, name in files:
            with storage_errors(folder.path / name), contextlib.suppress(FileNotFoundError):
                found.append(ledger.digest(folder, name))
        return [*found, _listing(self._task.dataset_dir)]


def _listing(folder: str) -> str:
    """What changes with a data set, which may be too large to be read: names, sizes, times."""
    found = []
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(place, name)
            with contextlib.suppress(OSError):
                seen = os.stat(path)
                found.append((os.path.relpath(path, folder), seen.st_size, seen.st_mtime_ns))
    return fingerprint(found)
