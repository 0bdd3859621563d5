"""Calibration images: which there are, and their pixels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any

from ..program import Failure
from .accuracy_check import Check
from .resizing import Array

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".pgm", ".tif", ".tiff", ".webp"}


def find_images(root: Path, check: Check, count: int) -> list[Path]:
    """At most `count` images, evenly spread over all in the order of their names.

    They are those that the annotation names, when that is there; else all in the data set's folder;
    else, when there is none of its name, all in the folder of data sets. Raises Failure without any.
    """
    named = (root / name for name in (check.data_source, check.dataset) if name and _stays_inside(name))
    folder = next((place for place in named if place.is_dir()), root)
    images = _annotated(root, folder, check.annotation) or _all_images(folder)
    if not images:
        raise Failure(f"there is no image to calibrate with in {folder}")
    step = max(1.0, len(images) / count)
    return [images[int(index * step)] for index in range(min(count, len(images)))]


def _all_images(folder: Path) -> list[Path]:
    return sorted(
        file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file()
    )


def _annotated(root: Path, folder: Path, annotation: Mapping[str, Any]) -> list[Path]:
    """The images that an annotation names; none where it is missing or not of a known kind."""
    key, read = _CONVERTERS.get(str(annotation.get("converter")), ("", _no_names))
    name = str(annotation.get(key) or "")
    file = root / name
    if not _stays_inside(name) or not file.is_file():
        return []
    try:
        names = read(file.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise Failure(f"{file} cannot be read as an annotation: {error!r}") from None
    paths = (folder / name for name in names if _stays_inside(name))
    return [path for path in paths if path.is_file()]


def _stays_inside(name: str) -> bool:
    """Whether a path that others wrote leads into the folder it is relative to."""
    path = PurePath(name)
    return not path.is_absolute() and not path.drive and ".." not in path.parts


def _no_names(text: str) -> list[str]:
    return []


def _first_words(text: str) -> list[str]:
    """Lines of a file's name and a label (ImageNet)."""
    return [Path(line.split()[0]).name for line in text.splitlines() if line.strip()]


def _coco(text: str) -> list[str]:
    return [str(image["file_name"]) for image in json.loads(text)["images"]]


def _voc(text: str) -> list[str]:
    return [f"{line.split()[0]}.jpg" for line in text.splitlines() if line.strip()]


def _wider(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().endswith(".jpg")]


_CONVERTERS: dict[str, tuple[str, Callable[[str], list[str]]]] = {
    "imagenet": ("annotation_file", _first_words),
    "mscoco_detection": ("annotation_file", _coco),
    "mscoco_keypoints": ("annotation_file", _coco),
    "mscoco_segmentation": ("annotation_file", _coco),
    "voc_detection": ("imageset_file", _voc),
    "voc_segmentation": ("imageset_file", _voc),
    "wider": ("annotation_file", _wider),
}
"""Where the names of the images are, for each converter of annotations."""


def read_image(file: Path, check: Check) -> Array:
    """Its pixels: height, width and channels, in the order of the reader. Raises Failure."""
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            pixels = np.asarray(image.convert("L" if check.grey else "RGB"))
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        raise Failure(f"{file} cannot be read as an image: {error}") from None
    if check.grey:
        return pixels[..., None]
    return pixels[..., ::-1] if check.reader == "opencv_imread" else pixels
