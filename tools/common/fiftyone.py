"""FiftyOne's functions for remotely-sourced zoo models, under its names, on this package's engine.

Models are those of the registered sources, and are kept where FiftyOne looks for them when both are
told the same folder; see docs/remote-sources.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .api import download, warn
from .errors import UsageError
from .model import Model
from .remote import functions as remote
from .requirements import LEVELS, Level, ensure
from .sources import named


def register_zoo_model_source(url_or_gh_repo: str, overwrite: bool = False) -> None:
    """Register a remote source; `overwrite` fetches it again, and replaces another of its name."""
    remote.register_source(url_or_gh_repo, refresh=overwrite, replace=overwrite)


def list_zoo_model_sources() -> list[str]:
    """The references of the registered sources."""
    return sorted({source.reference for source in remote.list_sources() if source.reference})


def delete_zoo_model_source(url_or_gh_repo: str) -> None:
    """Unregister a source, and delete the local copies of its models; SelectionError if unknown."""
    remote.delete_source(url_or_gh_repo)


def list_zoo_models(
    tags: str | Iterable[str] | None = None,
    source: str | None = None,
    license: str | Iterable[str] | None = None,  # noqa: A002 - FiftyOne's name
) -> list[str]:
    """The names of the models that have all of the tags and one of the licenses."""
    wanted, licenses = _several(tags), _several(license)
    names = None if source is None else {s.name for s in named(remote.list_sources(), source)}
    return sorted(
        model.id
        for model in remote.registered_models(names)
        if wanted.issubset(model.tags)
        and (not licenses or licenses & {text.strip() for text in model.license_url.split(",")})
    )


def _several(values: str | Iterable[str] | None) -> set[str]:
    return {values} if isinstance(values, str) else set(values or ())


def list_downloaded_zoo_models() -> dict[str, tuple[str | None, Model]]:
    """The path and the description of each model that is downloaded, by name."""
    found = remote.downloaded_models().items()
    return {name: (None if path is None else str(path), model) for name, (path, model) in found}


def is_zoo_model_downloaded(name: str) -> bool:
    """Whether all of the model is there."""
    return remote.is_downloaded(get_zoo_model(name))


def get_zoo_model(name: str) -> Model:
    """What is known about a model; `<name>@<version>` asks for one that is not the latest."""
    return remote.find_model(name)


def find_zoo_model(name: str) -> str | None:
    """Where a model is; ModelZooError when it is not downloaded."""
    model = get_zoo_model(name)
    if not remote.is_downloaded(model):
        raise remote.not_downloaded(model)
    return _path(model)


def _path(model: Model) -> str | None:
    path = remote.model_path(model)
    return None if path is None else str(path)


def _meant(name_or_url: str, model_name: str | None) -> Model:
    """The model; with a name beside it the first one is a source, which is registered if need be."""
    if model_name is None:
        return get_zoo_model(name_or_url)
    sources = remote.register_source(name_or_url)
    return remote.find_model(model_name, sources=[source.name for source in sources])


def download_zoo_model(
    name_or_url: str,
    model_name: str | None = None,
    overwrite: bool = False,
    *,
    trust_remote_code: bool = False,
    error_level: int | None = None,
) -> tuple[Model, str | None]:
    """Download a model, unless it is there; returns what it is and where it is.

    `name_or_url` may be a source, for `model_name`. `error_level` is about missing packages.
    """
    model = _meant(name_or_url, model_name)
    download(
        model,
        force=overwrite,
        trust_remote_code=trust_remote_code,
        requirements=_level(error_level),
    )
    return model, _path(model)


def load_zoo_model(
    name_or_url: str,
    model_name: str | None = None,
    download_if_necessary: bool = True,
    ensure_requirements: bool = True,
    *,
    error_level: int | None = None,
    trust_remote_code: bool = False,
    **kwargs: Any,
) -> Any:
    """Load a model, and download it before if need be; `kwargs` go to the code that loads it."""
    return remote.load_model(
        _meant(name_or_url, model_name),
        trust_remote_code=trust_remote_code,
        requirements=_level(error_level) if ensure_requirements else "ignore",
        download_if_necessary=download_if_necessary,
        **kwargs,
    )


def delete_zoo_model(name: str) -> None:
    """Delete the local copy of a model, if there is one."""
    remote.delete_model(get_zoo_model(name))


def ensure_zoo_model_requirements(name: str, error_level: int | None = None) -> None:
    """Raise MissingRequirements when packages that the model needs are missing."""
    ensure([get_zoo_model(name)], _level(error_level), warn)


def _level(number: int | None) -> Level:
    """What FiftyOne's numbers mean; None is its default, an error."""
    if number not in (None, *range(len(LEVELS))):
        raise UsageError(f"expected an error level of 0, 1 or 2, got {number!r}")
    return LEVELS[number or 0]
