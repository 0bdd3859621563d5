"""What a quantized model is calibrated with: accuracy-check.yml, images and inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from modelzoo.openvino.program import Failure
from modelzoo.openvino.quantization.accuracy_check import Check, read_check
from modelzoo.openvino.quantization.feeding import feed, plan_feed
from modelzoo.openvino.quantization.images import find_images

from tests.conftest import ROOT

DEMO = ROOT / "models" / "demo"
DIGITS = ("prob-digits-cnn", "prob-digits-mlp")


def check_file(folder: Path, *models: dict[str, Any]) -> Path:
    file = folder / "accuracy-check.yml"
    file.write_text(yaml.safe_dump({"models": list(models)}))
    return file


def test_the_converted_models_entry_and_the_zoos_data_sets(tmp_path: Path) -> None:
    """The first entry may be that of the original model, and data sets are described elsewhere."""
    steps = [{"type": "crop", "central_fraction": 0.875}]
    dlsdk = {
        "launchers": [{"framework": "dlsdk"}],
        "datasets": [{"name": "pictures", "preprocessing": steps}],
    }
    original = {"launchers": [{"framework": "tf"}], "datasets": [{"name": "pictures"}]}
    models = {"it-tf": original, "other": dlsdk, "it": dlsdk}
    file = check_file(tmp_path, *({"name": name, **model} for name, model in models.items()))
    definitions = tmp_path / "definitions.yml"
    convert_ = {"converter": "imagenet", "annotation_file": "val.txt"}
    pictures = {"name": "pictures", "data_source": "ILSVRC", "annotation_conversion": convert_}
    definitions.write_text(yaml.safe_dump({"datasets": [{"name": "x"}, pictures]}))
    check = read_check(file, "it", definitions)
    assert check == Check("pictures", "ILSVRC", convert_, steps=tuple(steps))
    assert read_check(file, "it").data_source == ""
    with pytest.raises(Failure, match="says nothing about the converted model"):
        read_check(check_file(tmp_path, {"name": "it", **original}), "it")
    texts = {**dlsdk, "datasets": [{"reader": {"type": "annotation_features"}}]}
    with pytest.raises(Failure, match='the reader "annotation_features" does not read images'):
        read_check(check_file(tmp_path, texts), "it")
    file.write_text("[")
    with pytest.raises(Failure, match="is not YAML"):
        read_check(file, "it")


def test_images_are_those_of_the_annotation_or_all(tmp_path: Path) -> None:
    names = [f"{index:02d}.jpg" for index in range(10)]
    for folder in ("pictures", "pictures/more", "other"):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).touch()

    def found(count: int = 100, **fields: Any) -> list[str]:
        return [str(f.relative_to(tmp_path)) for f in find_images(tmp_path, Check(**fields), count)]

    assert len(found()) == 30
    assert len(found(data_source="pictures")) == 20
    assert len(found(dataset="other")) == 10
    assert found(3, dataset="other") == ["other/00.jpg", "other/03.jpg", "other/06.jpg"]
    coco = json.dumps({"images": [{"file_name": "03.jpg"}, {"file_name": "04.jpg"}]})
    annotations = {
        "imagenet": ("annotation_file", "any/03.jpg 5\n04.jpg 6\n99.jpg 7\n\n"),
        "mscoco_detection": ("annotation_file", coco),
        "voc_detection": ("imageset_file", "03\n04 1\n"),
        "wider": ("annotation_file", "03.jpg\n1\n4 5 6 7\n04.jpg\n"),
    }
    for converter, (key, text) in annotations.items():
        (tmp_path / "annotation").write_text(text)
        told = {"converter": converter, key: "annotation"}
        assert found(data_source="pictures", annotation=told) == ["pictures/03.jpg", "pictures/04.jpg"]
    wider = {"converter": "wider", "annotation_file": "annotation"}
    (tmp_path / "annotation").write_text(f"../other/03.jpg\n{tmp_path}/other/04.jpg\n05.jpg\n")
    assert found(data_source="pictures", annotation=wider) == ["pictures/05.jpg"]
    assert len(found(data_source="../", dataset="/")) == 30
    (tmp_path / "annotation").write_text("{}")
    told = {"converter": "mscoco_detection", "annotation_file": "annotation"}
    with pytest.raises(Failure, match="cannot be read as an annotation"):
        found(annotation=told)
    assert len(found(data_source="pictures", annotation={"converter": "imagenet"})) == 20


def image_model(layout: str, batch: int = 1) -> Any:
    import openvino

    shape = [batch, 3, 8, 6] if layout.startswith("NC") else [batch, 8, 6, 3]
    image = openvino.opset13.parameter(shape, np.float32, name="image")
    information = openvino.opset13.parameter([1, 3], np.float32, name="information")
    for parameter in (image, information):
        parameter.output(0).set_names({parameter.friendly_name})
    scaled = openvino.opset13.multiply(image, openvino.opset13.reduce_sum(information, [0, 1]))
    return openvino.Model([scaled], [image, information], "it")


def test_feeding(tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)
    Image.fromarray(pixels).save(tmp_path / "it.png")
    constant = {"name": "information", "type": "CONST_INPUT", "value": [[8, 6, 1]]}
    for layout in ("NCHW", "NHWC"):
        for told in (constant, {"name": "information", "type": "IMAGE_INFO"}):
            check = Check(reader="pillow_imread", inputs=(told,))
            given = feed(tmp_path / "it.png", check, plan_feed(image_model(layout, 2), check))
            expected = pixels.transpose(2, 0, 1) if layout == "NCHW" else pixels
            assert (given["image"] == expected).all()
            assert len(given["image"]) == 2
            assert given["information"].tolist() == [[8, 6, 1]]
    with pytest.raises(Failure, match="images can be given to one input; the model has 2"):
        plan_feed(image_model("NCHW"), Check())
    grey = Check(grey=True, inputs=(constant,))
    with pytest.raises(Failure, match="1 channels after preprocessing, the model takes 3"):
        feed(tmp_path / "it.png", grey, plan_feed(image_model("NCHW"), grey))
