"""Sources made on the spot: manifests and code, archives of them, and a GitHub of our own."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.servers.faulty import FaultyServer, redirect, serve

MANAGER = "fiftyone.core.models.ModelManager"
COMMIT = "0123456789abcdef0123456789abcdef01234567"

CODE = """
import os
from . import weights
from .weights import make

class Loaded:
    def __init__(self, *what):
        self.what = list(what)

def download_model(model_name, model_path):
    print("the code is running")
    make(model_name, model_path)

def load_model(model_name, model_path, **kwargs):
    content = None
    if model_path and os.path.isfile(model_path):
        with open(model_path) as file:
            content = file.read()
    return Loaded(model_name, model_path, kwargs, content)
"""

PLAIN_CODE = CODE.replace("from . import weights\nfrom .weights import make\n", "")
"""The same without relative imports, which FiftyOne cannot do where a source's name has a slash."""

WEIGHTS = """
import os

def make(name, path):
    if path.endswith("folder"):
        os.makedirs(path)
        path = os.path.join(path, "part.bin")
    with open(path, "w") as file:
        file.write("weights of " + name)
"""


def entry(base_name: str, base_filename: str | None = None, **fields: Any) -> dict[str, Any]:
    """A model of a manifest."""
    named = {} if base_filename is None else {"base_filename": base_filename}
    return {"base_name": base_name, **named, **fields}


def managed(base_name: str, base_filename: str, url: str, **fields: Any) -> dict[str, Any]:
    """A model that a manager fetches from a URL; `config` adds to the manager's."""
    config = {"url": url, **fields.pop("config", {})}
    return entry(base_name, base_filename, manager={"type": MANAGER, "config": config}, **fields)


def files_of(
    name: str | None, *models: Mapping[str, Any], code: bool = True, **top: Any
) -> dict[str, str]:
    """The files of a source with these models."""
    document = {**({} if name is None else {"name": name}), "models": list(models), **top}
    files = {"manifest.json": json.dumps(document), "README.md": "About the source."}
    return files | ({"__init__.py": CODE, "weights.py": WEIGHTS} if code else {})


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Put the files of a source into a folder."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def zipped(files: Mapping[str, str | bytes], top: str = "", comment: str = "") -> bytes:
    """A zip archive of them, below a folder if one is named."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{top}/{name}" if top else name, text)
        archive.comment = comment.encode()
    return data.getvalue()


def code(download: str, load: str = "pass") -> str:
    """An `__init__.py` whose functions have these bodies."""
    body = "\n".join(f"    {line}" for line in download.splitlines())
    return (
        f"def download_model(model_name, model_path):\n{body}\ndef load_model(*a, **k):\n    {load}\n"
    )


class GitHub:
    """A loopback server that answers as GitHub's API does: with a redirect to its downloads."""

    def __init__(self, server: FaultyServer, downloads: FaultyServer) -> None:
        self.server, self.downloads = server, downloads

    def push(
        self, repository: str, files: Mapping[str, str | bytes], ref: str = "", commit: str = COMMIT
    ) -> None:
        """Let the archive of a ref ("": the default branch) hold these files."""
        place = f"/{repository}/legacy.zip/{ref or 'HEAD'}"
        top = f"{repository.replace('/', '-')}-{commit[:7]}"
        self.downloads.add(place, serve(zipped(files, top, commit)))
        asked = f"/repos/{repository}/zipball" + (f"/{ref}" if ref else "")
        self.server.add(asked, redirect(f"{self.downloads.url}{place}"))
