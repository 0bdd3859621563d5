"""Each preprocessing step of accuracy-check.yml, against its definition written out pixel by pixel."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.openvino.program import Failure
from modelzoo.openvino.quantization.accuracy_check import Check
from modelzoo.openvino.quantization.images import read_image
from modelzoo.openvino.quantization.preprocessing import STEPS, prepare
from modelzoo.openvino.quantization.resizing import resize, scaled
from PIL import Image

Array = Any
RANDOM = np.random.default_rng(7)
IMAGE = RANDOM.integers(0, 256, (9, 12, 3)).astype(np.uint8)
TALL = IMAGE.transpose(1, 0, 2)
DOCUMENTED = {
    "resize",
    "crop",
    "corner_crop",
    "padding",
    "normalization",
    "bgr_to_rgb",
    "rgb_to_bgr",
    "bgr_to_gray",
    "rgb_to_gray",
    "flip",
}


def step(image: Array, kind: str, **options: Any) -> Array:
    return prepare(image, [{"type": kind, **options}], None)


def linear(image: Array, height: int, width: int) -> Array:
    """Bilinear interpolation between pixel centres, the border repeated: one pixel after the other."""
    rows, columns, _ = image.shape
    result = np.zeros((height, width, image.shape[2]))
    for y in range(height):
        for x in range(width):
            v, u = (y + 0.5) * rows / height - 0.5, (x + 0.5) * columns / width - 0.5
            top, left = math.floor(v), math.floor(u)
            for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
                share = (1 - abs(v - row)) * (1 - abs(u - column))
                pixel = image[min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)]
                result[y, x] += share * pixel
    return result


def near(found: Array, expected: Array, tolerance: float = 0.51) -> bool:
    """Whether they agree up to the rounding of pixels."""
    return found.shape == expected.shape and float(np.abs(found - expected).max()) <= tolerance


def test_there_is_a_test_for_every_step() -> None:
    assert set(STEPS) == DOCUMENTED


@pytest.mark.parametrize("size", [(5, 5), (9, 12), (20, 7), (1, 1), (18, 24)])
def test_resize(size: tuple[int, int]) -> None:
    found = step(IMAGE, "resize", dst_height=size[0], dst_width=size[1])
    assert near(found, linear(IMAGE, *size))
    assert found.dtype == np.float32
    assert near(
        step(IMAGE.astype(np.float32), "resize", dst_height=size[0], dst_width=size[1]),
        linear(IMAGE, *size),
        1e-3,
    )


def test_other_interpolations() -> None:
    nearest = IMAGE[[0, 3, 6]][:, [0, 4, 8]]
    assert near(step(IMAGE, "resize", size=3, interpolation="NEAREST"), nearest, 0)
    # A cubic through a straight line is that line, away from the borders.
    ramp = np.arange(40, dtype=np.float32)[None, :, None].repeat(4, 0)
    found = step(ramp, "resize", dst_height=4, dst_width=20, interpolation="CUBIC")
    assert near(found[:, 2:-2], linear(ramp, 4, 20)[:, 2:-2], 1e-3)
    with pytest.raises(Failure, match='interpolation "WAVES"'):
        step(IMAGE, "resize", size=3, interpolation="WAVES")


@pytest.mark.parametrize("interpolation", ["BILINEAR", "BICUBIC", "NEAREST"])
@pytest.mark.parametrize("image", [IMAGE, IMAGE[..., :1]])
def test_resize_with_pillow(image: Array, interpolation: str) -> None:
    found = step(image, "resize", size=4, use_pillow=True, interpolation=interpolation)
    pillow = Image.fromarray(image if image.shape[2] == 3 else image[..., 0])
    expected = np.asarray(pillow.resize((4, 4), Image.Resampling[interpolation])).reshape(found.shape)
    assert near(found, expected, 0)


@pytest.mark.parametrize(
    ("kind", "image", "wanted", "size"),
    [
        ("greater", (9, 12), (6, 6), (6, 8)),
        ("greater", (12, 9), (6, 6), (8, 6)),
        ("width", (9, 12), (6, 6), (6, 8)),
        ("height", (9, 12), (6, 6), (4, 6)),
        ("fit_to_window", (9, 12), (6, 6), (4, 6)),
        ("frcnn_keep_aspect_ratio", (9, 12), (6, 9), (6, 8)),
        ("frcnn_keep_aspect_ratio", (9, 18), (6, 9), (4, 9)),
        ("ctpn_keep_aspect_ratio", (10, 20), (6, 9), (4, 9)),
        ("ctpn_keep_aspect_ratio", (10, 14), (6, 9), (6, 8)),
        ("min_ratio", (9, 12), (3, 6), (4, 6)),
        ("mask_rcnn_benchmark_aspect_ratio", (9, 12), (3, 6), (3, 4)),
        ("scale_factor", (9, 12), (1, 1), (18, 24)),
    ],
)
def test_aspect_ratios(
    kind: str, image: tuple[int, int], wanted: tuple[int, int], size: tuple[int, int]
) -> None:
    assert scaled(kind, wanted, image, 2.0) == size


def test_resize_keeps_the_aspect_ratio() -> None:
    found = step(TALL, "resize", size=6, aspect_ratio_scale="greater")
    assert near(found, linear(TALL, 8, 6))
    assert step(IMAGE, "resize", aspect_ratio_scale="scale_factor", scale=0.5).shape == (4, 6, 3)
    assert step(IMAGE, "resize", size=8, aspect_ratio_scale="greater", factor=4).shape == (5, 9, 3)
    with pytest.raises(Failure, match='aspect_ratio_scale "odd"'):
        step(IMAGE, "resize", size=6, aspect_ratio_scale="odd")
    with pytest.raises(Failure, match="resize needs a size"):
        step(IMAGE, "resize")


def test_crop() -> None:
    assert near(step(IMAGE, "crop", size=4), IMAGE[2:6, 4:8], 0)
    assert near(step(IMAGE, "crop", dst_height=3, dst_width=12), IMAGE[3:6], 0)
    assert near(step(IMAGE, "crop", central_fraction=0.875), IMAGE[1:8, 1:11], 0)
    assert near(step(IMAGE, "crop", max_square=True), IMAGE[:, 1:10], 0)
    assert near(step(IMAGE, "crop", size=4, use_pillow=True), IMAGE[2:6, 4:8], 0)
    assert near(step(IMAGE, "crop", central_fraction=0.5, use_pillow=True), IMAGE[2:6, 3:9], 0)
    larger = step(IMAGE, "crop", size=18)
    assert near(larger, linear(IMAGE, 18, 24)[:, 3:21])
    outside = step(IMAGE, "crop", dst_height=11, dst_width=12, use_pillow=True)
    assert near(outside[1:10], IMAGE, 0)
    assert not outside[0].any()
    with pytest.raises(Failure, match="crop needs"):
        step(IMAGE, "crop")


def test_corner_crop() -> None:
    corners = {
        "top_left": IMAGE[:4, :5],
        "top_right": IMAGE[:4, -5:],
        "bottom_left": IMAGE[-4:, :5],
        "bottom_right": IMAGE[-4:, -5:],
    }
    for corner, expected in corners.items():
        found = step(IMAGE, "corner_crop", dst_height=4, dst_width=5, corner_type=corner)
        assert near(found, expected, 0)


def test_padding() -> None:
    padded = step(IMAGE, "padding", dst_height=12, dst_width=15, pad_value="1,2,3")
    assert near(padded[1:10, 1:13], IMAGE, 0)
    assert (padded[0] == [1, 2, 3]).all()
    assert (padded[:, 13:] == [1, 2, 3]).all()
    more = {"dst_height": 12, "dst_width": 15}
    assert near(step(IMAGE, "padding", **more, left_top_extend=True)[2:11, 2:14], IMAGE, 0)
    assert near(step(IMAGE, "padding", **more, pad_type="right_bottom")[:9, :12], IMAGE, 0)
    assert near(step(IMAGE, "padding", **more, pad_type="left_top")[3:, 3:], IMAGE, 0)
    assert step(IMAGE, "padding", stride=8).shape == (16, 16, 3)
    square = step(IMAGE, "padding", size=10, pad_type="right_bottom", enable_resize=True)
    assert square.shape == (10, 10, 3)
    with pytest.raises(Failure, match='pad_type "odd"'):
        step(IMAGE, "padding", size=20, pad_type="odd")


@pytest.mark.parametrize(
    ("options", "mean", "deviation"),
    [
        ({"mean": 127.5, "std": 2}, [127.5], [2]),
        ({"mean": "(104, 117, 123)"}, [104, 117, 123], [1]),
        ({"mean": [1, 2, 3], "std": "4,5,6"}, [1, 2, 3], [4, 5, 6]),
        ({"std": "255.0"}, [0], [255]),
        ({"mean": "imagenet"}, [104.00698793, 116.66876762, 122.67891434], [1]),
    ],
)
def test_normalization(options: dict[str, Any], mean: list[float], deviation: list[float]) -> None:
    expected = (IMAGE - np.array(mean)) / np.array(deviation)
    assert near(step(IMAGE, "normalization", **options), expected, 1e-3)


def test_channels() -> None:
    assert near(step(IMAGE, "bgr_to_rgb"), IMAGE[..., [2, 1, 0]], 0)
    assert near(step(IMAGE, "rgb_to_bgr"), IMAGE[..., [2, 1, 0]], 0)
    red, green, blue = IMAGE.astype(float).transpose(2, 0, 1)
    expected = (0.299 * red + 0.587 * green + 0.114 * blue)[..., None]
    assert near(step(IMAGE, "rgb_to_gray"), expected)
    assert near(step(IMAGE[..., ::-1], "bgr_to_gray"), expected)
    assert near(step(IMAGE, "flip"), IMAGE[:, ::-1], 0)
    assert near(step(IMAGE, "flip", mode="vertical"), IMAGE[::-1], 0)


def test_steps_follow_each_other() -> None:
    steps = [{"type": "bgr_to_rgb"}, {"type": "crop", "size": 6}, {"type": "auto_resize"}]
    found = prepare(IMAGE, [*steps, {"type": "normalization", "std": 2}], (3, 4))
    assert near(found, linear(IMAGE[1:7, 3:9, ::-1], 3, 4).round() / 2, 1e-3)
    with pytest.raises(Failure, match='the preprocessing "odd" is not known; known are resize, crop'):
        step(IMAGE, "odd")
    with pytest.raises(Failure, match="auto_resize needs"):
        step(IMAGE, "auto_resize")
    with pytest.raises(Failure, match="is not a number"):
        step(IMAGE, "normalization", mean="many")


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_a_plain_image_stays_plain(rows: int, columns: int, height: int, width: int) -> None:
    for interpolation in ("LINEAR", "CUBIC", "NEAREST"):
        found = resize(np.full((rows, columns, 3), 77, np.uint8), (height, width), interpolation)
        assert near(found, np.full((height, width, 3), 77.0), 0)


def test_reading(tmp_path: Path) -> None:
    Image.fromarray(IMAGE).save(tmp_path / "it.png")
    Image.fromarray(IMAGE[..., 0]).save(tmp_path / "grey.png")
    assert near(read_image(tmp_path / "it.png", Check()), IMAGE[..., ::-1], 0)
    assert near(read_image(tmp_path / "it.png", Check(reader="pillow_imread")), IMAGE, 0)
    red, green, blue = IMAGE.astype(float).transpose(2, 0, 1)
    grey = read_image(tmp_path / "it.png", Check(grey=True))
    assert near(grey, (0.299 * red + 0.587 * green + 0.114 * blue)[..., None], 1)
    assert near(read_image(tmp_path / "grey.png", Check()), IMAGE[..., :1].repeat(3, 2), 0)
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(Failure, match="cannot be read as an image"):
        read_image(tmp_path / "bad.png", Check())
