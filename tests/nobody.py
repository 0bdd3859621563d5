"""Being somebody whom permissions hold for, also where the tests run as root."""

from __future__ import annotations

import codecs
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

NOBODY = 65534


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    """A folder of the user that the test is inside; those of pytest are closed to them."""
    folder, user = Path(tempfile.mkdtemp()).resolve(), os.geteuid()
    codecs.lookup("utf-8-sig")  # Python's own files may be closed to them too
    try:
        if user == 0:
            os.chown(folder, NOBODY, -1)
            os.seteuid(NOBODY)
        yield folder
    finally:
        os.seteuid(user)
        shutil.rmtree(folder)
