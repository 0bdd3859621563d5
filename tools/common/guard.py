"""Runs a command for as long as whoever wants it lives; a process of its own, with nothing imported.

`python -I -S guard.py COMMAND…` with a pipe as standard input, which nobody writes to: when it closes,
the other end is gone, however it ended, and the command is killed with everything that it has started.
Only the standard library is used.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

NOT_STARTED = 127
"""The exit status where the command could not be started, as that of a shell."""


def _watch(lifeline: int) -> None:
    while os.read(lifeline, 64):
        pass
    os.killpg(0, signal.SIGKILL)  # ourselves too


def main(command: list[str]) -> int:
    """Run the command in our process group; ends as it has ended, also by a signal."""
    threading.Thread(target=_watch, args=(os.dup(0),), daemon=True).start()
    try:
        status = subprocess.run(command, stdin=subprocess.DEVNULL).returncode  # noqa: S603 - it is what we are for
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return NOT_STARTED
    if status < 0:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # one dump is enough
        with contextlib.suppress(OSError, ValueError):  # SIGKILL needs no permission
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
