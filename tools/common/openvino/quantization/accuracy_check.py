"""Reading accuracy-check.yml: where calibration images are, and what is done to them.

The format is that of Open Model Zoo's accuracy checker 2021.4; a model's file names a data set, which
may be described there or in the file `dataset_definitions.yml` of the zoo.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..program import Failure

_LAUNCHERS = ("dlsdk", "openvino")
"""Those that run the converted model; the file may tell of the original one too."""
_IMAGE_READERS = ("opencv_imread", "pillow_imread", "scipy_imread", "skimage_imread")


@dataclass(frozen=True)
class Check:
    """How the converted model is fed."""

    dataset: str = ""
    data_source: str = ""
    """The folder of the images, in that of all data sets."""
    annotation: Mapping[str, Any] = field(default_factory=dict)
    """The converter of the annotation, and its files."""
    reader: str = "opencv_imread"
    """OpenCV gives blue, green and red; the others red, green and blue."""
    grey: bool = False
    steps: tuple[Mapping[str, Any], ...] = ()
    inputs: tuple[Mapping[str, Any], ...] = ()
    """What is told about the inputs: `name`, `type`, and `value` of constants."""


def read_check(file: Path, name: str, definitions: Path | None = None) -> Check:
    """What the file says about this model. Raises Failure, or OSError without the file."""
    document = _mapping(file)
    entry = _entry(document, name, file)
    launcher = next(lch for lch in entry["launchers"] if lch.get("framework") in _LAUNCHERS)
    dataset = (entry.get("datasets") or [{}])[0]
    defined = _definition(definitions, str(dataset.get("name", "")))
    return _check({**defined, **dataset}, launcher, file)


def _entry(document: Mapping[str, Any], name: str, file: Path) -> Mapping[str, Any]:
    """The first entry that runs the converted model, one of its own name before others."""
    entries = [
        entry
        for entry in document.get("models") or ()
        if any(launcher.get("framework") in _LAUNCHERS for launcher in entry.get("launchers") or ())
    ]
    if not entries:
        raise Failure(f"{file} says nothing about the converted model (a launcher dlsdk)")
    return next((entry for entry in entries if entry.get("name") == name), entries[0])


def _definition(file: Path | None, name: str) -> Mapping[str, Any]:
    if file is None or not file.is_file():
        return {}
    datasets = _mapping(file).get("datasets") or ()
    return next((dataset for dataset in datasets if dataset.get("name") == name), {})


def _check(dataset: Mapping[str, Any], launcher: Mapping[str, Any], file: Path) -> Check:
    reader = dataset.get("reader") or "opencv_imread"
    told = reader if isinstance(reader, dict) else {"type": reader}
    if told["type"] not in _IMAGE_READERS:
        raise Failure(f'{file}: the reader "{told["type"]}" does not read images')
    return Check(
        dataset=str(dataset.get("name", "")),
        data_source=str(dataset.get("data_source") or ""),
        annotation=dataset.get("annotation_conversion") or {},
        reader=told["type"],
        grey=told.get("reading_flag") == "gray",
        steps=tuple(dataset.get("preprocessing") or ()),
        inputs=tuple(launcher.get("inputs") or ()),
    )


def _mapping(file: Path) -> Mapping[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Failure(f"{file} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise Failure(f"{file} is not a mapping")
    return document
