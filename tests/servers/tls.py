"""Certificates made on the spot, and a forward proxy's tunnel, for the loopback servers."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
from pathlib import Path

from . import Exchange
from .faulty import FaultyServer
from .steps import Step


def openssl_binary() -> str | None:
    """The path of the openssl command, or None."""
    return shutil.which("openssl")


def make_certificate(folder: Path, *names: str) -> tuple[Path, Path]:
    """A self-signed certificate for host names or IP addresses, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    kinds = ("IP" if name.replace(".", "").isdigit() or ":" in name else "DNS" for name in names)
    places = ",".join(f"{kind}:{name}" for kind, name in zip(kinds, names, strict=True))
    command = [str(openssl_binary()), "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]
    command += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=loopback test"]
    command += ["-addext", f"subjectAltName={places}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def tunnel(to: FaultyServer) -> Step:
    """Answer CONNECT, to whatever host, with a tunnel to this server."""

    def step(exchange: Exchange) -> None:
        exchange.connection.keep_alive = False
        client = exchange.connection.sock
        with socket.create_connection((to.host, to.port)) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join(5)

    return step


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
