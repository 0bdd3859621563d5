"""Which files of a model are wanted: of which precisions, for which backend, for which GPU."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterable, Mapping

import msgspec

from .errors import UsageError
from .gpu import FAMILIES, detected_family
from .model import KNOWN_PRECISIONS, Model, ModelFile

DEFAULT_BACKEND = "onnx"
BACKEND_VARIABLES = ("TVAI_BACKEND", "MODELZOO_BACKEND")
GPU_VARIABLES = ("TVAI_GPU_FAMILY", "MODELZOO_GPU")

SYSTEMS = {"linux": "Linux", "win32": "Windows", "darwin": "macOS"}
"""What `sys.platform` says, and what variants call it."""


class Target(msgspec.Struct, frozen=True, order=True):
    """What a file is made for: a backend, and where it matters a GPU family and a system."""

    backend: str
    gpu: str = ""
    system: str = ""

    def __str__(self) -> str:
        gpu = f" for {self.gpu}" if self.gpu else ""
        return f"{self.backend}{gpu}{f' on {self.system}' if self.system else ''}"


def variant_of(targets: Iterable[Target]) -> str:
    """The variant of a file for these: `onnx`, `onnx16,tensorrt-off`, `tensorrt/RTX30/Linux`."""
    parts = ("/".join((t.backend, t.gpu, t.system)).rstrip("/") for t in sorted(set(targets)))
    return ",".join(parts)


@functools.lru_cache(maxsize=256)  # a catalog has many files of few variants
def targets_of(variant: str | None) -> tuple[Target, ...]:
    """What a file of this variant is made for; nothing for a precision, or no variant."""
    if variant is None or variant in KNOWN_PRECISIONS:
        return ()
    return tuple(Target(*part.split("/")) for part in variant.split(","))


def backends_of(models: Iterable[Model]) -> list[str]:
    """The backends that files of these models are made for, sorted."""
    return sorted({target.backend for target in _targets(models)})


def alternatives(models: Iterable[Model], backend: str | None) -> list[str]:
    """What files of these models are made for: what else this backend is for, else the backends."""
    targets = _targets(models)
    return [str(t) for t in sorted(targets) if t.backend == backend] or backends_of(models)


def _targets(models: Iterable[Model]) -> set[Target]:
    variants = {file.variant for model in models for file in model.files}
    return {target for variant in variants for target in targets_of(variant)}


class Variants(msgspec.Struct, frozen=True):
    """The variants that are wanted; None: all. Files without a variant always are."""

    precisions: frozenset[str] | None = None
    backend: str | None = None
    gpu: str | None = None
    """The GPU family, None when nobody knows it."""
    system: str = SYSTEMS.get(sys.platform, sys.platform)

    def __str__(self) -> str:
        return str(Target(self.backend or "", self.gpu or "", self.system if self.gpu else ""))

    def files_of(self, model: Model) -> tuple[ModelFile, ...]:
        """The files of the model that are wanted; raises UsageError when that depends on the GPU."""
        return tuple(file for file in model.files if self._want(file.variant))

    def narrowed(self, models: Iterable[Model]) -> list[Model]:
        """The models with the files that are wanted; without those that have no other files."""
        cut = ((model, self.files_of(model)) for model in models)
        return [msgspec.structs.replace(m, files=files) for m, files in cut if files or not m.files]

    def _want(self, variant: str | None) -> bool:
        if variant in KNOWN_PRECISIONS:
            return self.precisions is None or variant in self.precisions
        if self.backend is None:
            return True
        targets = targets_of(variant)
        return not targets or any(map(self._fits, targets))

    def _fits(self, target: Target) -> bool:
        if target.backend != self.backend:
            return False
        if target.gpu and self.gpu is None:
            raise UsageError(
                f"the files of the backend {self.backend} depend on the GPU, and none was found here; "
                f"name its family with --gpu or TVAI_GPU_FAMILY: {', '.join(FAMILIES)}"
            )
        return target.gpu in ("", self.gpu) and target.system in ("", self.system)


EVERY_VARIANT = Variants()


def wanted_variants(
    backend: str | None = None, gpu: str | None = None, environ: Mapping[str, str] = os.environ
) -> Variants:
    """What is wanted for this backend and GPU family, else for those that the environment names.

    Raises UsageError for an unknown family. The machine is asked for its GPU only for TensorRT.
    """
    backend = backend or _first(BACKEND_VARIABLES, environ) or DEFAULT_BACKEND
    family: str | None = gpu or _first(GPU_VARIABLES, environ)
    if family and family not in FAMILIES:
        raise UsageError(f'unknown GPU family "{family[:40]}"; known are {", ".join(FAMILIES)}')
    if not family and backend.startswith("tensorrt"):
        family = detected_family()
    return Variants(backend=backend, gpu=family or None)


def _first(variables: Iterable[str], environ: Mapping[str, str]) -> str:
    """The first of the variables that is set."""
    return next(filter(None, (environ.get(name, "").strip() for name in variables)), "")
