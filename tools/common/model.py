"""The values that everything else passes on: a model, its files and where their bytes come from.

They are frozen and do no I/O. What a field means is described in docs/catalog.md.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Annotated, Any
from urllib.parse import urljoin

import msgspec

from .checksum import Checksum

KNOWN_PRECISIONS = ("FP16", "FP16-INT1", "FP16-INT8", "FP32", "FP32-INT1", "FP32-INT8")

FRAMEWORKS = ("caffe", "caffe2", "dldt", "mxnet", "onnx", "pytorch", "tf")

TASK_TYPES = (
    "action_recognition",
    "background_matting",
    "classification",
    "colorization",
    "detection",
    "face_recognition",
    "feature_extraction",
    "head_pose_estimation",
    "human_pose_estimation",
    "image_inpainting",
    "image_processing",
    "image_translation",
    "instance_segmentation",
    "machine_translation",
    "monocular_depth_estimation",
    "named_entity_recognition",
    "noise_suppression",
    "object_attributes",
    "optical_character_recognition",
    "place_recognition",
    "question_answering",
    "salient_object_detection",
    "semantic_segmentation",
    "sound_classification",
    "speech_recognition",
    "style_transfer",
    "text_prediction",
    "text_to_speech",
    "time_series",
    "token_recognition",
)


_ABSOLUTE = re.compile("[A-Za-z][A-Za-z0-9+.-]*:")
"""A URL with a scheme (RFC 3986, 3.1)."""


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where bytes come from: a URL as written in the catalog, and what it is relative to."""

    written: str
    base: str = ""

    @property
    def url(self) -> str:
        """The absolute URL."""
        return self.written if _ABSOLUTE.match(self.written) else urljoin(self.base, self.written)


class ModelFile(msgspec.Struct, frozen=True, gc=False):
    """One file of a model: relative POSIX path, size in bytes, and mirrors in order of preference."""

    name: str
    size: int | None
    checksum: Checksum | None
    origins: tuple[Origin, ...]
    variant: str | None = None
    """A precision, or what the file is made for, as variants.py writes it; None: it is for all."""
    estimate: int | None = None
    """Bytes that such files have as a rule, where the size is unknown."""
    announced: int | None = None
    """What somebody says its size is, where nobody vouches for it: enough to plan, not to verify."""
    adoptable: bool = True
    """Whether whatever is there counts as this one, where neither size nor checksum is known."""


class RegexReplace(msgspec.Struct, frozen=True, tag_field="$type", tag="regex_replace"):
    """Replace text in a downloaded file; `count` 0 means every occurrence."""

    file: str
    pattern: str
    replacement: str
    count: Annotated[int, msgspec.Meta(ge=0)] = 0


ORIGINAL_SUFFIX = ".orig"
"""What the original of a file with replaced text is kept as."""


class UnpackArchive(
    msgspec.Struct, frozen=True, tag_field="$type", tag="unpack_archive", omit_defaults=True
):
    """Unpack a downloaded archive beside itself and remove it; `format` as `shutil` names it."""

    file: str
    format: str
    keep: bool = False
    """Whether the archive stays."""
    beside_code: bool = False
    """Whether code lies in the same folder, which must not be replaced."""


class DownloadModel(
    msgspec.Struct, frozen=True, tag_field="$type", tag="download_model", omit_defaults=True
):
    """Have a source's own code, in the model's `config_dir`, bring `file`: a file, or a folder."""

    file: str
    model: str
    """What the code calls the model."""
    source: str
    manager: str = ""
    """The class that does it, by its dotted path; the source's `download_model` where there is none."""
    config: dict[str, Any] = {}
    announced: int | None = None
    """See ModelFile."""


Step = RegexReplace | UnpackArchive | DownloadModel


class Retries(msgspec.Struct, frozen=True):
    """How patient its files' server wants the run to be, where the user does not say."""

    attempts: int = 1
    cubic: bool = False
    """Whether the waits are the cubes of the attempts: 1, 8, 27, 64 … seconds."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One model of the catalog. `id` selects exactly this one among the active sources."""

    id: str
    name: str
    source: str
    subdirectory: str
    description: str
    framework: str
    task_type: str
    license_url: str
    files: tuple[ModelFile, ...]
    composite: str | None = None
    version: str | None = None
    tags: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    quantization_output_precisions: tuple[str, ...] = ()
    postprocessing: tuple[Step, ...] = ()
    model_optimizer_args: tuple[str, ...] | None = None
    conversion_to_onnx_args: tuple[str, ...] | None = None
    input_info: tuple[dict[str, Any], ...] = ()
    model_info: dict[str, Any] = {}
    config_dir: str = ""
    """The folder of the model's configuration on this machine, where the format has one."""
    home: str = ""
    """Where the program that it belongs to keeps its files; used unless another place is told."""
    retries: Retries = Retries()
    parameters: dict[str, Any] = {}
    """What it was made with, where its source says so: plain values."""
    aliases: tuple[str, ...] = ()
    """Other names of exactly this model."""
    family: str = ""
    """What its source calls all versions of it together, where that is no part of its name."""
    titles: tuple[str, ...] = ()
    """Names that it shares with its other versions: they mean the latest."""

    @property
    def qualified(self) -> str:
        """The name that is unambiguous whatever sources are active."""
        return f"{self.source}:{self.name}"

    def path_of(self, name: str) -> str:
        """The path of one of its files, relative to the output directory."""
        return f"{self.subdirectory}/{name}" if self.subdirectory else name

    def name_of(self, path: str) -> str:
        """The file of the model that has this path in the output directory."""
        return path[len(self.subdirectory) + 1 :] if self.subdirectory else path

    def variant_of(self, path: str) -> str | None:
        """The variant of a file in the model's folder: one that comes, or was made from one.

        What an archive holds is unpacked beside it: it belongs to the archive of the nearest folder.
        """
        variants = {file.name: file.variant for file in self.files}
        for name in (path, path.removesuffix(ORIGINAL_SUFFIX)):
            if name in variants:
                return variants[name]
        unpacked = (s.file for s in self.postprocessing if isinstance(s, UnpackArchive))
        near = [a for a in unpacked if a in variants and path.startswith(a[: a.rfind("/") + 1])]
        return variants[max(near, key=lambda archive: archive.rfind("/"))] if near else None

    def steps_of(self, variants: Container[str | None]) -> tuple[Step, ...]:
        """The postprocessing of the files of these variants."""
        return tuple(s for s in self.postprocessing if self.variant_of(s.file) in variants)
