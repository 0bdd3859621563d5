"""The preprocessing steps of accuracy-check.yml, each a function from an image to an image.

Images are numpy arrays of height, width and channels. What a step does, and its defaults, is Open
Model Zoo's accuracy checker's (release 2021.4), whose documentation describes them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..program import Failure
from .resizing import Array, Size, resize, resize_with_pillow, scaled

Options = Mapping[str, Any]
_GREY = (0.299, 0.587, 0.114)
"""The weights of red, green and blue (ITU-R BT.601)."""
_MEANS = {
    "imagenet": (104.00698793, 116.66876762, 122.67891434),
    "cifar10": (125.307, 122.961, 113.8575),
}


def prepare(image: Array, steps: Sequence[Options], model_size: Size | None) -> Array:
    """The image after all steps. Raises Failure for one that is not known or makes no sense."""
    for step in steps:
        kind = step.get("type")
        if kind == "auto_resize":
            if model_size is None:
                raise Failure("accuracy-check.yml: auto_resize needs a model whose input has one size")
            image = resize(image, model_size)
            continue
        act = STEPS.get(str(kind))
        if act is None:
            known = ", ".join([*STEPS, "auto_resize"])
            raise Failure(
                f'accuracy-check.yml: the preprocessing "{kind}" is not known; known are {known}'
            )
        image = act(image, step)
    return image


def _size(options: Options) -> Size | None:
    if "size" in options:
        return int(options["size"]), int(options["size"])
    if "dst_height" in options and "dst_width" in options:
        return int(options["dst_height"]), int(options["dst_width"])
    return None


def _resize(image: Array, options: Options) -> Array:
    size, height_width = _size(options), image.shape[:2]
    if kind := options.get("aspect_ratio_scale"):
        size = scaled(kind, size or height_width, height_width, float(options.get("scale", 1)))
        if factor := options.get("factor"):
            size = size[0] - (size[0] - 1) % factor, size[1] - (size[1] - 1) % factor
    if size is None:
        raise Failure("accuracy-check.yml: resize needs a size, or dst_height and dst_width")
    if options.get("use_pillow") or options.get("resize_realization") == "pillow":
        return resize_with_pillow(image, size, options.get("interpolation", "BILINEAR"))
    return resize(image, size, options.get("interpolation", "LINEAR"))


def _crop(image: Array, options: Options) -> Array:
    height, width = image.shape[:2]
    size = _size(options)
    if fraction := options.get("central_fraction"):
        size = int(height * fraction), int(width * fraction)
    elif options.get("max_square"):
        size = min(height, width), min(height, width)
    if size is None:
        raise Failure("accuracy-check.yml: crop needs a size, a central_fraction or max_square")
    if options.get("use_pillow"):
        top, left = round((height - size[0]) / 2), round((width - size[1]) / 2)
        return _window(image, top, left, size)
    if height < size[0] or width < size[1]:
        factor = max(size[0] / height, size[1] / width)
        image = resize(image, (math.ceil(height * factor), math.ceil(width * factor)))
        height, width = image.shape[:2]
    return _window(image, (height - size[0]) // 2, (width - size[1]) // 2, size)


def _window(image: Array, top: int, left: int, size: Size) -> Array:
    """A part of the image; what lies outside of it is black."""
    height, width = image.shape[:2]
    before = max(0, -top), max(0, -left)
    after = max(0, top + size[0] - height), max(0, left + size[1] - width)
    if any((*before, *after)):
        image = _pad_sides(image, before, after, 0)
    top, left = max(0, top), max(0, left)
    return image[top : top + size[0], left : left + size[1]]


def _corner_crop(image: Array, options: Options) -> Array:
    height, width = image.shape[:2]
    rows, columns = _size(options) or (height, width)
    vertical, _, horizontal = str(options.get("corner_type", "top_left")).partition("_")
    top = max(0, height - rows) if vertical == "bottom" else 0
    left = max(0, width - columns) if horizontal == "right" else 0
    return image[top : top + rows, left : left + columns]


def _padding(image: Array, options: Options) -> Array:
    height, width = image.shape[:2]
    stride = int(options.get("stride", 1))
    wanted = _size(options) or (height, width)
    full = math.ceil(wanted[0] / stride) * stride, math.ceil(max(wanted[1], width) / stride) * stride
    missing = max(0, full[0] - height), max(0, full[1] - width)
    kind = options.get("pad_type", "center")
    if kind == "center":
        extra = int(bool(options.get("left_top_extend")))
        before = (missing[0] + extra) // 2, (missing[1] + extra) // 2
    elif kind in ("left_top", "right_bottom"):
        before = missing if kind == "left_top" else (0, 0)
    else:
        raise Failure(f'accuracy-check.yml: pad_type "{kind}" is not known')
    after = missing[0] - before[0], missing[1] - before[1]
    image = _pad_sides(image, before, after, options.get("pad_value", "0,0,0"))
    if options.get("enable_resize") and image.shape[:2] != (full[0], wanted[1]):
        image = resize(image, (full[0], wanted[1]))
    return image


def _pad_sides(image: Array, before: Size, after: Size, value: Any) -> Array:
    import numpy as np

    height, width, channels = image.shape
    shape = height + before[0] + after[0], width + before[1] + after[1], channels
    padded = np.empty(shape, image.dtype)
    padded[:] = _per_channel(value)[:channels]
    padded[before[0] : before[0] + height, before[1] : before[1] + width] = image
    return padded


def _normalization(image: Array, options: Options) -> Array:
    import numpy as np

    image = image.astype(np.float32)
    if (mean := options.get("mean")) is not None:
        image = image - _per_channel(_MEANS.get(mean, mean) if isinstance(mean, str) else mean)
    if (deviation := options.get("std")) is not None:
        known = _MEANS.get(deviation, deviation) if isinstance(deviation, str) else deviation
        image = image / _per_channel(known)
    return image


def _per_channel(value: Any) -> Array:
    """One number or several: a number, a list, or text like `(104, 117, 123)`."""
    import numpy as np

    words = value.strip("()[] ").split(",") if isinstance(value, str) else value
    try:
        return np.atleast_1d(np.asarray(words, np.float32))
    except (TypeError, ValueError):
        raise Failure(f"accuracy-check.yml: {value!r} is not a number or a list of them") from None


def _reverse(image: Array, options: Options) -> Array:
    return image[..., ::-1]


def _grey(weights: Sequence[float]) -> Callable[[Array, Options], Array]:
    def to_grey(image: Array, options: Options) -> Array:
        import numpy as np

        grey = image.astype(np.float32) @ np.asarray(weights, np.float32)
        return grey.round()[..., None] if image.dtype == np.uint8 else grey[..., None]

    return to_grey


def _flip(image: Array, options: Options) -> Array:
    mode = options.get("mode", "horizontal")
    return image[:, ::-1] if mode == "horizontal" else image[::-1]


STEPS: dict[str, Callable[[Array, Options], Array]] = {
    "resize": _resize,
    "crop": _crop,
    "corner_crop": _corner_crop,
    "padding": _padding,
    "normalization": _normalization,
    "bgr_to_rgb": _reverse,
    "rgb_to_bgr": _reverse,
    "bgr_to_gray": _grey(_GREY[::-1]),
    "rgb_to_gray": _grey(_GREY),
    "flip": _flip,
}
