"""Sizes and interpolation of images (height, width, channels), as Open Model Zoo's checker has them.

Where it uses OpenCV, this is the same arithmetic in numpy: pixel centres at halves, no antialiasing,
and the cubic kernel with a = -0.75.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..program import Failure

Array = Any
"""A numpy array; numpy is imported only where it is needed."""
Size = tuple[int, int]
"""Height and width."""


def scaled(kind: str, wanted: Size, image: Size, scale: float = 1.0) -> Size:
    """The size an image becomes when its aspect ratio is kept in this way. Raises Failure."""
    try:
        return _SCALES[kind](wanted, image)
    except KeyError:
        pass
    if kind == "scale_factor":
        return int(image[0] * scale), int(image[1] * scale)
    known = ", ".join(sorted([*_SCALES, "scale_factor"]))
    raise Failure(f'accuracy-check.yml: aspect_ratio_scale "{kind}" is not known; known are {known}')


def _width(wanted: Size, image: Size) -> Size:
    return wanted[0], int(wanted[1] * image[1] / image[0])


def _height(wanted: Size, image: Size) -> Size:
    return int(wanted[0] * image[0] / image[1]), wanted[1]


def _greater(wanted: Size, image: Size) -> Size:
    return _height(wanted, image) if image[0] > image[1] else _width(wanted, image)


def _fit_to_window(wanted: Size, image: Size) -> Size:
    factor = min(wanted[0] / image[0], wanted[1] / image[1])
    return int(factor * image[0]), int(factor * image[1])


def _frcnn(wanted: Size, image: Size) -> Size:
    least, most = min(wanted), max(wanted)
    size = _greater((least, least), image)
    return size if max(size) <= most else _fit_to_window((most, most), image)


def _ctpn(wanted: Size, image: Size) -> Size:
    factor = min(wanted) / min(image)
    if round(factor * max(image)) > max(wanted):
        factor = max(wanted) / max(image)
    return round(image[0] * factor), round(image[1] * factor)


def _min_ratio(wanted: Size, image: Size) -> Size:
    ratio = min(image[0] / wanted[0], image[1] / wanted[1])
    return int(image[0] / ratio), int(image[1] / ratio)


def _mask_rcnn(wanted: Size, image: Size) -> Size:
    ratio = min(wanted) / min(image)
    return int(image[0] * ratio), int(image[1] * ratio)


_SCALES: dict[str, Callable[[Size, Size], Size]] = {
    "width": _width,
    "height": _height,
    "greater": _greater,
    "fit_to_window": _fit_to_window,
    "frcnn_keep_aspect_ratio": _frcnn,
    "ctpn_keep_aspect_ratio": _ctpn,
    "min_ratio": _min_ratio,
    "mask_rcnn_benchmark_aspect_ratio": _mask_rcnn,
}


def resize(image: Array, size: Size, interpolation: str = "LINEAR") -> Array:
    """The image in this size, as float32. Raises Failure for an interpolation nobody knows."""
    import numpy as np

    try:
        kernel, reach = _KERNELS[interpolation.upper()]
    except KeyError:
        raise Failure(f'accuracy-check.yml: interpolation "{interpolation}" is not known') from None
    result = image.astype(np.float32)
    for axis, length in enumerate(size):
        if result.shape[axis] == length:
            continue
        if kernel is None:
            nearest = np.arange(length) * result.shape[axis] // length
            result = result.take(nearest, axis)
        else:
            result = _resample(result, axis, length, kernel, reach)
    return result.round().clip(0, 255) if image.dtype == np.uint8 else result


def _resample(
    image: Array, axis: int, length: int, kernel: Callable[[float], float], reach: int
) -> Array:
    """Resize along one axis: each new pixel is a weighted sum of `2 * reach` old ones."""
    import numpy as np

    old = image.shape[axis]
    weights = np.zeros((length, old), np.float32)
    for new in range(length):
        centre = (new + 0.5) * old / length - 0.5
        first = math.floor(centre) - reach + 1
        for index in range(first, first + 2 * reach):
            weights[new, min(max(index, 0), old - 1)] += kernel(abs(index - centre))
    return np.moveaxis(np.tensordot(weights, image, (1, axis)), 0, axis)


def _linear(distance: float) -> float:
    return max(0.0, 1.0 - distance)


def _cubic(distance: float) -> float:
    a = -0.75
    if distance <= 1:
        return ((a + 2) * distance - (a + 3)) * distance * distance + 1
    return ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a if distance < 2 else 0.0


_KERNELS: dict[str, tuple[Callable[[float], float] | None, int]] = {
    "NEAREST": (None, 0),
    "LINEAR": (_linear, 1),
    "BILINEAR": (_linear, 1),
    "CUBIC": (_cubic, 2),
    "BICUBIC": (_cubic, 2),
}


def resize_with_pillow(image: Array, size: Size, interpolation: str = "BILINEAR") -> Array:
    """The same with Pillow, which smooths what it makes smaller. Raises Failure."""
    import numpy as np
    from PIL import Image

    name = {"LINEAR": "BILINEAR", "CUBIC": "BICUBIC", "ANTIALIAS": "LANCZOS"}.get(
        interpolation.upper(), interpolation.upper()
    )
    try:
        filter_ = Image.Resampling[name]
    except KeyError:
        raise Failure(f'accuracy-check.yml: interpolation "{interpolation}" is not known') from None
    pixels = image[..., 0] if image.shape[-1] == 1 else image
    resized = Image.fromarray(pixels.astype(np.uint8)).resize((size[1], size[0]), filter_)
    result = np.asarray(resized).astype(np.float32)
    return result[..., None] if result.ndim == 2 else result
