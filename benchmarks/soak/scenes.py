"""What is soaked: the files, how their server behaves, and how often the clients are killed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..corpus import Shape, equal, mixed, total
from ..scenarios import KIB, MIB
from .server import Odds


@dataclass(frozen=True)
class Scene:
    """One row of the report. Two clients share output and cache; each is killed up to `kills` times."""

    name: str
    what: str
    shape: Shape
    limit: float
    """How many times the bytes of the files may go out."""
    odds: Odds
    kills: int = 8
    kill_seconds: float = 3.0
    kill_progress: int = 60
    clients: int = 2
    small_disk: bool = False

    @property
    def title(self) -> str:
        """Number and kind of its files."""
        return f"{sum(map(len, self.shape))} files {self.what}"

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return total(self.shape)


FILES = Scene("files", "of 4 KiB to 4 MiB", mixed(100, 5, 4 * KIB, 4 * MIB), 1.25, Odds())
SEGMENTS = Scene(
    "segments",
    "of 24 MiB over several connections, 3 to 6 MiB/s each",
    equal(4, 2, 24 * MIB),
    1.75,
    Odds(failing=0.03, speed=(3.0 * MIB, 6.0 * MIB)),
    kill_seconds=1.5,
    kill_progress=120,
)
SMALL_DISK = Scene(
    "small disk",
    "of 4 KiB to 4 MiB on a disk that is too small, fills, and is made larger",
    mixed(12, 5, 4 * KIB, 4 * MIB),
    1.75,
    Odds(speed=(0.5 * MIB, 4.0 * MIB)),
    kills=3,
    kill_seconds=1.5,
    kill_progress=20,
    small_disk=True,
)
ALL = (FILES, SEGMENTS, SMALL_DISK)


def quick(scenes: Sequence[Scene]) -> tuple[Scene, ...]:
    """The same with fewer files and kills; what a kill costs is a larger part of fewer bytes."""
    return tuple(_quick(scene) for scene in scenes)


def _quick(scene: Scene) -> Scene:
    models = max(2, len(scene.shape) // 10)
    return replace(scene, shape=scene.shape[:models], kills=3, limit=2 * scene.limit)
