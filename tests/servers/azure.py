"""Azure Blob Storage on a loopback port: Microsoft's emulator Azurite; `make interop` sets it up."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's account and its key, which are the same everywhere and protect nothing."""


def azurite_program() -> Path | None:
    """The emulator, or None where it is not installed."""
    default = ROOT / "build/interop/azurite/node_modules/.bin/azurite-blob"
    program = Path(os.environ.get("AZURITE_BLOB", default))
    return program if program.exists() else None


class Azure:
    """An account; `environment` is what its clients need to know."""

    def __init__(self, url: str) -> None:
        self.url = url
        place = f"BlobEndpoint={url}/{ACCOUNT};"
        self.environment = {
            "AZURE_STORAGE_CONNECTION_STRING": (
                f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};{place}"
            )
        }
        self._made = 0

    def container(self) -> str:
        """The URL of a new container."""
        name, self._made = f"models-{self._made}", self._made + 1
        path = f"/{ACCOUNT}/{name}"
        about = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
        # learn.microsoft.com, "Authorize with Shared Key": eleven headers that are not sent, and these.
        lines = ["PUT", *[""] * 11, *(f"{n}:{v}" for n, v in about.items())]
        lines += [f"/{ACCOUNT}{path}", "restype:container"]
        signature = hmac.digest(base64.b64decode(KEY), "\n".join(lines).encode(), hashlib.sha256)
        signed = f"SharedKey {ACCOUNT}:{base64.b64encode(signature).decode()}"
        request = urllib.request.Request(f"{self.url}{path}?restype=container", method="PUT")
        for header, value in {**about, "Authorization": signed}.items():
            request.add_header(header, value)
        urllib.request.urlopen(request, timeout=20).close()
        return f"az://{name}"


@contextlib.contextmanager
def azure_server() -> Iterator[Azure]:
    """The emulator as a process, and in the environment of this one, while the context lasts."""
    program = azurite_program()
    assert program is not None, "Azurite is not installed"
    command = [str(program), "--blobHost", "127.0.0.1", "--blobPort", "0", "--silent"]
    command += ["--inMemoryPersistence", "--disableTelemetry"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:  # it chooses its port, and tells it once it listens there
            said.append(line)
            if "listens on" in line:
                break
        assert said, "Azurite said nothing"
        assert "listens on" in said[-1], "".join(said)
        server = Azure(said[-1].split()[-1])
        with pytest.MonkeyPatch.context() as patch:
            for name, value in server.environment.items():
                patch.setenv(name, value)
            yield server
    finally:
        process.terminate()
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()
