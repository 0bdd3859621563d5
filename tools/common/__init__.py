"""Get model files and keep them: exactly these bytes, fast, every time.

>>> import modelzoo
>>> modelzoo.find("prob-digits-*", tag="image", sources=["demo"])[0].id
'prob-digits-cnn'

Everything here is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .version import VERSION as __version__

if TYPE_CHECKING:
    from .api import DownloadFailed as DownloadFailed
    from .api import download as download
    from .api import find as find
    from .api import from_urls as from_urls
    from .api import info as info
    from .api import list_models as list_models
    from .errors import AlreadyPublishedError as AlreadyPublishedError
    from .errors import CatalogError as CatalogError
    from .errors import ConsentRequired as ConsentRequired
    from .errors import Interrupted as Interrupted
    from .errors import ModelZooError as ModelZooError
    from .errors import PostprocessingError as PostprocessingError
    from .errors import Reason as Reason
    from .errors import SelectionError as SelectionError
    from .errors import StorageError as StorageError
    from .errors import TransferError as TransferError
    from .errors import UnknownModelError as UnknownModelError
    from .errors import UnsafePathError as UnsafePathError
    from .errors import UsageError as UsageError
    from .keeping.functions import adopt as adopt
    from .keeping.functions import cache_info as cache_info
    from .keeping.functions import delete as delete
    from .keeping.functions import installed as installed
    from .keeping.functions import prune_cache as prune_cache
    from .keeping.functions import verify as verify
    from .keeping.functions import verify_cache as verify_cache
    from .loading import load as load
    from .model import Model as Model
    from .model import ModelFile as ModelFile
    from .probing import Finding as Finding
    from .probing import probe as probe
    from .published import lookup_table as lookup_table
    from .registry.writing import publish as publish
    from .registry.writing import set_alias as set_alias
    from .registry.writing import update_meta as update_meta
    from .remote.functions import delete_source as delete_source
    from .remote.functions import list_sources as list_sources
    from .remote.functions import load_model as load_model
    from .remote.functions import refresh_source as refresh_source
    from .remote.functions import register_source as register_source
    from .requirements import MissingRequirements as MissingRequirements

_HOME = {
    "api": ("DownloadFailed", "download", "find", "from_urls", "info", "list_models"),
    "errors": (
        "AlreadyPublishedError",
        "CatalogError",
        "ConsentRequired",
        "Interrupted",
        "ModelZooError",
        "PostprocessingError",
        "Reason",
        "SelectionError",
        "StorageError",
        "TransferError",
        "UnknownModelError",
        "UnsafePathError",
        "UsageError",
    ),
    "keeping.functions": (
        "adopt",
        "cache_info",
        "delete",
        "installed",
        "prune_cache",
        "verify",
        "verify_cache",
    ),
    "loading": ("load",),
    "model": ("Model", "ModelFile"),
    "probing": ("Finding", "probe"),
    "registry.writing": ("publish", "set_alias", "update_meta"),
    "published": ("lookup_table",),
    "remote.functions": (
        "delete_source",
        "list_sources",
        "load_model",
        "refresh_source",
        "register_source",
    ),
    "requirements": ("MissingRequirements",),
}

__all__ = ["__version__", *(name for names in _HOME.values() for name in names)]


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(importlib.import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
