"""Which models need code of their sources, and the consent to that."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .catalog import fiftyone
from .model import DownloadModel, Model
from .source_code import consent


def allow_code(models: Iterable[Model]) -> None:
    """Consent to the code of the sources that these models are of, as it is now."""
    for folder, source in dict.fromkeys((model.config_dir, model.source) for model in models):
        declared = fiftyone.load(Path(folder), source, lambda message: None)
        places = [place for model in declared for place in fiftyone.weights(model)]
        consent.grant(Path(folder), places)


def needs_code(model: Model) -> bool:
    """Whether only the code of its source can bring a model."""
    return any(isinstance(step, DownloadModel) for step in model.postprocessing)
