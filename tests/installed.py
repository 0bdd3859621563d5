"""A model that was downloaded from a server, to be damaged, verified and repaired."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import modelzoo
from modelzoo.installation.inventory import take_inventory
from modelzoo.installation.receipts import Receipt, Receipts

from tests.servers import faulty as f
from tests.servers.faulty import FaultyServer
from tests.zoo import add_model, content, file_entry, model_config

A, B = content("a", 50_000), content("b", 700)


class Place:
    """A model `m` of two files on a server, downloaded."""

    def __init__(self, root: Path, server: FaultyServer) -> None:
        self.root, self.server = root, server
        self.zoo, self.out, self.cache = root / "zoo", root / "out", root / "cache"
        for name, data in (("a.bin", A), ("b.bin", B)):
            server.add(f"/{name}", f.serve(data))
        entries = [file_entry(n, d, f"{server.url}/{n}") for n, d in (("a.bin", A), ("b.bin", B))]
        add_model(self.zoo, "m", model_config(entries))
        self.download()
        self.a, self.b = self.out / "m" / "a.bin", self.out / "m" / "b.bin"

    def download(self, **options: Any) -> None:
        modelzoo.download("*", self.out, sources=[self.zoo], **options)

    def verify(self, **options: Any) -> dict[str, str]:
        """What is broken: file name -> state."""
        found = modelzoo.verify(output_dir=self.out, sources=[self.zoo], **options)
        assert found.successful == all(file.repaired for file in found.broken)
        return {Path(file.path).name: file.state for file in found.broken}

    def receipt(self) -> Receipt:
        return take_inventory(self.out).entries[0].receipt

    def edit(self, change: Callable[[Receipt], Receipt]) -> None:
        (entry,) = take_inventory(self.out).entries
        Receipts(self.out).save(entry, change(entry.receipt))

    def requests(self, act: Callable[[], object]) -> list[str]:
        """What the server is asked for meanwhile."""
        before = len(self.server.requests)
        act()
        return [request.path for request in self.server.requests[before:]]
