"""Families of GPUs that there are engines for, and the one in this machine."""

from __future__ import annotations

FAMILIES = {"RTX20": 705, "RTX30": 806, "RTX40": 809}
"""Each family's capability code: a compute capability of 8.6 is 806."""

TIMEOUT = 10.0  # seconds; a driver that hangs must not keep the tools from ending
_QUERY = ("nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader")


def detected_family() -> str | None:
    """The family of this machine's first GPU, as `nvidia-smi` tells it; None where it is not known."""
    import subprocess  # which few runs need

    try:
        done = subprocess.run(_QUERY, capture_output=True, timeout=TIMEOUT, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    first = done.stdout.decode("ascii", "replace").partition("\n")[0].strip()
    codes = {f"{code // 100}.{code % 100}": family for family, code in FAMILIES.items()}
    return codes.get(first)
