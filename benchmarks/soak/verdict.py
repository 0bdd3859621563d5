"""Whether a soak has left everything right: files, folders, cache and events."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..corpus import File, wrong_files
from ..environments import ROOT

_SCHEMA = ROOT / "docs" / "events.schema.json"
_RECEIPTS = ".modelzoo/receipts/"
_VARIABLE = re.compile(rb"[0-9a-f]{32,}|[0-9]+")


def judge_output(output: Path, files: Sequence[File]) -> list[str]:
    """Files that are missing, wrong or should not be there, and folders that nobody needs."""
    found = [f"{path} is missing or wrong" for path in wrong_files(output, files)]
    wanted = {file.path for file in files}
    for path in _names(output):
        if path not in wanted and not path.startswith(_RECEIPTS):
            found.append(f"{path} was left in the output folder")
    return found + _leftover_folders(output)


def _leftover_folders(output: Path) -> list[str]:
    state = output / ".modelzoo"
    names = sorted(path.name for path in state.iterdir()) if state.is_dir() else []
    return [f".modelzoo/{name} was left" for name in names if name != "receipts"]


def judge_finished(output: Path, files: Sequence[File]) -> list[str]:
    """What has its final name while runs go on, and is not whole."""
    there = [file for file in files if (output / file.path).exists()]
    return [f"{path} had its name before it was right" for path in wrong_files(output, there)]


def judge_cache(cache: Path, files: Sequence[File]) -> list[str]:
    """Entries that are not what their names say, or that nobody asked for, and what is in staging."""
    wanted = {file.sha384 for file in files}
    found = []
    for name in _names(cache):
        digest = "".join(name.split("/")[1:])
        if name.startswith("1/staging/"):
            found.append(f"{name} was left in the cache")
        elif digest not in wanted:
            found.append(f"{name} does not belong into the cache")
        elif hashlib.sha384((cache / name).read_bytes()).hexdigest() != digest:
            found.append(f"{name} is wrong in the cache")
    return found


def _names(folder: Path) -> list[str]:
    found = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
    return sorted(path.relative_to(folder).as_posix() for path in found)


def judge_events(lines: Iterable[bytes]) -> list[str]:
    """Lines that are not events by the schema; where jsonschema is not installed, not JSON."""
    # Lines that differ in numbers and digests alone are compared with the schema once.
    kinds = {_VARIABLE.sub(b"0", line): line for line in lines}
    try:
        import jsonschema  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        return [f"not JSON: {line!r}" for line in kinds.values() if not _is_json(line)]
    validator = jsonschema.Draft202012Validator(json.loads(_SCHEMA.read_text(encoding="utf-8")))
    return [
        f"not an event: {line!r}"
        for line in kinds.values()
        if not _is_json(line) or not validator.is_valid(json.loads(line))
    ]


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
