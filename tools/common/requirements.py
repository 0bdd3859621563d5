"""The Python packages that models say they need: which of them are missing."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from .errors import ModelZooError, UsageError
from .model import Model

if TYPE_CHECKING:
    from packaging.requirements import Requirement

Level = Literal["error", "warn", "ignore"]
LEVELS: tuple[Level, ...] = ("error", "warn", "ignore")


def parse_level(text: str) -> Level:
    """The level of this name; raises UsageError."""
    if text not in LEVELS:
        raise UsageError(f"expected one of {', '.join(LEVELS)}, got {text!r}")
    return text


class MissingRequirements(ModelZooError):
    """Packages, or the device, that models need are not there; `packages` can be installed."""

    def __init__(self, models: Sequence[str], problems: Sequence[str], packages: Sequence[str]) -> None:
        import shlex

        what = f"{', '.join(models)}: {'; '.join(problems)}"
        command = shlex.join([sys.executable, "-m", "pip", "install", *packages])
        super().__init__(what + (f"; install with: {command}" if packages else ""))
        self.models, self.packages = tuple(models), tuple(packages)


def ensure(models: Iterable[Model], level: Level, warn: Callable[[str], None]) -> None:
    """Raise MissingRequirements, or only warn, when models could not be used here."""
    if level == "ignore":
        return
    lacking: list[str] = []
    problems: dict[str, None] = {}
    packages: dict[str, None] = {}
    for model in models:
        found = list(missing(model))
        if found:
            lacking.append(model.id)
            problems |= dict.fromkeys(problem for problem, _ in found)
            packages |= dict.fromkeys(package for _, package in found if package)
    if lacking:
        error = MissingRequirements(lacking, list(problems), list(packages))
        if level == "error":
            raise error
        warn(str(error))


def missing(model: Model) -> Iterator[tuple[str, str]]:
    """What a model lacks here: in words, and the requirement to install, if that would help."""
    needs = model.model_info.get("requirements")
    if not isinstance(needs, dict):
        return
    cpu, gpu = (d if isinstance(d := needs.get(kind), dict) else {} for kind in ("cpu", "gpu"))
    device = gpu if (on_gpu := has_gpu()) else cpu
    if not on_gpu and cpu.get("support") is False:
        yield "needs a GPU, and none was found", ""
    for requirement in [*_listed(needs.get("packages")), *_listed(device.get("packages"))]:
        known = [found for text in requirement.split("|") if (found := _parse(text))]
        if not known:
            yield f"the requirement {requirement!r} cannot be read", ""
        elif not any(map(_is_there, known)):
            yield f"the package {requirement} is missing", str(known[0])


def _listed(packages: Any) -> list[str]:
    """The requirements, also where they are one text; what only a function could tell is nobody's."""
    if isinstance(packages, str):
        # A comma also separates the bounds of one version: what begins a package is its name.
        packages = re.split(r",(?=\s*[A-Za-z])", packages)
    if not isinstance(packages, list):
        return []
    return [text for item in packages if isinstance(item, str) and (text := item.strip())]


def _parse(text: str) -> Requirement | None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(text.strip())
    except InvalidRequirement:
        return None


def _is_there(wanted: Requirement) -> bool:
    """Whether an installed package meets a requirement, or it is not for this machine."""
    from importlib import metadata

    if wanted.marker and not wanted.marker.evaluate():
        return True
    try:
        version = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        return False
    return wanted.specifier.contains(version, prereleases=True)


def has_gpu() -> bool:
    """Whether there is a GPU that frameworks would use."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return False
    import shutil

    return os.path.exists("/proc/driver/nvidia/version") or shutil.which("nvidia-smi") is not None
