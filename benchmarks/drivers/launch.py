"""Start a command and report its costs: `launch.py FD COMMAND...` writes one line to the descriptor.

The line holds wall seconds, CPU seconds of the command and all that it waited for, the largest
process of them in KiB, and the exit status. This is a process of its own because Linux counts the
memory of the process that forks into the peak of the child: here that is a bare interpreter.
"""

import os
import signal
import sys
import time


def main() -> None:
    """Run the command to its end."""
    report, command = int(sys.argv[1]), sys.argv[2:]
    os.set_inheritable(report, False)
    start = time.monotonic()
    # Python ignores SIGPIPE; the command must not inherit that.
    pid = os.posix_spawnp(command[0], command, os.environ, setsigdef=[signal.SIGPIPE])
    _, status, usage = os.wait4(pid, 0)
    seconds = time.monotonic() - start
    cpu = usage.ru_utime + usage.ru_stime
    code = os.waitstatus_to_exitcode(status)
    os.write(report, f"{seconds} {cpu} {usage.ru_maxrss} {code}\n".encode())


main()
