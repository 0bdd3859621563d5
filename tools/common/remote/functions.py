"""The functions of the package for registered sources, and for the models that they declare."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from ..api import Sources, download, find, warn
from ..catalog import Choice, choose
from ..catalog import fiftyone as fiftyone_format
from ..errors import ModelZooError, Reason, SelectionError
from ..events import Event, Report
from ..files.disk import storage_errors
from ..files.paths import MANIFEST, PARTIAL_SUFFIX
from ..installation.receipts import Receipts
from ..model import Model
from ..requirements import Level, ensure, parse_level
from ..run.plan import FilePlan, ModelPlan, make_plans
from ..run.setup import Listener, make_engine
from ..selection import Filters
from ..source_code import consent, remote_code
from ..sources import Registered, catalog_sources, registered, zoo_dir
from ..transfer.adoption import adopt
from ..transfer.engine import Engine
from ..trust import allow_code
from ..variants import EVERY_VARIANT
from ..versions import fiftyone_name
from . import installing
from .placing import Removed, remove_empty


def register_source(
    reference: str,
    *,
    refresh: bool = False,
    replace: bool = False,
    timeout: float = 60.0,
    num_attempts: int = 3,
    report: Report | None = None,
) -> list[Registered]:
    """Register what a reference refers to: a GitHub repository, an archive's URL, or a local one.

    Known already it is only fetched again to `refresh` it; `replace` lets it take the names of
    sources from elsewhere. Raises ModelZooError, and then nothing has changed.
    """
    engine = _engine(timeout, num_attempts, report)
    change = installing.register(reference, zoo_dir(), engine, refresh=refresh, replace=replace)
    return list(change.sources)


def refresh_source(
    source: str,
    *,
    timeout: float = 60.0,
    num_attempts: int = 3,
    report: Report | None = None,
) -> list[Registered]:
    """Fetch a registered source (its name or reference) again; see register_source."""
    return list(installing.refresh(source, zoo_dir(), _engine(timeout, num_attempts, report)).sources)


def list_sources() -> list[Registered]:
    """The registered sources, sorted by name."""
    return registered(zoo_dir())


def delete_source(source: str) -> list[Removed]:
    """Remove a registered source (its name or reference), and the files of its models."""
    return list(installing.delete(source, zoo_dir(), _engine(60.0, 1, None)))


def _engine(timeout: float, attempts: int, report: Report | None) -> Engine:
    return make_engine(report=Listener(report or _ignore), timeout=timeout, attempts=attempts)


def _ignore(event: Event) -> None:
    """Tell nobody."""


def models_of(source: Registered) -> list[Model]:
    """The models of a registered source; raises CatalogError."""
    return find(sources=[source.name])


def _choice(filters: Filters | None, names: Collection[str] | None = None) -> Choice:
    """Models of the registered sources, or of those that are named; what cannot be read is left out."""
    zoo = zoo_dir()
    known = catalog_sources(zoo, registered(zoo))
    sources = [s for s in known if names is None or s.name in names]
    return choose([msgspec.structs.replace(s, lenient=True) for s in sources], filters, warn)


def registered_models(names: Collection[str] | None = None) -> list[Model]:
    """All models of the registered sources, or of those that are named."""
    return list(_choice(None, names).models())


def find_model(name: str, *, sources: Sources = ()) -> Model:
    """The one model of this name among the registered sources; SelectionError when there is none."""
    if sources:
        models = find(name, sources=sources)
    elif list_sources():
        models = list(_choice(Filters(patterns=(name,))).models())
    else:
        raise SelectionError(f'No matching models: "{name}"; no source is registered.')
    if len(models) > 1:
        raise SelectionError(f'"{name}" means several models.', [model.id for model in models][:3])
    return models[0]


def downloaded_models() -> dict[str, tuple[Path | None, Model]]:
    """The models of registered sources that are there: where, and what they are, by name."""
    return {m.id: (model_path(m), m) for m in registered_models() if m.home and is_downloaded(m)}


def is_downloaded(model: Model) -> bool:
    """Whether all of a model is there, as it was, or where nobody knows that of the right size."""
    plan = _plan(model)
    if not model.files and not model.postprocessing:
        return False
    if plan.finished or model.postprocessing:
        return plan.finished
    return plan.made and all(map(_is_there, plan.files))


def _is_there(file: FilePlan) -> bool:
    return file.state == "installed" or (file.state == "present" and adopt(file.job) is not None)


def _plan(model: Model) -> ModelPlan:
    return make_plans([model], None, EVERY_VARIANT, None)[0]


def model_path(model: Model) -> Path | None:
    """Where a model is or would be; None for one that is not downloaded but made by its loader.

    Of an archive that is not there any more it is the folder that it was unpacked to.
    """
    places = fiftyone_format.weights(model)
    if not places:
        return None
    folder = Path(model.home).absolute() / model.subdirectory
    return next((folder / p for p in places if os.path.lexists(folder / p)), folder / places[0])


def load_model(
    name: str | Model,
    *,
    trust_remote_code: bool = False,
    requirements: Level = "error",
    download_if_necessary: bool = True,
    sources: Sources = (),
    **options: Any,
) -> Any:
    """What the model's source makes of it: a class that its manifest names, or its `load_model`.

    That is code of the source, which needs consent: see ConsentRequired. `options` are handed on.
    """
    model = name if isinstance(name, Model) else find_model(name, sources=sources)
    _require_manifest(model)
    ensure([model], parse_level(requirements), warn)
    if trust_remote_code:
        allow_code([model])
    folder, source = Path(model.config_dir), model.source
    consent.require(folder, source)
    _have(model, download_if_necessary)
    path = model_path(model)
    text = None if path is None else str(path)
    named = model.model_info.get("default_deployment_config_dict")
    if named:
        config = dict(named.get("config") or {})
        return remote_code.load_configured(folder, source, named["type"], config, text, options)
    called = fiftyone_name(model.model_info["base_name"], model.version)
    return remote_code.load_model(folder, source, called, text, options)


def _have(model: Model, may_download: bool) -> None:
    if not (model.files or model.postprocessing) or is_downloaded(model):
        return
    if not may_download:
        raise not_downloaded(model)
    download(model, requirements="ignore")


def not_downloaded(model: Model) -> ModelZooError:
    """The error about a model that is not there."""
    return ModelZooError(f"{model.id} is not downloaded", Reason.NOT_FOUND)


def _require_manifest(model: Model) -> None:
    """Raise ModelZooError for a model of another format, which has no code to load it."""
    if not (Path(model.config_dir) / MANIFEST).is_file():
        raise ModelZooError(f"{model.id} is not of a source that could load it ({MANIFEST})")


def delete_model(model: Model) -> list[Path]:
    """Remove the files of a model of a registered source; returns what was removed."""
    if not model.home:
        raise ModelZooError(f"{model.id} is not a model of a registered source")
    folder, receipts = Path(model.home) / model.subdirectory, Receipts(Path(model.home), foreign=True)
    receipt = receipts.load(model)
    outputs = [model.name_of(output.path) for output in receipt.outputs] if receipt else []
    removed = []
    with storage_errors(folder):
        for name in dict.fromkeys([*fiftyone_format.weights(model), *outputs]):
            removed += _remove(folder / name)
            for suffix in (PARTIAL_SUFFIX, f"{PARTIAL_SUFFIX}.json"):
                _remove(folder / (name + suffix))
    receipts.remove(model)
    for path in removed:
        remove_empty(path.parent, folder)
    return removed


def _remove(path: Path) -> list[Path]:
    """Remove a file or a folder; returns it when it was there."""
    if not os.path.lexists(path):
        return []
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    return [path]
