"""Which files are wanted: precisions, backends and GPUs do not get in each other's way."""

from __future__ import annotations

import os
from pathlib import Path

import modelzoo
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelzoo.errors import UsageError
from modelzoo.gpu import FAMILIES, detected_family
from modelzoo.model import KNOWN_PRECISIONS, Model, ModelFile
from modelzoo.variants import Target, Variants, targets_of, variant_of, wanted_variants

from tests.topaz import PROB, add_topaz

BACKENDS = st.sampled_from(["onnx", "onnx16", "tensorrt", "tensorrt-off", "coreml"])
TARGETS = st.builds(
    Target, BACKENDS, st.sampled_from(["", *FAMILIES]), st.sampled_from(["", "Linux", "Windows"])
)


@given(st.sets(TARGETS, min_size=1))
def test_what_is_written_is_read(targets: set[Target]) -> None:
    assert targets_of(variant_of(targets)) == tuple(sorted(targets))


def model(*variants: str | None) -> Model:
    files = tuple(ModelFile(f"{n}.bin", 1, None, (), variant) for n, variant in enumerate(variants))
    texts = dict.fromkeys(["description", "framework", "task_type", "license_url"], "")
    return Model(id="m", name="m", source="s", subdirectory="m", files=files, **texts)


MIXED = model(None, "FP16", "FP32", "onnx", "onnx,onnx16", "tensorrt/RTX20/Linux", "tensorrt//Windows")


@pytest.mark.parametrize(
    ("variants", "numbers"),
    [
        (Variants(), "0123456"),
        (Variants(precisions=frozenset({"FP16"})), "013456"),
        (Variants(backend="onnx"), "01234"),
        (Variants(backend="onnx16", gpu="RTX40"), "0124"),
        (Variants(backend="none"), "012"),
        (Variants(backend="tensorrt", gpu="RTX20", system="Linux"), "0125"),
        (Variants(backend="tensorrt", gpu="RTX30", system="Windows"), "0126"),
        (Variants(frozenset({"FP32"}), "onnx16"), "024"),
    ],
)
def test_files(variants: Variants, numbers: str) -> None:
    assert "".join(file.name[0] for file in variants.files_of(MIXED)) == numbers


def test_models_without_wanted_files_are_left_out() -> None:
    models = [MIXED, model("onnx"), model("coreml"), model()]
    assert [len(m.files) for m in Variants(backend="coreml").narrowed(models)] == [3, 1, 0]


@given(st.sampled_from(KNOWN_PRECISIONS))
def test_a_precision_is_no_backend(precision: str) -> None:
    assert targets_of(precision) == targets_of(None) == ()


@pytest.mark.parametrize(
    ("given_", "environ", "backend", "gpu"),
    [
        ((), {}, "onnx", None),
        ((), {"TVAI_BACKEND": "coreml", "MODELZOO_BACKEND": "x"}, "coreml", None),
        ((), {"TVAI_BACKEND": " ", "MODELZOO_BACKEND": "openvino"}, "openvino", None),
        (("onnx16", "RTX20"), {"TVAI_BACKEND": "x", "TVAI_GPU_FAMILY": "RTX30"}, "onnx16", "RTX20"),
        ((None, None), {"TVAI_GPU_FAMILY": "RTX30", "MODELZOO_GPU": "RTX40"}, "onnx", "RTX30"),
        ((), {"MODELZOO_GPU": "RTX40"}, "onnx", "RTX40"),
    ],
)
def test_the_environment(
    given_: tuple[str, ...], environ: dict[str, str], backend: str, gpu: str | None
) -> None:
    variants = wanted_variants(*given_, environ=environ)
    assert (variants.precisions, variants.backend, variants.gpu) == (None, backend, gpu)


@pytest.mark.parametrize("family", ["RTX10", "rtx30", "806", "x" * 5000])
def test_an_unknown_family(family: str) -> None:
    for given_, environ in ((family, {}), (None, {"TVAI_GPU_FAMILY": family})):
        with pytest.raises(UsageError, match=r"unknown GPU family .* known are RTX20, RTX30, RTX40"):
            wanted_variants("onnx", given_, environ)


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `nvidia-smi` is found, if somebody puts one there."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin" / "nvidia-smi"


def install(smi: Path, script: str) -> None:
    smi.write_text(f"#!/bin/sh\n{script}\n")
    smi.chmod(0o755)


@pytest.mark.parametrize(
    ("script", "family"),
    [
        ("echo 7.5", "RTX20"),
        ("echo 8.6; echo 8.9", "RTX30"),
        ("echo ' 8.9 '", "RTX40"),
        ("echo 9.0", None),
        ("echo 8.6; exit 9", None),
        ("echo 'Field \"compute_cap\" is not a valid field to query.'; exit 2", None),
        (r"printf '\377\000'", None),
        ("", None),
        ('test "$*" = "--query-gpu=compute_cap --format=csv,noheader" && echo 7.5', "RTX20"),
    ],
)
def test_the_gpu_of_the_machine(smi: Path, script: str, family: str | None) -> None:
    install(smi, script)
    assert detected_family() == family
    assert wanted_variants("tensorrt", environ={}).gpu == family
    assert wanted_variants("tensorrt", "RTX40", {}).gpu == "RTX40"


def test_a_driver_that_hangs(smi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelzoo.gpu.TIMEOUT", 0.2)
    install(smi, "exec sleep 60")
    assert detected_family() is None


def test_nobody_is_asked_in_vain(smi: Path, tmp_path: Path) -> None:
    install(smi, f"touch {tmp_path}/asked; echo 8.6")
    folder = add_topaz(tmp_path / "json", PROB)
    assert modelzoo.list_models(sources=folder, backend="onnx16") == ["prob-3"]
    assert not (tmp_path / "asked").exists()
    (found,) = modelzoo.find(sources=folder, backend="tensorrt")
    assert all(file.variant == "tensorrt/RTX30/Linux" for file in found.files)
