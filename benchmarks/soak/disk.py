"""A small disk of its own: a file system in memory that can be filled and made larger."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ..places import NotHere

_BLOCK = 1 << 16


class SmallDisk:
    """A mounted file system of a fixed size."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resize(self, size: int) -> None:
        """Give it another size, in bytes."""
        _mount("-o", f"remount,size={size}", str(self.folder))

    def fill(self) -> None:
        """Take all the room that is left."""
        with (
            contextlib.suppress(FileExistsError),
            (self.folder / "other").open("xb", buffering=0) as file,
        ):
            try:
                while file.write(bytes(_BLOCK)) == _BLOCK:
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free(self) -> None:
        """Give back what `fill` took."""
        (self.folder / "other").unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[SmallDisk]:
    """Mount one at this folder; raises NotHere."""
    folder.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError):
        raise NotHere("mounting a small file system needs root") from None
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True, env=dict(os.environ))
