"""What is told about a model in a stable, machine-readable form."""

from __future__ import annotations

from typing import Any

from .model import Model, ModelFile


def describe(model: Model) -> dict[str, Any]:
    """The members of Open Model Zoo's info dumper in its order, then those of this project.

    Models of a registry have two more: their parameters and their aliases.
    Nothing in it depends on the machine: origins are given as the catalog writes them, but for
    passwords.
    """
    sizes = [file.size for file in model.files]
    published = {"parameters": model.parameters, "aliases": list(model.aliases)}
    return {
        "name": model.id,
        "composite_model_name": model.composite,
        "description": model.description,
        "framework": model.framework,
        "license_url": model.license_url,
        "precisions": sorted(model.precisions),
        "quantization_output_precisions": sorted(model.quantization_output_precisions),
        "subdirectory": model.subdirectory,
        "task_type": model.task_type,
        "input_info": list(model.input_info),
        "version": model.version,
        "source": model.source,
        "size": None if None in sizes else sum(size or 0 for size in sizes),
        "files": [_describe_file(file) for file in model.files],
        "tags": list(model.tags),
        **(published if model.family else {}),
    }


def _describe_file(file: ModelFile) -> dict[str, Any]:
    return {
        "name": file.name,
        "size": file.size,
        "checksum": str(file.checksum) if file.checksum else None,
        "sources": [shown(origin.written) for origin in file.origins],
    }


def shown(url: str) -> str:
    """The URL without secrets; what has no place for any, as nearly all, is found out at once."""
    if url.isprintable() and "@" not in url and "=" not in url:
        return url
    from .web.credentials import mask

    return mask(url)
